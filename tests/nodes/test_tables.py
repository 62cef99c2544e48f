"""Tables in text files: no row is lost or invented, whatever is in the way; errors say where and never what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.data import make_loader
from ketwire.nodes.tables import read_table
from ketwire.protocols.inference import input_state
from ketwire.protocols.layers import build_layers
from ketwire.protocols.loaded import labels_of
from ketwire.scenarios.kinds.training.spec import _holds_labels
from ketwire.scenarios.schema.sources import FileSource

PLACE = re.compile(r"^line (\d+), column (\d+): ")


def read(text: str, **source: Any) -> list[Any]:
    return read_table(text.encode(), source)["values"].tolist()


def refused(text: str | bytes, **source: Any) -> str:
    with pytest.raises(ScenarioError) as error:
        read_table(text if isinstance(text, bytes) else text.encode(), source)
    return str(error.value)


# ---------------------------------------------------------------- a random table, damaged


def written(rng: np.random.Generator) -> tuple[list[list[str]], np.ndarray[Any, Any], dict[str, Any], bool]:
    """Cells of a random table, its matrix, how it is to be read, and whether there is a header."""
    rows, columns = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    drawn = rng.normal(size=(rows, columns)) * 10
    style = int(rng.integers(4))
    matrix = np.rint(drawn) if style == 0 else drawn + 1j * rng.normal(size=drawn.shape) if style == 1 else drawn
    cells = [[f"{x:.0f}" if style == 0 else str(complex(x) if style == 1 else float(x)) for x in row] for row in matrix]
    titled = bool(rng.integers(2))
    if titled:
        names = ["width", "height", "_depth", "größe", "x y"]
        numbered = [str(index) for index in range(columns)]
        cells.insert(0, numbered if rng.random() < 0.2 else [str(x) for x in rng.permutation(names)[:columns]])
    return cells, matrix, [{}, {"header": "auto"}, {"header": titled}][int(rng.integers(3))], titled


FAULTS = ["none", "blank", "gap", "start", "mark", "separator", "quote", "quotes", "comment"]


def separated(rng: np.random.Generator, lines: list[str], at: int, mark: str) -> str:
    """A line with one separator too many at its end, or with another one between two of its cells."""
    line, other = lines[at], str(rng.choice([",", ";", "\t"]))
    if rng.random() < 0.5:
        return line + other
    return line.replace(mark, other, 1) if line.count(mark) > 1 else line


def damaged(rng: np.random.Generator, cells: list[list[str]], mark: str) -> bytes:
    """The table as a file with one or two faults; each leaves a trace, so that it can be noticed."""
    lines = [mark.join(row) for row in cells]
    before = ""
    for fault in rng.choice(FAULTS, size=2):
        at = int(rng.integers(len(lines)))
        parts = lines[at].split(mark)
        column = int(rng.integers(len(parts)))
        place = int(rng.integers(len(lines[at]) + 1))
        if fault == "blank":
            lines.insert(int(rng.integers(len(lines) + 1)), str(rng.choice(["", "  ", "\t"])))
        elif fault == "gap":
            lines[at] = mark.join([*parts[:column], str(rng.choice(["", " ", '""', "NA"])), *parts[column + 1 :]])
        elif fault == "start":
            before += "\ufeff"
        elif fault == "mark":
            lines[at] = lines[at][:place] + "\ufeff" + lines[at][place:]
        elif fault == "separator":
            lines[at] = separated(rng, lines, at, mark)
        elif fault == "quote":
            lines[at] = lines[at][:place] + '"' + lines[at][place:]
        elif fault == "quotes":
            lines[at] = mark.join([*parts[:column], f'"{parts[column]}"', *parts[column + 1 :]])
        elif fault == "comment":
            lines.insert(at, "# made up; by hand, for a test")
    end = str(rng.choice(["\n", "\r\n", "\r"]))
    return (before + "".join(line + end for line in lines)).encode()


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_table_is_read_exactly_or_refused_with_its_place(seed: int) -> None:
    """The matrix, to the last digit, or an error that names a line of the file and a column; nothing else."""
    rng = np.random.default_rng([9127, seed])
    exact = 0
    for case in range(1500):
        cells, matrix, source, titled = written(rng)
        octets = damaged(rng, cells, str(rng.choice([",", ";", "\t"])))
        try:
            values = read_table(octets, source)["values"]
        except ScenarioError as error:
            place = PLACE.match(str(error))
            assert place, (case, octets, error)
            lines = octets.decode().replace("\r\n", "\n").replace("\r", "\n").count("\n")
            assert 1 <= int(place[1]) <= max(lines, 1) and int(place[2]) <= 10, (case, octets, error)
            continue
        exact += 1
        assert values.shape == matrix.shape and np.array_equal(values, matrix), (case, octets, titled, values)
    assert 300 < exact < 1350  # both answers are tried


def test_an_undamaged_table_is_read_exactly_when_the_scenario_says_what_its_first_row_is() -> None:
    rng = np.random.default_rng(88)
    for _ in range(500):
        cells, matrix, _, titled = written(rng)
        mark = str(rng.choice([",", ";", "\t"]))
        octets = "\n".join(mark.join(row) for row in cells).encode()
        assert np.array_equal(read_table(octets, {"header": titled})["values"], matrix)


def test_no_error_holds_what_a_cell_holds() -> None:
    """Cells are drawn from words and digits that no message has."""
    rng = np.random.default_rng(5)
    for _ in range(1500):
        kinds = ["Zq7731x", "77.31.77", "7731e999", "zqzqzq", "", "77.3177", "7731", '"zq', "7731j7731"]
        cells = [[str(rng.choice(kinds)) for _ in range(3)] for _ in range(3)]
        source = [{}, {"header": False}, {"header": True}, {"label_column": 1}, {"label_column": 0, "header": True}]
        try:
            read_table("\n".join(map(",".join, cells)).encode(), source[int(rng.integers(5))])
        except ScenarioError as error:
            assert not re.search(r"(?i)zq|77|31", str(error))


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1.5,,2\n1,2,3\n", "line 1, column 1"),
        ("\n# numbers\n1.5,2,\n1,2,3\n", "line 3, column 2"),
        ("0,1,2\n5,3,4\n", "line 1, column 0"),
        ("1,2,3\n5,3,4\n6,7,9\n", "line 1, column 0"),
        ("2001,2005\n0.5,0.25\n", "line 1, column 0"),
        ("0\n1\n1\n", "line 1, column 0"),
        ("3\n0.5\n", "line 1, column 0"),
        ("a,1\n2,3\n", "line 1, column 1"),
        ("1.5,setosa\n2,virginica\n", "line 1, column 1"),
        ("NA\n1\n2\n", "line 1, column 0"),
        ("1.5.2\n1\n2\n", "line 1, column 0"),
    ],
)
def test_a_first_row_that_may_be_either_is_refused(text: str, place: str) -> None:
    line = refused(text)
    assert line.startswith(f"{place}: ") and "expected header: true or header: false in the scenario" in line


def test_a_header_is_as_the_scenario_says() -> None:
    assert read("0,1\n5,3\n", header=True) == [[5, 3]]
    assert read("0,1\n5,3\n", header=False) == [[0, 1], [5, 3]]
    assert read("1.5,x y\n5,3\n", header=True) == [[5, 3]]
    assert refused("a,b\n1,2\n", header=False).startswith("line 1, column 0: a gap or a text given")
    assert read("a,b\n1,2\n") == [[1, 2]] == read('\ufeff\n"a",b\n\n1,2\n')


# ---------------------------------------------------------------- cells and lines


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_separators(mark: str) -> None:
    assert read(f"a{mark}b\n1{mark} 2.5\n3{mark}4\n") == [[1, 2.5], [3, 4]]


def test_two_separators_are_refused() -> None:
    line = "line 2, column 1: a comma given beside a semicolon, expected one separator"
    assert refused("a;b;c\n1;2,5;3\n") == line
    assert read('# of alice; by hand\n"a, b";c\n1;2\n') == [[1, 2]]


def test_comments_follow_a_space_or_start_a_line() -> None:
    assert read("# a, b\n1.5,2 # as measured\n  # more\n3,4\n") == [[1.5, 2], [3, 4]]
    assert refused("1.5,2#3\n3,4\n", header=False).startswith("line 1, column 1: ")
    assert read('x,"y # z"\n1,"2" # "quoted"\n', columns=["y # z"]) == [[2]]


def test_a_blank_line_in_one_column_may_be_a_gap() -> None:
    told = "column 0: a blank line in a table of one column may be a missing number, expected none"
    assert refused("1.5\n\n2\n") == f"line 2, {told}" and refused("1.5\n2\n\n") == f"line 3, {told}"
    assert read("\nx\n1.5\n2\n") == [[1.5], [2]]
    assert read("1.5,2\n\n \n3,4\n\n") == [[1.5, 2], [3, 4]]


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        ("1,2\n".encode("utf-16"), "line 1, column 0: a text encoded as UTF-16 given, expected UTF-8"),
        ("1,2\n".encode("utf-32"), "line 1, column 0: a text encoded as UTF-32 given, expected UTF-8"),
        ("1,2\n".encode("utf-16-le"), "line 1, column 0: a text encoded as UTF-16 or UTF-32 given"),
        ("a,b\r\n\r\n1,größe\n".encode("latin-1"), "line 3, column 1: an octet that is no UTF-8 given"),
    ],
)
def test_other_encodings_are_named(octets: bytes, told: str) -> None:
    assert refused(octets).startswith(told)


def test_complex_numbers() -> None:
    assert read("1+2j,(3-4j)\n-1j,(5+-6.5e0j)\n2,1\n") == [[1 + 2j, 3 - 4j], [-1j, 5 - 6.5j], [2, 1]]
    assert read("2.5,1\n0+1j,1\n") == [[2.5, 1], [1j, 1]]
    assert refused("1+2j,1.5\n0,infj\n").startswith("line 2, column 1: ")


# ---------------------------------------------------------------- columns and labels


TABLE = "id,width,height,class\nr1,1,2,oak\nr2,3,4,elm\nr3,5,6,oak\n"


def test_columns_are_chosen_or_dropped_by_name_or_number() -> None:
    named = {"label_column": "class", "label_names": ["elm", "oak"]}
    for chosen in ({"drop": ["id"]}, {"columns": ["width", "height"]}):
        arrays = read_table(TABLE.encode(), {**named, **chosen})
        assert arrays["values"].tolist() == [[1, 2], [3, 4], [5, 6]] and arrays["labels"].tolist() == [1, 0, 1]
    assert read(TABLE, columns=["height", "width"])[0] == [2, 1]
    bare = TABLE.split("\n", 1)[1]
    assert read(bare, label_column=3, label_names=["oak", "elm"], drop=[0]) == [[1, 2], [3, 4], [5, 6]]
    assert read(bare, columns=[2, 1], header=False)[2] == [6, 5]


def test_labels_in_words_need_their_names() -> None:
    told = "expected whole numbers, or label_names for words"
    assert refused(TABLE, drop=["id"], label_column="class").endswith(told)
    assert refused(TABLE, drop=["id"], label_column="class", label_names=["oak"]) == (
        "line 3, column 3: a label that label_names does not have given, expected one of those"
    )


@pytest.mark.parametrize("key", ["columns", "drop"])
def test_columns_that_are_not_there_twice_or_labels(key: str) -> None:
    for given in (["depth"], [4], ["width", "width"], ["width", 1], ["class"]):
        assert refused(TABLE, label_column="class", header=True, **{key: given}).startswith(f"{key} ")
    assert "as there is no header" in refused("1.5,2\n", drop=["a"], header=False)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"path": "x.npy", "header": True}, "expected nothing here, or a .csv file"),
        ({"path": "x.npz", "columns": [1]}, "expected nothing here, or a .csv file"),
        ({"path": "x.csv", "columns": [1], "drop": [2]}, "expected nothing here, as columns are given"),
        ({"path": "x.csv", "label_names": ["a"]}, "expected nothing here, or a label_column"),
        ({"path": "x.csv", "label_column": 0, "label_names": ["a", "a"]}, "expected each name once"),
        ({"path": "x.csv", "header": False, "drop": ["a"]}, "expected numbers of columns, as header is false"),
        ({"path": "x.csv", "header": "yes"}, "header"),
    ],
)
def test_keys_that_do_not_go_together(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        FileSource.model_validate(given)


def test_a_dropped_column_of_labels_is_none_of_the_features() -> None:
    def held(**rows: Any) -> bool:
        return _holds_labels(FileSource(path="x.csv", **rows), FileSource(path="x.csv", label_column="class"))

    assert held() and held(drop=["id"]) and held(columns=["a", "class"]) and held(columns=[0, 1]) and held(drop=[3])
    assert not held(drop=["class"]) and not held(columns=["a", "b"]) and not held(label_column=3)


# ---------------------------------------------------------------- vectors


@pytest.mark.parametrize("text", ["1,2,3,4\n", "1\n2\n3\n4\n", "x\n1\n2\n3\n4\n"])
def test_a_table_of_one_row_or_one_column_is_a_vector(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.csv").write_text(text)
    load = make_loader("alice", bytes(32), str(tmp_path))
    expected = np.arange(1, 5) / np.sqrt(30)
    assert np.allclose(input_state({"path": "v.csv"}, 2, load), expected)
    layer = {"layer": "phases", "key": "k", "values": {"path": "v.csv"}}
    (step,) = build_layers([layer], 2, load)
    assert step is not None
    assert labels_of("k", load("k", {"path": "v.csv"})).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["u.npy", "u.npz", "u.csv"])
def test_a_complex_unitary_may_be_in_a_file(tmp_path: Path, name: str) -> None:
    matrix = np.array([[1, 1j], [1j, 1]]) / np.sqrt(2)
    writers: dict[str, Any] = {"u.npy": np.save, "u.npz": np.savez}
    if name == "u.csv":
        np.savetxt(tmp_path / name, matrix, delimiter=",")
    else:
        writers[name](tmp_path / name, matrix)
    values = make_loader("alice", bytes(32), str(tmp_path))("k", {"path": name})["values"]
    assert values.dtype == np.complex128 and np.array_equal(values, matrix)
    layer = {"layer": "unitary", "key": "k", "matrix": {"path": name}}
    assert len(build_layers([layer], 1, make_loader("alice", bytes(32), str(tmp_path)))) == 1


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.csv"])
def test_a_resolved_source_is_read_again(name: str) -> None:
    source = FileSource(path=name)
    assert FileSource.model_validate(source.model_dump(mode="json")) == source
