"""Arrays of .npy and .npz files, whose claims are compared with their sizes before memory is taken."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ketwire.errors import ScenarioError


def read_archive(path: Path, limit: int) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file, by name.

    Args:
        limit: octets of all of them together, unpacked.

    Raises:
        ScenarioError: they are too large, or one holds no numbers or not as many as it says.
        OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile: it is no such file.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if (octets := sum(info.file_size for info in members)) > limit:
            raise ScenarioError(f"unpacks to {octets} octets, expected at most {limit}")
        found = {}
        for info in members:
            with archive.open(info) as member:
                found[info.filename.removesuffix(".npy")] = read_npy(member, info.file_size)
    return found


def read_npy(file: IO[bytes], size: int) -> NDArray[Any]:
    """One array of a .npy stream that is `size` octets long.

    The shape is a claim of the header, so it is compared with the size before memory is taken.

    Raises:
        ScenarioError: it holds no numbers, or not as many as it says; others of NumPy where it is no such stream.
    """
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ScenarioError(f"format version {version}, expected (1, 0) or (2, 0)")
    header = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    shape, fortran_order, dtype = header
    if dtype.kind not in "biufc":
        named = "structured" if dtype.names else dtype
        raise ScenarioError(f"entries of type {named}, expected numbers")
    octets = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or octets > size:
        raise ScenarioError(f"shape {shape} claimed in {size} octets, expected as many entries as claimed")
    data = file.read(octets)
    if len(data) != octets:
        raise ScenarioError(f"ends after {len(data)} of {octets} octets, expected all of them")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
