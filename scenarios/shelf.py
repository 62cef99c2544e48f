"""Runs and studies below a folder, and their pages: made when asked for, and again when a folder has changed."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ketwire.errors import ScenarioError
from ketwire.scenarios.live import progress_page
from ketwire.scenarios.reports.elements import Html, element, table
from ketwire.scenarios.reports.page import check_target, page, section, write_page
from ketwire.scenarios.reports.runs import run_page
from ketwire.scenarios.runs.telling import PROGRESS
from ketwire.scenarios.studies.folder import FOLDER, POINTS, RESULTS, TIMES
from ketwire.scenarios.studies.folder import STUDY as STUDY_FILE
from ketwire.scenarios.studies.report import study_page

MOST_FOUND = 2_000
"""Folders that are listed."""
DEEPEST = 6
MOST_KEPT = 32
"""Pages that are kept in memory."""
Stamp = tuple[tuple[str, int, int], ...]


class Kind(NamedTuple):
    """A kind of folder that has pages.

    name: as the list calls it. files: that make its page what it is; one of `signs` makes a folder one of this kind.
    page: of a folder; whether a browser is to load it again every few seconds while it grows.
    """

    name: str
    signs: tuple[str, ...]
    files: tuple[str, ...]
    page: Callable[[Path, bool], str]


RUN = Kind(
    "run",
    ("result.json", "launch.json"),
    ("result.json", "scenario.yaml", "ledger.jsonl"),
    lambda folder, live: run_page(folder),  # which is over
)
UNDER_WAY = Kind("run", (PROGRESS,), (PROGRESS, "scenario.yaml"), lambda folder, live: progress_page(folder))
STUDY = Kind("study", (FOLDER,), (FOLDER, POINTS, RESULTS, TIMES, STUDY_FILE), study_page)
KINDS = (STUDY, UNDER_WAY, RUN)


def report(folder: Path, out: Path | None) -> Path:
    """Write the page of a run's or a study's folder; answers with its file, report.html in the folder unless given.

    Raises:
        ScenarioError: it is the folder of neither, the file cannot be written, or matplotlib is not installed.
    """
    if out is not None:
        check_target(out)
    kind = STUDY if (folder / FOLDER).exists() else RUN
    text = kind.page(folder, False)
    out = folder / "report.html" if out is None else out
    write_page(text, out)
    return out


class Place(NamedTuple):
    """A folder with a page."""

    folder: Path
    kind: Kind


class Shelf:
    """The folders below a root. None outside of it is ever read: links are not followed, names are looked up."""

    def __init__(self, root: Path) -> None:
        """
        Raises:
            ScenarioError: it is no folder.
        """
        if not root.is_dir():
            raise ScenarioError(f"{root}: no such folder, expected one with runs or studies below it")
        self._root = root.resolve()
        self._pages: dict[str, tuple[Stamp, str]] = {}
        self._lock = threading.Lock()  # matplotlib's settings are those of the process

    def folders(self) -> dict[str, Place]:
        """All that have pages, by their paths below the root; "." for the root itself."""
        found: dict[str, Place] = {}
        for folder, names, files in os.walk(self._root):
            kind = _kind_of(files)
            hidden = os.path.basename(folder).startswith(".")
            if kind is not None and (kind is UNDER_WAY or not hidden):
                shown = _taking_its_place(folder) if hidden else folder
                found[os.path.relpath(shown, self._root)] = Place(Path(folder), kind)
            deep = len(Path(folder).relative_to(self._root).parts)
            # Those in the making come first, and the finished folder of the same name takes their place.
            names[:] = [] if kind or hidden or deep >= DEEPEST else sorted(names)
            if len(found) >= MOST_FOUND:
                break
        return found

    def index(self) -> str:
        """The page that lists all, which browsers load again every few seconds."""
        found = self.folders()
        rows = [(_link(name), each.kind.name, _state(each)) for name, each in found.items()]
        told = f"{len(found):,} found" if len(found) < MOST_FOUND else f"the first {MOST_FOUND:,}"
        listed = element("div", table(("folder", "kind", "state"), rows), class_="scrolled")
        told += f" below {self._root.name}"
        return page("Runs and studies", told, [section("all", "Folders", listed)], live=True)

    def page(self, name: str) -> str | None:
        """The page of a folder; None where none of that name is listed."""
        place = self.folders().get(name)
        if place is None:
            return None
        folder, kind = place
        with self._lock:
            stamp = tuple(_looked(folder / each) for each in kind.files)
            if any(size < 0 for _, _, size in stamp):
                return None
            kept = self._pages.get(name)
            if kept is None or kept[0] != stamp:
                kept = stamp, self._made(folder, kind)
                self._pages.pop(name, None)
                self._pages[name] = kept
                while len(self._pages) > MOST_KEPT:
                    del self._pages[next(iter(self._pages))]
            return kept[1]

    def _made(self, folder: Path, kind: Kind) -> str:
        try:
            return kind.page(folder, True)
        except ScenarioError as error:  # a run that failed, or that is not over; it may be, a little later
            told = str(error).replace(f"{folder}/", "")
            return page(folder.name, kind.name, [section("state", "No page yet", element("p", told))], live=True)


def _kind_of(files: list[str]) -> Kind | None:
    return next((kind for kind in KINDS if any(sign in files for sign in kind.signs)), None)


def _taking_its_place(folder: str) -> str:
    """The folder that a hidden one becomes when its run is over: of .NAME.random it is NAME."""
    parent, hidden = os.path.split(folder)
    return os.path.join(parent, hidden[1:].rpartition(".")[0])


def _state(place: Place) -> str:
    if place.kind is UNDER_WAY:
        return "under way"
    return "not over" if place.kind is RUN and not (place.folder / "result.json").exists() else "has a page"


def _link(name: str) -> Html:
    return element("a", name, href=f"page/{quote(name)}")


def _looked(file: Path) -> tuple[str, int, int]:
    """A file's name, when it changed, and its size: 0 where there is none, -1 for a link, which may lead elsewhere."""
    try:
        told = os.lstat(file)
    except OSError:
        return file.name, 0, 0
    return file.name, told.st_mtime_ns, told.st_size if stat.S_ISREG(told.st_mode) else -1
