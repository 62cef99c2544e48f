"""Tables of numbers in text files (.csv): separators, headers, labels, comments, and what is refused.

No row is lost or invented. What may be read in two ways is an error. Errors name the line, from 1 up,
and the column, from 0 up, and never what a cell holds: they reach others than the owner of the table.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.protocols.node import Json

SEPARATORS = ",;\t"
_NAMED = {",": "comma", ";": "semicolon", "\t": "tab"}
_MARKS = ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
_MISSING = frozenset({"na", "n/a", "null", "none", "nil", "missing"})
_QUOTED = re.compile(r' *"((?:[^"]|"")*)" *')
_COMMENT = re.compile(r"^\s*#| +#")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_LARGEST_LABEL = 2**53


def read_table(octets: bytes, source: dict[str, Json]) -> dict[str, NDArray[Any]]:
    """The numbers of a table, and its labels where `label_column` names a column of them.

    Args:
        octets: the file: UTF-8, a byte order mark is skipped. One of comma, semicolon and tab separates cells.
            Blank lines are skipped, and so is what follows a `#` at the start of a line or after a space.
        source: `header` (true, false, or auto, which is the default), `label_column`, `label_names`, `columns`
            and `drop`, as `ketwire.scenarios.schema.sources.FileSource` describes them.

    Returns:
        `values`, float64 or, where a cell has an imaginary part, complex128, shape (rows, columns);
        with `label_column` also `labels`, int64, shape (rows,).

    Raises:
        ScenarioError: the text is no such table, or its header cannot be told from numbers.
    """
    lines = _decoded(octets).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rows = _rows(lines, _separator(lines))
    line, first = next(rows, (1, []))
    if not first:
        _refuse(1, 0, "empty table given, expected rows of numbers")
    titled = _is_header(line, first, source)
    choice = _choice(line, first, source, titled)
    table = _Table(choice, titled)
    if not titled:
        table.add(line, first)
    for number, cells in rows:
        table.add(number, cells)
    if not table.lines:
        _refuse(line, 0, "a header alone given, expected rows of numbers below it")
    if choice.width == 1:
        _refuse_blank(lines, line if titled and _kind(first[0]) == "word" else 0)
    if not titled and source.get("header", "auto") == "auto":
        table.refuse_names()
    return table.arrays()


def _refuse(line: int, column: int, told: str) -> NoReturn:
    raise ScenarioError(f"line {line}, column {column}: {told}")


def _decoded(octets: bytes) -> str:
    """The text, or an error that names the encoding."""
    named = next((name for mark, name in _MARKS if octets.startswith(mark)), None)
    if named is None and b"\0" in octets[:64]:
        named = "UTF-16 or UTF-32"
    if named is not None:
        _refuse(1, 0, f"a text encoded as {named} given, expected UTF-8")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Octets are counted in error.object, from which the decoder has cut the byte order mark.
        before = bytes(error.object[: error.start]).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        column = len(re.findall(rb"[,;\t]", before[before.rfind(b"\n") + 1 :]))
        told = "an octet that is no UTF-8 given (the file may be Latin-1 or Windows-1252), expected UTF-8"
        _refuse(before.count(b"\n") + 1, column, told)


def _separator(lines: Sequence[str]) -> str:
    """The one character that separates cells. A table of one column has none, and any will do."""
    kinds = [mark for mark in SEPARATORS if any(mark in line for line in lines)]
    if len(kinds) < 2:
        return kinds[0] if kinds else ","
    found = ""
    for number, line in enumerate(lines, 1):
        bare = re.sub(r'"[^"]*"', "", line)
        comment = _COMMENT.search(bare)
        bare = bare[: comment.start()] if comment else bare
        for mark in re.findall(f"[{SEPARATORS}]", bare) if bare.strip() else ():
            if found and mark != found:
                column = bare[: bare.index(mark)].count(found)
                _refuse(number, column, f"a {_NAMED[mark]} given beside a {_NAMED[found]}, expected one separator")
            found = mark
    return found or ","


def _rows(lines: Sequence[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line that is neither blank nor a comment."""
    for number, line in enumerate(lines, 1):
        bare = line
        if "#" in line and (comment := _COMMENT.search(line)) and '"' not in line[: comment.start()]:
            bare = line[: comment.start()]
            if not bare.strip():
                continue
        # Tabs alone are blank, unless tabs separate: then they are a row of gaps.
        if not bare.strip() and not (separator == "\t" and "\t" in bare):
            continue
        yield number, _quoted(number, bare, separator) if '"' in bare else bare.split(separator)


