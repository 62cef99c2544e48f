"""Standard output, which may lead to a full disk, or into a pipe whose reader has left.

A failure to write there, by our code or by a library, is noted here, so that it can be told in one line and
is not taken for a failure of the run. Results alone go there: what a user's own code prints, a kind or a program,
goes to standard error (`aside`).

A console whose encoding lacks a character gets a plain one in its place, `u` for `µ` or `-` for a dash; both streams
have this from one handler of encoding errors.
"""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any

HANDLER = "ketwire-plain"
"""Of encoding errors: plain characters for those that an encoding lacks."""

_PLAIN = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2500\u2501\u2574\u2576\u2578\u257a", "-"),
    **dict.fromkeys("\u2018\u2019", "'"), **dict.fromkeys("\u201c\u201d", '"'), **dict.fromkeys("\u2502\u2503", "|"),
    "\u03bc": "u", "\u03c0": "pi", "\u03a0": "Pi", "\u03a6": "Phi", "\u03b8": "theta", "\u03bb": "lambda",
    "\u00d7": "x", "\u00b7": "*", "\u22c5": "*", "\u00b1": "+-", "\u00b0": " deg", "\u221a": "sqrt", "\u2202": "d",
    "\u2020": "^+", "\u00b2": "^2", "\u00b3": "^3", "\u2190": "<-", "\u2192": "->", "\u2264": "<=", "\u2265": ">=",
    "\u2260": "!=", "\u2248": "~", "\u27e8": "<", "\u27e9": ">",
}  # fmt: skip


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that cannot be encoded: a plain spelling, else their numbers, as Python has it."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_spelled, error.object[error.start : error.end])), error.end


def _spelled(character: str) -> str:
    known = _PLAIN.get(character)
    if known is not None:
        return known
    parts = unicodedata.normalize("NFKD", character)  # é is e and an accent, and the micro sign the Greek letter
    plain = "".join(_PLAIN.get(part, part) for part in parts if not unicodedata.combining(part))
    return plain if plain.isascii() and plain else character.encode("ascii", "backslashreplace").decode()


codecs.register_error(HANDLER, _plain)


class Output:
    """The standard output of this process, which remembers how a write failed."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.fault: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return int(self.file.write(text))
        except OSError as error:
            self.fault = error
            raise

    def flush(self) -> None:
        try:
            self.file.flush()
        except OSError as error:
            self.fault = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def told(self) -> str | None:
        """What went wrong, and that from now on nothing else can; None where nothing did."""
        if self.file is None:
            return None  # our parent process closed it, and wants nothing printed
        if self.fault is None:
            with suppress(OSError, ValueError):
                self.flush()
        if self.fault is None:
            return None
        # What is still in the buffer would fail once more at the end of the process, and be told by Python.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.file.fileno())
            os.close(nowhere)
        return f"standard output: {self.fault.strerror or self.fault}; expected one that takes all that is printed"


@contextmanager
def watched() -> Iterator[Output]:
    """Standard output while a command runs."""
    out, err = sys.stdout, sys.stderr
    for stream in (out, err):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)
    output = Output(out)
    if out is not None:
        sys.stdout = output
    try:
        yield output
    finally:
        sys.stdout, sys.stderr = out, err  # a library may have put something else there for a broken pipe


def aside() -> redirect_stdout[Any]:
    """A context in which `print` goes to standard error, or nowhere if that is closed."""
    return redirect_stdout(sys.stderr)


def say(text: str, end: str = "\n") -> None:
    """Print on standard output at once. Not by `typer.echo`, which writes UTF-8 to consoles that say ASCII."""
    print(text, end=end, flush=True)
