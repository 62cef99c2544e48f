"""The syntax tree of an OpenQASM 3 program, and where in the program something is wrong.

The parser is the language's own reference library (`openqasm3`, the extra `qasm`), imported when a program is read.
Lines and columns are counted from 1, as editors do.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

from ketwire.errors import ScenarioError

MOST_EXPECTED = 6  # tokens named in a message


class PlacedError(ValueError):
    """A fault whose message begins with its line and column."""


@contextlib.contextmanager
def placed(node: Any) -> Iterator[None]:
    """Begin the message of a ValueError with the place of `node`, unless it names a place already."""
    try:
        yield
    except PlacedError:
        raise
    except ValueError as error:
        span = node.span
        raise PlacedError(f"line {span.start_line}, column {span.start_column + 1}: {error}") from None


def parse(text: str) -> list[Any]:
    """The statements of a program.

    Raises:
        ScenarioError: the parser is not installed.
        ValueError: no OpenQASM 3 program; the message names line and column.
    """
    try:
        import openqasm3  # noqa: PLC0415
        from openqasm3.parser import QASM3ParsingError  # noqa: PLC0415
    except ImportError:
        raise ScenarioError(
            "a layer in OpenQASM needs its parser, which is not installed; expected it there "
            "(pip install 'ketwire[qasm]')"
        ) from None
    reader: Any = openqasm3.parse
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the parser prints some errors besides raising them
            program = reader(text)
    except QASM3ParsingError as error:
        raise PlacedError(_told(error)) from None
    except RecursionError:
        raise ValueError("a program nested too deeply, expected a simpler one") from None
    except Exception as error:  # the library lets a few of its own through
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{told}, expected an OpenQASM 3 program") from None
    if program.version is not None and program.version.partition(".")[0] != "3":
        raise ValueError(f"OPENQASM {program.version} given, expected version 3")
    return list(program.statements)


def _told(error: Exception) -> str:
    found = re.match(r"L(\d+):C(\d+): (.*)", " ".join(str(error).split()))
    if found:
        line, column, told = found.groups()
        return f"line {line}, column {int(column) + 1}: {told[:200]}, expected an OpenQASM 3 program"
    # The library hides what its parser generator knows in the error that it was raised from.
    cause: Any = error.__cause__
    inner: Any = cause.args[0] if cause is not None and cause.args else None
    token = getattr(inner, "offendingToken", None)
    if token is None:
        return "line 1, column 1: it does not parse, expected an OpenQASM 3 program"
    given = "the program ends" if token.type == -1 else f"{token.text[:40]!r} given"
    return f"line {token.line}, column {token.column + 1}: {given}, expected {_expected(inner)}"


def _expected(error: Any) -> str:
    """The tokens that could stand where the parser stopped, where they are few."""
    if type(error).__name__ == "InputMismatchException":
        parser = error.recognizer
        tokens = [token for each in error.getExpectedTokens().intervals or () for token in each]
        names = [parser.literalNames[token] if 0 <= token < len(parser.literalNames) else "" for token in tokens]
        if 0 < len(names) <= MOST_EXPECTED and all(name not in ("", "<INVALID>") for name in names):
            return " or ".join(names)
    return "OpenQASM 3 there"
