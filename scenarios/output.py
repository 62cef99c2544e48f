"""Standard output, which may lead to a full disk, or into a pipe whose reader has left.

Whatever writes there, ours or a library, its failure is noted here, so that it can be told in one line and
is not taken for a failure of the run. Results alone go there: what a user's own code prints, a kind or a program,
goes to standard error (`aside`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any


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
            return None  # whoever started us closed it, and wants nothing printed
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
