"""The loop over the runs of a study: hands them out, keeps what comes back, and asks whether a point needs more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Any

from ketwire.quantum.means import half_width
from ketwire.scenarios.studies.engines import Engine, Opener, died
from ketwire.scenarios.studies.folder import Key, Row, Rows
from ketwire.scenarios.studies.points import task

if TYPE_CHECKING:
    from ketwire.scenarios.studies.points import Point
    from ketwire.scenarios.studies.prepare import Prepared
    from ketwire.scenarios.studies.spec import Study

MOST_DEATHS = 3
"""Times that a worker may die in a run that is carried out alone, before its row says so."""
Keep = Callable[[Key, Row, float | None], None]
Progress = Callable[["Point", int, Row], None]


def repeats_needed(study: Study, fields: Sequence[str], point: str, rows: Rows) -> int:
    """How many repeats a point has in the table, as far as the rows that are there tell: never fewer than are known.

    The rule is asked after each `repeats` of them, so the answer does not depend on the order in which runs ended.
    """
    if study.until is None:
        return study.repeats
    at, values = fields.index(study.until.field), []
    count = 0
    while count < study.until.at_most:
        upper = min(count + study.repeats, study.until.at_most)
        for repeat in range(count, upper):
            row = rows.get((point, repeat))
            if row is None or row.status == "died":
                return upper
            value = row.values[at]
            if row.status == "done" and isinstance(value, int | float) and not isinstance(value, bool):
                values.append(float(value))
        count = upper
        enough = len(values) >= 2 and half_width(values, study.until.confidence) <= study.until.half_width
        if enough or not values:  # a point that is refused has nothing to be narrow
            return count
    return count


class Runs:
    """The runs of a study that are still to be done, in the order of the grid."""

    def __init__(self, prepared: Prepared, rows: Rows, keep: Keep, progress: Progress) -> None:
        self._of, self._rows, self._keep, self._progress = prepared, rows, keep, progress
        self._asked: dict[str, int] = {}
        self._waiting: deque[tuple[Point, int]] = deque()
        self._deaths: dict[Key, int] = {}
        self._open: dict[Future[dict[str, Any]], tuple[Point, int]] = {}
        for point in prepared.points.all:
            self._extend(point)

    @property
    def left(self) -> int:
        """Runs that are known to be needed and are not over."""
        return len(self._waiting) + len(self._open)

    def carry_out(self, opener: Opener) -> None:
        """Do them all. After a worker died, the runs that were under way are repeated one by one."""
        alone: deque[tuple[Point, int]] = deque()
        while self._waiting or alone:
            with opener() as engine:
                died_in = self._one_by_one(engine, alone)
                alone += self._loop(engine, engine.width) if died_in is None else []
            if died_in is not None:
                self._count_death(*died_in, alone)

    def _one_by_one(self, engine: Engine, alone: deque[tuple[Point, int]]) -> tuple[Point, int] | None:
        """Carry out these runs with no other beside; answers with the one whose worker died, if one did."""
        while alone:
            one = alone.popleft()
            self._waiting.appendleft(one)
            if self._loop(engine, 1, most=1):
                return one
        return None

    def _count_death(self, point: Point, repeat: int, alone: deque[tuple[Point, int]]) -> None:
        key = (point.identity, repeat)
        self._deaths[key] = self._deaths.get(key, 0) + 1
        if self._deaths[key] < MOST_DEATHS:
            alone.appendleft((point, repeat))
            return
        told, seed = f"its worker process died {MOST_DEATHS} times in a row", self._seed(point, repeat)
        self._over(point, repeat, Row(seed, "died", told, [None] * len(self._of.fields)), None)

    def _loop(self, engine: Engine, width: int, most: int | None = None) -> list[tuple[Point, int]]:
        """Carry out runs until none is left, or until a worker died.

        Args:
            most: runs to hand out; None: all.

        Returns:
            The runs that were under way when a worker died.
        """
        handed = 0
        lost: list[tuple[Point, int]] = []
        while True:
            while self._waiting and not lost and len(self._open) < width and (most is None or handed < most):
                point, repeat = self._waiting.popleft()
                try:
                    future = engine.submit(task(self._of.given, point, repeat, self._of.fields))
                except Exception as error:
                    if not died(error):
                        raise
                    lost.append((point, repeat))
                    break
                handed += 1
                self._open[future] = (point, repeat)
            if not self._open:
                return lost
            lost += self._collect(wait(self._open, return_when=FIRST_COMPLETED).done)

    def _collect(self, done: set[Future[dict[str, Any]]]) -> list[tuple[Point, int]]:
        lost = []
        for future in done:
            point, repeat = self._open.pop(future)
            error = future.exception()
            if error is None:
                told = future.result()
                row = Row(self._seed(point, repeat), told["status"], told["reason"], told["values"])
                self._over(point, repeat, row, told["wall_s"])
            elif died(error):
                lost.append((point, repeat))
            else:
                raise error
        return lost

    def _seed(self, point: Point, repeat: int) -> int:
        return point.seed_of(repeat, self._of.given.study.draws)

    def _over(self, point: Point, repeat: int, row: Row, wall_s: float | None) -> None:
        self._keep((point.identity, repeat), row, wall_s)
        self._progress(point, repeat, row)
        self._extend(point)

    def _extend(self, point: Point) -> None:
        """Ask for the repeats of a point that are known to be needed and were not asked for."""
        needed = repeats_needed(self._of.given.study, self._of.fields, point.identity, self._rows)
        begun = self._asked.get(point.identity, 0)
        for repeat in range(begun, needed):
            known = self._rows.get((point.identity, repeat))
            if known is None or known.status == "died":
                self._waiting.append((point, repeat))
        self._asked[point.identity] = max(begun, needed)
