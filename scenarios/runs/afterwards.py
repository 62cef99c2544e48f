"""What follows a run: the kind's summary, the references of --check, the verdict and the files of the folder.

The wire's figures make a result before any of these steps begins. A step adds to that result, or it fails and adds
nothing: then its name and the reason stand in the result under `afterwards_failed`, and the steps that do not need
it go on. So a fault in a user's own kind never loses a run that is over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import ValidationError

from ketwire.channels.transports import Teleport
from ketwire.errors import LocalProtocolError, one_line
from ketwire.scenarios.kinds.bias import bias
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.kinds.result import FailedStep, PairFigures, Part, Reference, RunResult, Summary, plain
from ketwire.scenarios.load import Loaded, from_file
from ketwire.scenarios.runs.results import Counted, run_result
from ketwire.scenarios.runs.table import table_text, verdict

if TYPE_CHECKING:
    from ketwire.nodes.session import Run, SessionResult
    from ketwire.protocols.node import Loader, Outcome

P = TypeVar("P", bound=Part)
LISTED = 1000
"""Entries of an outcome's array that are listed where no summary tells of it."""


class Afterwards:
    """The result of a run that is over, and what failed after it."""

    def __init__(
        self,
        loaded: Loaded,
        run: Run,
        results: Sequence[SessionResult],
        wall_s: float,
        data: Mapping[str, Loader] | None = None,
    ) -> None:
        """data: the loaders of the parties whose data the judge is given; None for all, as the run was in one place."""
        self.failed: list[FailedStep] = []
        self._loaded, self._run, self.results = loaded, run, results
        self._data = loaded.network().loaders() if data is None else data
        self._kind, self._spec = loaded.kind, loaded.scenario.protocol
        head: dict[str, Any] = {"scenario": loaded.name, "seed": run.seed}
        if run.workload_seed is not None:
            head["workload_seed"] = run.workload_seed
        head["protocol"] = loaded.kind_name
        if pairs := _pairs(run):
            head["pairs"] = pairs
        self._counted = Counted.of(head, results, wall_s)
        self._summary: Summary | None = None
        self._references: list[Reference] = []
        self._made_last: RunResult | None = None

    @property
    def _result(self) -> RunResult:
        """As the last step that succeeded has made it; before any, the wire's figures alone."""
        if self._made_last is None:
            self._made_last = self._made(None, [])
        return self._made_last

    @_result.setter
    def _result(self, made: RunResult) -> None:
        self._made_last = made

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """An error of the body is noted as the failure of this step; an interrupt is not."""
        try:
            with from_file(self._loaded.origin):
                yield
        except (Exception, SystemExit) as raised:
            error = _plainly(raised)
            told = one_line(error, type(self._kind).__module__)
            self.failed.append(FailedStep(step=name, kind=type(error).__name__, message=told))

    def has_failed(self, name: str) -> bool:
        return any(failed.step == name for failed in self.failed)

    def told(self) -> RunResult:
        """The result as it is by now."""
        if not self.failed:
            return self._result
        more: dict[str, Any] = {"afterwards_failed": list(self.failed)}
        if self.has_failed("summarise"):
            more["outcomes"] = outcomes_of(self.results)
        told = self._result.model_copy(update=more)
        if told.verdict and not self.has_failed("table"):
            return told
        return told.model_copy(update={"verdict": verdict(told)})

    def locate(self) -> None:
        """Where the virtual time went."""
        from ketwire.scenarios.runs.latency import latency_of, timed  # noqa: PLC0415

        with self.step("latency"):
            self.results = timed(self._run, self.results, self._loaded.base)
            fields = {**self._counted.fields, "latency": latency_of(self.results)}
            self._counted = replace(self._counted, fields=fields)

    def summarise(self) -> None:
        with self.step("summarise"):
            judge = Judge(self._loaded.network(), self._data)
            summary = _expected(Summary, self._kind.summarise(self._spec, self.results, judge))
            self._result = self._made(summary, [])
            self._summary = summary

    def refer(self) -> None:
        """What --check compares with: the ideal value, and what kinds that run once more for it make of that."""
        network = self._loaded.network()
        with self.step("exact"):
            self._add(self._kind.exact(self._spec, network, network.loaders()))
        if not self.has_failed("exact"):  # a bias is one from the ideal value
            with self.step("witness"):
                self._add(bias(self._loaded, self._run, self._result.exact))
        with self.step("retraced"):
            self._add(self._kind.retraced(self._spec, network, self._run, self.results))

    def compare(self) -> None:
        """What the kind says of its own result; nothing where that has no summary."""
        if self._summary is None:
            return
        with self.step("compared"):
            compared = _expected(Summary, self._kind.compared(self._spec, self._summary, self._result))
            if compared is not self._summary:
                self._result = self._made(compared, self._references)

    def judge(self) -> None:
        """The verdict; the table is tried here, so that a result that it cannot show says so."""
        with self.step("table"):
            told = self.told()
            judged = {"verdict": verdict(told)}
            table_text(told.model_copy(update=judged))
            self._result = self._result.model_copy(update=judged)

    def _add(self, more: Any) -> None:
        if not _expected(Reference, more).model_fields_set:
            return
        references = [*self._references, more]
        self._result = self._made(self._summary, references)
        self._references = references

    def _made(self, summary: Summary | None, references: Sequence[Reference]) -> RunResult:
        made = run_result(self._kind.Result, self._counted, summary, references)
        _written(made.told())
        return made


def _pairs(run: Run) -> dict[str, PairFigures]:
    """How links make pairs, by link; its two directions make the same."""
    lines = {link.name: link.forward for link in run.links if isinstance(link.forward.transport, Teleport)}
    if not lines:
        return {}
    from ketwire.channels.planning.making import making  # noqa: PLC0415

    return {name: PairFigures(**making(line)._asdict()) for name, line in lines.items()}


def outcomes_of(results: Sequence[SessionResult]) -> dict[str, dict[str, Any]]:
    """By session and party what the programs returned, as far as JSON has it; for results without a summary."""
    return {
        result.name: {
            party: told for party, outcome in result.outcomes.items() if (told := _shown(outcome)) is not None
        }
        for result in results
    }


def _shown(outcome: Outcome) -> dict[str, Any] | None:
    try:
        return _written(plain(_listed({name: told for name, told in vars(outcome).items() if told is not None})))
    except Exception:  # of a type whose text cannot be had
        return None


def _listed(value: Any) -> Any:
    """A value with its dataclasses as dicts, and with what they are in the place of long arrays."""
    if isinstance(value, np.ndarray) and value.size > LISTED:
        return {"dtype": str(value.dtype), "shape": value.shape}
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {str(key): _listed(each) for key, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value


def _plainly(error: BaseException) -> BaseException:
    """What a model of a result says of values that do not fit it, in the words that one line has room for."""
    if not isinstance(error, ValidationError):
        return error
    wrong = ((".".join(map(str, each["loc"])), each["msg"]) for each in error.errors(include_url=False))
    told = "; ".join(f"{key}: {message}" for key, message in wrong)
    return LocalProtocolError(f"{error.title}: {told}").with_traceback(error.__traceback__)


def _expected(what: type[P], told: Any) -> P:
    if not isinstance(told, what):
        raise LocalProtocolError(f"{type(told).__name__} returned, expected a {what.__name__} ({what.__module__})")
    return told


def _written(result: dict[str, Any]) -> dict[str, Any]:
    """A result that can be written as JSON; raises where it cannot."""
    json.dumps(result, ensure_ascii=False, allow_nan=False).encode()
    return result
