"""How owners load their data: every source, and everything that is refused."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ketwire.errors import ScenarioError
from ketwire.nodes.data import make_loader, require_labels
from ketwire.nodes.session import data_key
from ketwire.protocols.loaded import rows_of

ALICE = data_key(7, "alice")


def loaded(
    source: dict[str, Any], base: Path | str = "/", key: str = "protocol.x", owner: bytes = ALICE
) -> Any:
    return make_loader("alice", owner, str(base))(key, source)


def refused(call: Any, *args: Any) -> str:
    with pytest.raises(ScenarioError) as error:
        call(*args)
    assert "\n" not in str(error.value)
    return str(error.value)


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """A .npy file made by hand."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + data


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int16, np.uint8, np.bool_, np.complex128, np.complex64]),
        hnp.array_shapes(max_dims=3),
    )
)
def test_an_npy_file_is_read_as_numpy_wrote_it(tmp_path_factory: pytest.TempPathFactory, array: Any) -> None:
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    array = np.nan_to_num(array, posinf=1, neginf=-1)
    for order in (array, np.asfortranarray(array)):
        np.save(path, order)
        values = loaded({"path": str(path)})["values"]
        wide = np.complex128 if np.iscomplexobj(array) else np.float64
        assert values.dtype == wide and np.array_equal(values, array.astype(wide))


def test_an_npz_file_gives_the_array_named_or_its_only_one(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "two.npz", x=np.arange(6.0).reshape(2, 3), y=[0, 1])
    np.savez(tmp_path / "one.npz", z=[1, 2])
    assert loaded({"path": "two.npz", "array": "x"}, tmp_path)["values"].shape == (2, 3)
    assert loaded({"path": "one.npz"}, tmp_path)["values"].tolist() == [1, 2]
    line = refused(loaded, {"path": "two.npz"}, tmp_path)
    assert line == f"protocol.x.path: {tmp_path}/two.npz: no array given, expected the name of one of its 2 arrays"


@pytest.mark.parametrize("label_column", [1, "class"])
def test_a_csv_file_may_have_a_header_and_labels(tmp_path: Path, label_column: Any) -> None:
    (tmp_path / "x.csv").write_text('\ufeffwidth,"class", height\n1.5,0,2\n\n-3e2,1,4\n', encoding="utf-8")
    arrays = loaded({"path": "x.csv", "label_column": label_column}, tmp_path)
    assert arrays["values"].tolist() == [[1.5, 2], [-300, 4]]
    assert arrays["labels"].tolist() == [0, 1] and arrays["labels"].dtype == np.int64
    assert loaded({"path": "x.csv"}, tmp_path)["values"].shape == (2, 3)