def _quoted(number: int, line: str, separator: str) -> list[str]:
    """The cells of a line with quotes. A quoted cell is quoted as a whole, and ends on its line."""
    cells: list[str] = []
    at = 0
    while True:
        quoted = _QUOTED.match(line, at)
        end = quoted.end() if quoted else line.find(separator, at)
        end = len(line) if end < 0 else end
        comment = _COMMENT.search(line, quoted.end(1) + 1 if quoted else at)
        over = comment is not None and comment.start() <= end
        if comment is not None and over:
            end = comment.start()
        cell = quoted[1].replace('""', '"') if quoted else line[at:end]
        if (not quoted and '"' in cell) or not (over or end == len(line) or line[end] == separator):
            _refuse(number, len(cells), "a stray quote given, expected quotes around a whole cell or none")
        cells.append(cell)
        if over or end == len(line):
            return cells
        at = end + 1


def _refuse_blank(lines: Sequence[str], above: int) -> None:
    """In a table of one column a blank line may be a row without its number. Lines up to `above` are no rows."""
    last = len(lines) - (not lines[-1])  # an empty text follows the last end of line
    for number, line in enumerate(lines[:last], 1):
        if number > above and not line.strip():
            _refuse(number, 0, "a blank line in a table of one column may be a missing number, expected none")


def _kind(cell: str) -> str:
    """What a cell of a first row speaks for: `number`, `word`, or nothing certain."""
    if _number(cell) is not None:
        return "number"
    cell = cell.strip()
    word = (cell[:1].isalpha() or cell[:1] == "_") and cell.lower() not in _MISSING
    return "word" if word else "neither"


def _number(cell: str) -> complex | None:
    """A number as NumPy writes it, `1`, `-2.5e3`, `1+2j`, `(1+-2j)`; None for any other text."""
    text = cell.strip()
    if "_" in text or not text.isascii():  # which Python's own numbers may have
        return None
    try:
        return float(text)
    except ValueError:
        pass
    if not any(map(str.isdigit, text)):  # a column may be called j
        return None
    try:
        return complex(text.replace("+-", "-"))
    except ValueError:
        return None


def _is_header(line: int, cells: list[str], source: dict[str, Json]) -> bool:
    """Whether the first row is a header.

    By itself it is one where all of its cells are words, and none where all are numbers. Gaps and mixtures are errors.
    """
    setting = source.get("header", "auto")
    if setting != "auto":
        return bool(setting)
    names = [name for name in _selectors(source) if isinstance(name, str)]
    if names and all(_kind(name) != "number" for name in names):
        return True  # without a header no column has a name
    width = len(cells)
    label = source.get("label_column")
    whole = {index for index in (label, *source.get("columns", ())) if isinstance(index, int)}
    used = [index for index in range(width) if index not in source.get("drop", ())]
    if "columns" in source:
        used = [index for index in used if index in whole]
    kinds = {
        index: "number" if index == label and cells[index].strip() in source.get("label_names", ()) else
        _kind(cells[index])
        for index in used
    }  # fmt: skip
    told = "a first row that may be a header or numbers given, expected header: true or header: false in the scenario"
    for index, kind in kinds.items():
        if kind == "neither":
            _refuse(line, index, f"a gap, or neither a number nor a word; {told}")
        if kind != kinds[used[0]]:
            _refuse(line, index, f"words beside numbers; {told}")
    return "word" in kinds.values()


def _selectors(source: dict[str, Json]) -> list[Json]:
    label = source.get("label_column")
    return [*([] if label is None else [label]), *source.get("columns", ()), *source.get("drop", ())]


@dataclass(frozen=True)
class _Choice:
    """Which columns of a table are read."""

    width: int
    """of the table, in columns"""
    values: list[int]
    label: int | None
    names: dict[str, int] | None
    """of labels in words, and the number of each"""


def _choice(line: int, cells: list[str], source: dict[str, Json], titled: bool) -> _Choice:
    header = [cell.strip() for cell in cells] if titled else []
    width = len(cells)

    def index_of(key: str, given: Json) -> int:
        if isinstance(given, int) and 0 <= given < width:
            return given
        if isinstance(given, str) and header.count(given) == 1:
            return header.index(given)
        names = f" or a name that one column has in the header, line {line}" if header else ""
        named = "" if header or isinstance(given, int) else ", as there is no header"
        raise ScenarioError(f"{key} {given!r} given, expected a column from 0 to {width - 1}{names}{named}")

    label = None if source.get("label_column") is None else index_of("label_column", source["label_column"])
    kept = [index_of("columns", given) for given in source.get("columns", ())]
    dropped = [index_of("drop", given) for given in source.get("drop", ())]
    for key, indices in (("columns", kept), ("drop", dropped)):
        for at, index in enumerate(indices):
            if index == label or index in indices[:at]:
                raise ScenarioError(f"{key} {source[key][at]!r} given, expected each column once, and no label_column")
    values = kept or [index for index in range(width) if index != label and index not in dropped]
    if not values:
        raise ScenarioError(f"line {line}, column 0: no column besides labels and dropped ones, expected one or more")
    names = source.get("label_names")
    return _Choice(width, values, label, None if names is None else {name: at for at, name in enumerate(names)})


