"""Archives of arrays: what they claim is compared with what they hold."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.npyfiles import read_archive


def claimed(shape: tuple[int, ...], octets: bytes) -> bytes:
    """A .npy file that says to have this shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + octets


def archive(path: Path, octets: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", octets)
    return path


def test_arrays_come_back(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([[1, 2]], np.int64).T, "c": np.zeros((0, 2))}
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    found = read_archive(tmp_path / "x.npz", 1 << 20)
    assert found.keys() == arrays.keys() and all(np.array_equal(found[key], arrays[key]) for key in arrays)


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (claimed((1 << 40,), b"\0" * 8), r"shape \(1099511627776,\) claimed in \d+ octets"),
        (claimed((2,), b"\0" * 8), "ends after 8 of 16 octets, expected all of them"),
        (claimed((-2,), b"\0" * 8), r"shape \(-2,\) claimed in"),
        (claimed((400,), b"\0" * 3200), "unpacks to 3328 octets, expected at most 2048"),
    ],
)
def test_claims_are_compared_with_sizes(tmp_path: Path, octets: bytes, told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        read_archive(archive(tmp_path / "x.npz", octets), 2048)