def test_a_csv_file_may_be_numbers_alone(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1.5,2\n3,4")
    assert loaded({"path": "x.csv"}, tmp_path)["values"].tolist() == [[1.5, 2], [3, 4]]


BAD_CSV = [
    ("", {}, "line 1, column 0: empty table given, expected rows of numbers"),
    ("a,b\n", {}, "line 1, column 0: a header alone given, expected rows of numbers below it"),
    ("1,2\n3\n", {}, "line 2, column 1: 1 cells given, expected 2 as above"),
    ("1,2\n3,x\n", {}, "line 2, column 1: a gap or a text given, expected a number"),
    ("1,2\n3,\n", {}, "line 2, column 1: a gap or a text given, expected a number"),
    ("a,b\n\n1,2\nyes,2\n", {"label_column": "a"}, "line 4, column 0: a gap or a text given as a label"),
    ("4,2\n3,nan\n", {}, "line 2, column 1: a number that is not finite given, expected a finite one"),
    ("1,2\n", {"label_column": 2}, "label_column 2 given, expected a column from 0 to 1"),
    (
        "a,b\n1,2\n",
        {"label_column": "c"},
        "label_column 'c' given, expected a column from 0 to 1 or a name that one column has in the header, line 1",
    ),
    ("1,2.5\n", {"label_column": 1}, "line 1, column 1: a number given as a label, expected whole numbers"),
    ("1,nan\n", {"label_column": 1}, "line 1, column 1: a number given as a label, expected whole numbers"),
    ("7\n", {"label_column": 0}, "line 1, column 0: no column besides labels and dropped ones"),
]


@pytest.mark.parametrize(
    ("text", "options", "message"), BAD_CSV, ids=[message[:40] for *_, message in BAD_CSV]
)
def test_bad_csv_files(tmp_path: Path, text: str, options: dict[str, Any], message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    line = refused(loaded, {"path": "x.csv", **options}, tmp_path)
    assert line.startswith(f"protocol.x.path: {path}: ") and message in line


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return file.getvalue()


F8 = "{'descr': '<f8', 'fortran_order': False, 'shape': %s}"
BAD_NPY = [
    (b"", "expected a readable .npy file"),
    (b"not numpy at all", "expected a readable .npy file"),
    (pickled(), "entries of type object, expected numbers"),
    (npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", bytes(8)), "type structured"),
    (npy("{'descr': '<U3', 'fortran_order': False, 'shape': (1,)}", bytes(12)), "entries of type <U3"),
    (npy(F8 % "(2,)", bytes(15)), "ends after 15 of 16 octets, expected all of them"),
    (npy(F8 % "(-1, -1)", bytes(8)), "shape (-1, -1) claimed in"),
    (npy(F8 % "(1000000000000,)", bytes(8)), "shape (1000000000000,) claimed in"),
    (npy(F8 % "(-1,)", bytes(8)), "shape (-1,) claimed in 75 octets, expected as many entries as claimed"),
    (npy(F8 % "(4,)", bytes(24)), "ends after 24 of 32 octets, expected all of them"),
    (npy(F8 % "(0,)"), "an array of shape (0,) given, expected at least one number"),
    (npy(F8 % "(1,)", np.array([math.inf]).tobytes()), "an entry at (0,) that is not finite given"),
    (npy(F8 % "(1,)", bytes(8), b"\x09\x00"), "format version (9, 0), expected (1, 0) or (2, 0)"),
    (npy("__import__('os').getcwd()", bytes(8)), "expected a readable .npy file"),
]


@pytest.mark.parametrize(("octets", "message"), BAD_NPY, ids=[message[:40] for _, message in BAD_NPY])
@pytest.mark.parametrize("zipped", [False, True])
def test_bad_npy_files(tmp_path: Path, octets: bytes, message: str, zipped: bool) -> None:
    path = tmp_path / ("x.npz" if zipped else "x.npy")
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", octets)
    else:
        path.write_bytes(octets)
    line = refused(loaded, {"path": str(path)})
    assert line.startswith(f"protocol.x.path: {path}: ")
    assert message.replace(".npy", ".npz" if zipped else ".npy") in line


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ketwire.nodes.data.MAX_OCTETS", 10_000)
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(10_000))
    assert (tmp_path / "x.npz").stat().st_size < 10_000
    assert "array 'x' unpacks to more than 10000 octets" in refused(loaded, {"path": "x.npz"}, tmp_path)
    np.save(tmp_path / "x.npy", np.zeros(10_000))
    assert "more than 10000 octets, expected fewer" in refused(loaded, {"path": "x.npy"}, tmp_path)


def test_files_that_are_not_there_or_not_data(tmp_path: Path) -> None:
    line = refused(loaded, {"path": "none.npy"}, tmp_path)
    assert line == f"protocol.x.path: {tmp_path}/none.npy: no such file, expected one that can be read"
    (tmp_path / "folder.npz").mkdir()
    assert "no such file" in refused(loaded, {"path": "folder.npz"}, tmp_path)
    assert (
        refused(loaded, {"path": "x.pkl"})
        == "protocol.x.path: 'x.pkl' given, expected a .npy, .npz or .csv file"
    )
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 but no zip")
    assert "expected a readable .npz file" in refused(loaded, {"path": "x.npz"}, tmp_path)


def test_values_stand_in_the_scenario() -> None:
    assert loaded({"values": [[1, 2.5], [3, 4]]})["values"].tolist() == [[1, 2.5], [3, 4]]


BAD_VALUES = [
    ([], "an array of shape (0,) given, expected at least one number"),
    ([[]], "an array of shape (1, 0) given, expected at least one number"),
    ([[1, 2], [3]], "lists of unequal length given, expected equally long ones"),
    ([1, "2"], "'2' given, expected numbers alone"),
    ([True, False], "'True' given, expected numbers alone"),
    ([1, None], "'None' given, expected numbers alone"),
    ([1.0, math.inf], "an entry at (1,) that is not finite given, expected finite numbers"),
    ([10**400], "given, expected"),
]


@pytest.mark.parametrize(("values", "message"), BAD_VALUES, ids=[message[:40] for _, message in BAD_VALUES])
def test_bad_values(values: Any, message: str) -> None:
    line = refused(loaded, {"values": values})
    assert line.startswith("protocol.x.values: ") and message in line


def test_random_numbers_are_their_owners() -> None:
    def draw(law: str, key: str = "protocol.x", owner: bytes = ALICE) -> Any:
        return loaded({"random": law, "shape": [200, 5]}, "/", key, owner)["values"]

    assert np.array_equal(draw("normal"), draw("normal"))
    assert not np.array_equal(draw("normal"), draw("normal", key="protocol.y"))
    assert not np.array_equal(draw("normal"), draw("normal", owner=data_key(7, "bob")))
    assert set(np.unique(draw("signs"))) == {-1.0, 1.0} and abs(draw("signs").mean()) < 0.15
    angles = draw("angles")
    assert angles.shape == (200, 5) and angles.min() >= 0 and angles.max() < 2 * math.pi
    assert abs(angles.mean() - math.pi) < 0.25 and abs(draw("normal").std() - 1) < 0.1


@pytest.mark.parametrize("shape", [None, [], [0], [-1, -1], [2.5], "8", [10**9]])
def test_bad_shapes(shape: Any) -> None:
    line = refused(loaded, {"random": "normal", "shape": shape})
    given = "missing required key" if shape is None else f"{shape!r} given"
    assert line.startswith(f"protocol.x.shape: {given}, expected a list of whole numbers above 0")


def test_unknown_sources_are_named() -> None:
    assert refused(loaded, {"random": "dice", "shape": [1]}).endswith(
        "'dice' given, expected angles, normal or signs"
    )
    assert refused(loaded, {"x": 1}) == (
        "protocol.x: a source with x given, expected one with path, values, random, dataset, graphs or trained"
    )
    assert refused(loaded, {"dataset": "mnist", "part": "test"}).endswith("expected digits or breast-cancer")
    assert refused(loaded, {"dataset": "digits"}) == "protocol.x.part: None given, expected train or test"


def test_digits_are_split_in_proportion() -> None:
    train, test = (loaded({"dataset": "digits", "part": part}) for part in ("train", "test"))
    assert test["values"].shape == (540, 64) and train["values"].shape == (1257, 64)
    assert len(np.unique(np.vstack([train["values"], test["values"]]), axis=0)) > 1790
    shares = np.bincount(train["labels"]) / 1257 - np.bincount(test["labels"]) / 540
    assert np.abs(shares).max() < 0.002


def test_breast_cancer_is_standardised_by_its_training_part() -> None:
    train, test = (loaded({"dataset": "breast-cancer", "part": part}) for part in ("train", "test"))
    assert train["values"].shape == (398, 30) and test["values"].shape == (171, 30)
    assert np.allclose(train["values"].mean(axis=0), 0, atol=1e-12)
    assert np.allclose(train["values"].std(axis=0), 1)
    assert not np.allclose(test["values"].mean(axis=0), 0, atol=1e-3)
    assert set(test["labels"]) == {0, 1}


def test_columns_of_a_data_set_are_taken_in_the_order_given() -> None:
    source = {"dataset": "breast-cancer", "part": "test"}
    whole, some = loaded(source), loaded({**source, "columns": [27, 0]})
    assert np.array_equal(some["values"], whole["values"][:, [27, 0]])
    assert np.array_equal(some["labels"], whole["labels"])
    for columns, index in (([3, 30], 1), ([-1], 0), ([2, 5, 2], 2)):
        assert refused(loaded, {**source, "columns": columns}) == (
            f"protocol.x.columns.{index}: {columns[index]} given, expected one from 0 to 29, each once"
        )


def test_loading_twice_gives_arrays_of_ones_own() -> None:
    first = loaded({"dataset": "digits", "part": "test"})
    first["values"][:], first["labels"][:] = -1, -1
    again = loaded({"dataset": "digits", "part": "test"})
    assert again["values"].min() == 0 and again["labels"].min() == 0


def test_without_scikit_learn_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from ketwire.nodes import datasets

    datasets.split.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = refused(loaded, {"dataset": "digits", "part": "test"})
    assert line.startswith("protocol.x.dataset: 'digits' needs scikit-learn") and "pip install" in line


def test_rows_and_labels_are_real() -> None:
    assert rows_of("k", np.arange(3.0)).shape == (1, 3)
    assert "expected one vector a row" in refused(rows_of, "k", np.ones((2, 2, 2)))
    told = "k: complex numbers given, expected real ones"
    assert refused(rows_of, "k", np.ones((2, 2)) * 1j) == told
    assert refused(require_labels, {"values": np.ones(2) * 1j}, "k") == told


def test_labels_are_whole_and_as_many_as_asked() -> None:
    assert require_labels({"values": np.array([0.0, 2.0])}, "k", 2).tolist() == [0, 2]
    assert require_labels({"values": np.ones((3, 2)), "labels": np.array([1, 0, 1])}, "k").tolist() == [
        1,
        0,
        1,
    ]
    assert refused(require_labels, {"values": np.array([0.5])}, "k") == (
        "k: a fraction given as label 0, expected whole numbers"
    )
    assert refused(require_labels, {"values": np.zeros(3)}, "k", 4) == "k: 3 labels given, expected 4"
    assert "expected a flat list" in refused(require_labels, {"values": np.zeros((2, 2))}, "k")


def test_sources_are_json() -> None:
    """What a slice carries must survive the way to another process."""
    source = {"random": "angles", "shape": [4]}
    assert np.array_equal(loaded(json.loads(json.dumps(source)))["values"], loaded(source)["values"])