@dataclass
class _Table:
    """Numbers and labels, row by row."""

    choice: _Choice
    titled: bool
    lines: array[int] = field(default_factory=lambda: array("q"))
    real: array[float] = field(default_factory=lambda: array("d"))
    imaginary: array[float] | None = None
    labels: array[float] = field(default_factory=lambda: array("d"))
    first: list[int] = field(default_factory=list)
    """The first row, where it may be a header: ascending whole numbers."""
    alike: bool = False
    """Whether a later row is of ascending whole numbers too."""

    def add(self, line: int, cells: list[str]) -> None:
        """Append a row.

        Raises:
            ScenarioError: it has not as many cells as the first row, or one of them is no number.
        """
        width = self.choice.width
        if len(cells) != width:
            told = f"{len(cells)} cells given, expected {width} as above"
            _refuse(line, min(len(cells), width), told)
        if not self.lines:
            self.first = self._names(cells)
        elif self.first and not self.alike:
            self.alike = bool(self._names(cells))
        chosen = [cells[index] for index in self.choice.values]
        try:
            plain = [float(cell) for cell in chosen]
        except ValueError:
            plain = None
        text = "".join(chosen)
        if plain is None or "_" in text or not text.isascii():  # Python's own numbers may have more than digits
            self._add_slowly(line, cells)
        else:
            self.real.extend(plain)
            if self.imaginary is not None:
                self.imaginary.extend([0.0] * len(plain))
        if self.choice.label is not None:
            self.labels.append(self._label(line, cells[self.choice.label]))
        self.lines.append(line)

    def _add_slowly(self, line: int, cells: list[str]) -> None:
        """A row with complex numbers, or with a cell that is no number."""
        if self.imaginary is None:
            self.imaginary = array("d", bytes(8 * len(self.real)))
        for index in self.choice.values:
            number = _number(cells[index])
            if number is None:
                _refuse(line, index, "a gap or a text given, expected a number")
            self.real.append(number.real)
            self.imaginary.append(number.imag)

    def _names(self, cells: list[str]) -> list[int]:
        """The cells in use where they are ascending whole numbers, as columns are numbered; otherwise nothing."""
        used = {*self.choice.values, *([] if self.choice.label is None else [self.choice.label])}
        texts = [cells[index].strip() for index in sorted(used)]
        if not all(map(_WHOLE.fullmatch, texts)):
            return []
        numbers = [int(text) if len(text) < 20 else 0 for text in texts]
        return numbers if all(a < b for a, b in pairwise(numbers)) else []

    def _label(self, line: int, cell: str) -> float:
        column, names = self.choice.label, self.choice.names
        assert column is not None
        if names is not None:
            if (name := cell.strip()) not in names:
                _refuse(line, column, "a label that label_names does not have given, expected one of those")
            return names[name]
        number = _number(cell)
        if number is None:
            _refuse(line, column, "a gap or a text given as a label, expected whole numbers, or label_names for words")
        if number.imag or not abs(number.real) <= _LARGEST_LABEL or number.real != round(number.real):
            _refuse(line, column, "a number given as a label, expected whole numbers")
        return number.real

    def refuse_names(self) -> None:
        """Refuse a first row of whole numbers that may number the columns, where rows follow that are unlike it."""
        count = len(self.first)
        usual = [list(range(count))] if count == 1 else [list(range(count)), list(range(1, count + 1))]
        if self.first and len(self.lines) > 1 and (self.first in usual or not self.alike):
            told = "a first row that may number the columns given"
            _refuse(self.lines[0], 0, f"{told}, expected header: true or header: false in the scenario")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """`values` and, with a label column, `labels`.

        Raises:
            ScenarioError: a number is not finite.
        """
        values: NDArray[Any] = np.array(self.real, dtype=np.float64)
        if self.imaginary is not None:
            parts = np.column_stack([values, np.array(self.imaginary, dtype=np.float64)])
            values = parts.view(np.complex128)[:, 0] if parts[:, 1].any() else values
        values = values.reshape(len(self.lines), len(self.choice.values))
        odd = np.argwhere(~np.isfinite(values))
        if len(odd):
            row, at = odd[0]
            _refuse(self.lines[row], self.choice.values[at], "a number that is not finite given, expected a finite one")
        if self.choice.label is None:
            return {"values": values}
        return {"values": values, "labels": np.array(self.labels, dtype=np.float64).astype(np.int64)}
