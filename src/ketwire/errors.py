"""Who is to blame, as exceptions.

`LocalProtocolError` is our bug or misuse, `RemoteProtocolError` their bytes, `ScenarioError` the
user's file, `PartyFailed` a process, `Deadlock` a set of programs that wait for each other. The
command line turns the third into exit code 2 and the others into exit code 3.

Code of a user's own (a program, a kind, a layer) may raise anything. `one_line` tells that in one line with the
file and line of that code, and `blamed` makes it an error of the party whose program raised it. `tell` writes a
line for the user.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

MOST_CHARACTERS = 1000
"""Of what an exception says of itself, in one line."""


class KetwireError(Exception):
    """Base of every error that ketwire raises on purpose. `party` names whose process raised it, if known.

    abroad: what of the message may leave the process of a party, where that is not all of it. Messages of ketwire
        itself say where an entry of somebody's data is and not what it is; the text of others may say anything.
    """

    party: str | None = None
    abroad: str | None = None


class LocalProtocolError(KetwireError):
    """This side broke the rules: a consumed register was used, a message was sent out of turn."""


class RemoteProtocolError(KetwireError):
    """The other side's bytes broke the rules; this process lives on."""


class ScenarioError(KetwireError):
    """The user's input is wrong. The message names file, key, value and what was expected."""


class PartyFailed(KetwireError):
    """A party's process died or gave up. `party` names it; the message holds its last words.

    died: its process or its connection is gone, so that another in its place may well succeed.
    """

    def __init__(self, party: str, message: str, *, died: bool = False) -> None:
        super().__init__(message)
        self.party = party
        self.died = died


class Deadlock(KetwireError):
    """Every party waits for another. `waits` maps each party to what it waits for."""

    def __init__(self, waits: dict[str, str]) -> None:
        super().__init__("deadlock: " + "; ".join(f"{who} waits for {what}" for who, what in sorted(waits.items())))
        self.waits = waits


def tell(line: str) -> None:
    """Write a line to standard error. Where that is closed or full the line is dropped, and the process goes on."""
    if sys.stderr is not None:  # print would take standard output instead
        with suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """A line on standard error, with the name of the program before it."""
    tell(f"ketwire: {text}")


def one_line(error: BaseException, module: str, *, whole: bool = True) -> str:
    """An exception as one line, which names the place in a user's own code that raised it.

    Args:
        module: of the program or kind that was asked. If it is one of ketwire's own, a place is named only for
            what ketwire does not raise on purpose.
        whole: with all that it says, which may be data. Otherwise as it may leave the process of a party.
    """
    try:
        text = " ".join(str(error).split())[:MOST_CHARACTERS]
    except Exception:  # of a user's own type, whose __str__ fails too
        text = ""
    if not whole:
        text = "" if not isinstance(error, KetwireError) else text if error.abroad is None else error.abroad
    if isinstance(error, KetwireError):
        party = f"{error.party}: " if error.party else ""
        if not isinstance(error, LocalProtocolError | RemoteProtocolError) or _package(module) == "ketwire":
            return party + text
    else:
        party, name = "", type(error).__name__
        text = f"{name}: {text}" if text else name
    place = _place(error.__traceback__, _package(module))
    return party + (f"{place}: {text}" if place else text)


def blamed(error: BaseException, party: str, module: str) -> KetwireError:
    """What the program of `party` raised, as an error of one line. An error of ketwire keeps its type.

    Args:
        module: of the program.
    """
    if isinstance(error, ScenarioError | PartyFailed | Deadlock):
        return error
    told = one_line(error, module)
    if not isinstance(error, KetwireError):
        return quoting(lambda text: PartyFailed(party, text), error, module)
    error.args, error.party = (told,), party
    return error


def quoting(make: Callable[[str], KetwireError], error: BaseException, module: str) -> KetwireError:
    """An error whose message quotes another one in a line, and does not where it leaves the process of a party.

    Args:
        make: makes it of that line. module: as of `one_line`.
    """
    made = make(one_line(error, module))
    made.abroad = str(make(one_line(error, module, whole=False)))
    return made


def told_abroad(error: BaseException) -> str:
    """What of an error may leave the process of a party: of one that ketwire did not raise its type and its place."""
    if isinstance(error, KetwireError):
        return str(error) if error.abroad is None else error.abroad
    place = _place(error.__traceback__, "ketwire")
    return f"{place}: {type(error).__name__}" if place else type(error).__name__


def _place(trace: TracebackType | None, package: str) -> str | None:
    """FILE:LINE of the innermost frame in `package` or in a file that is neither installed nor ketwire's own."""
    found = None
    while trace is not None:
        file, owner = trace.tb_frame.f_code.co_filename, _package(trace.tb_frame.f_globals.get("__name__", ""))
        if owner == package or (owner != "ketwire" and not is_installed(file)):
            found = f"{_from_here(file)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def is_installed(file: str) -> bool:
    """Whether a file is of the standard library or of a package that was installed."""
    library = os.path.dirname(os.__file__) + os.sep
    return file.startswith(("<", library)) or not {"site-packages", "dist-packages"}.isdisjoint(file.split(os.sep))


def _from_here(file: str) -> str:
    """A path as seen from the working directory, if it is below that."""
    try:
        here = os.getcwd() + os.sep
    except OSError:  # it was removed
        return file
    return file.removeprefix(here)


def _package(module: str) -> str:
    return module.partition(".")[0]
