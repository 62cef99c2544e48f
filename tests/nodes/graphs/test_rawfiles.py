"""Planetoid's raw files are read as data; a pickle that says anything else is refused, and nothing in it runs."""

from __future__ import annotations

import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.planetoid import assembled
from ketwire.nodes.graphs.rawfiles import converted
from tests.datasets import public_folder
from tests.nodes.graphs.test_planetoid import parts


def short(text: str) -> bytes:
    return b"U" + bytes([len(text)]) + text.encode()


def number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little", signed=True)


def array(values: Any, code: str = "f4") -> bytes:
    """An array as numpy pickled it under Python 2, protocol 2."""
    found = np.asarray(values, f"<{code}")
    shape = b"(" + b"".join(map(number, found.shape)) + b"t"
    kind = b"cnumpy\ndtype\n" + short(code) + number(0) + number(1) + b"\x87R"
    kind += b"(" + number(3) + short("<") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    octets = b"T" + len(found.tobytes()).to_bytes(4, "little") + found.tobytes()
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + short("b") + b"\x87R"
    return made + b"(" + number(1) + shape + kind + b"\x89" + octets + b"tb"


def matrix(members: dict[str, Any], name: str) -> bytes:
    shape = short("_shape") + b"".join(number(int(each)) for each in members[f"{name}_shape"]) + b"\x86"
    state = b"".join(short(key) + array(members[f"{name}_{key}"], "f4" if key == "data" else "i4")
                     for key in ("data", "indices", "indptr"))  # fmt: skip
    return b"\x80\x02cscipy.sparse.csr\ncsr_matrix\n)\x81}(" + shape + state + b"ub."


def mapping(members: dict[str, Any]) -> bytes:
    lists = b""
    for at, key in enumerate(members["graph_keys"]):
        near = members["graph_neighbors"][members["graph_indptr"][at] : members["graph_indptr"][at + 1]]
        lists += number(int(key)) + b"](" + b"".join(number(int(each)) for each in near) + b"e"
    return b"\x80\x02ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R(" + lists + b"u."


def written(folder: Path) -> dict[str, Any]:
    members = parts()
    files = {part: matrix(members, part) for part in ("x", "tx", "allx")}
    files |= {part: b"\x80\x02" + array(members[part], "i4") + b"." for part in ("y", "ty", "ally")}
    files |= {"graph": mapping(members), "test.index": b"5\n3\n"}
    for part, octets in files.items():
        (folder / f"ind.tiny.{part}").write_bytes(octets)
    return members


def test_the_bytes_of_this_test_are_a_pickle(tmp_path: Path) -> None:
    members = written(tmp_path)
    found = pickle.loads((tmp_path / "ind.tiny.graph").read_bytes(), encoding="latin1")  # noqa: S301
    assert found == {0: [1, 1, 5], 1: [0], 2: [2], 3: [3], 4: [4], 5: [0]} and isinstance(found, defaultdict)
    found = pickle.loads((tmp_path / "ind.tiny.ty").read_bytes(), encoding="latin1")  # noqa: S301
    assert np.array_equal(found, members["ty"])


def test_raw_files_become_the_members_of_the_archive(tmp_path: Path) -> None:
    members, found = written(tmp_path), converted(tmp_path, "Tiny")
    assert found.keys() == members.keys()
    assert all(np.array_equal(found[key], members[key]) for key in found)
    assert assembled("Tiny", found).edges.tolist() == [[0, 1], [0, 5]]


class Evil:
    def __reduce__(self) -> Any:
        return print, ("run",)


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "the name 'os system', which such files do not have"),
        (pickle.dumps(Evil(), 2), "the name '__builtin__ print', which such files do not have"),
        (pickle.dumps([1], 4), "the operation FRAME, which such files do not have"),
        (b"\x80\x02N.", "'NoneType' object has no attribute"),
        (b"\x80\x02h\x05.", "5"),
        (b"\x80\x02", "pickle exhausted before seeing STOP"),
        (b"\x80\x02" + array([1.0]).replace(b"T\x04\0\0\0", b"T\x03\0\0\0", 1)[:-3] + b"tb.", "expected a raw file"),
        (b"\x80\x02" + array([1.0]).replace(short("f4"), short("O8")) + b".", "entries of type O8"),
    ],
)
def test_other_pickles_are_refused(
    tmp_path: Path, octets: bytes, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path)
    (tmp_path / "ind.tiny.y").write_bytes(octets)
    with pytest.raises(ScenarioError) as found:
        converted(tmp_path, "Tiny")
    assert told in str(found.value) and str(found.value).startswith(str(tmp_path / "ind.tiny.y"))
    assert capsys.readouterr().out == ""


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"ind\.tiny\.x: No such file or directory, expected a raw file"):
        converted(tmp_path, "Tiny")


@pytest.mark.gnn
@pytest.mark.parametrize("name", ["cora", "citeseer"])
def test_the_public_files_become_the_public_arrays(name: str) -> None:
    folder = public_folder() / "planetoid"
    if not (folder / f"ind.{name}.allx").is_file():
        pytest.skip(f"{folder} has no raw files of {name}")
    found = converted(folder, name)
    with np.load(folder / f"ind.{name}.npz", allow_pickle=False) as file:
        assert {*file.files} == found.keys() and all(np.array_equal(file[key], found[key]) for key in found)
