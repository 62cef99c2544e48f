"""One file of a checkpoint: JSON values and arrays in an .npz, whole or not there.

A file is written beside its place, synced, and renamed into it; the folder is synced after that. A
reader knows the SHA-256 that the file must have, and compares before looking inside. Nothing is
unpickled, and no size in a file is trusted. `numpy.load` opens one as well: member `head` is the JSON,
as octets, and names the arrays, which are members 0, 1, ...
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

VERSION = 2
"""That of checkpoints and of folders of unfinished runs: raise it whenever what they hold changes."""
MAX_OCTETS = 1 << 31
MAX_JSON_OCTETS = 1 << 26
MAX_ARRAYS = 1 << 12
_NUMBERS = "biufc"


class Broken(ValueError):
    """A file that cannot be gone on from. The message names it and says what is wrong."""


class Format(NamedTuple):
    """What kind of archive a file is. `version` changes whenever what such files hold does."""

    name: str
    version: int


class Content(NamedTuple):
    """What an archive holds: a JSON object and named arrays of numbers."""

    values: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def checkpoint_format() -> Format:
    return Format("ketwire-archive", VERSION)


def pack(values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], form: Format | None = None) -> bytes:
    """An archive as octets; form: None for that of checkpoints.

    Raises:
        ValueError: the values do not come back from JSON as they are, an array holds no numbers, or it
            is all too large. The message begins with what is wrong.
    """
    name, version = form or checkpoint_format()
    text = _text({"format": name, "version": version, "values": values, "arrays": list(arrays)})
    check_arrays(arrays)
    octets = len(text) + sum(array.nbytes for array in arrays.values())
    if octets > MAX_OCTETS // 2 or len(text) > MAX_JSON_OCTETS:
        raise ValueError(f"arrays: {octets} octets given, expected at most {MAX_OCTETS // 2}")
    file = io.BytesIO()
    members = {str(number): array for number, array in enumerate(arrays.values())}
    np.savez(file, head=np.frombuffer(text, np.uint8), **members)  # type: ignore[arg-type]
    return file.getvalue()


def check_arrays(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raises:
    ValueError: one holds no numbers, or there are too many.
    """
    if len(arrays) > MAX_ARRAYS:
        raise ValueError(f"arrays: {len(arrays)} given, expected at most {MAX_ARRAYS}")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in _NUMBERS:
            given = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"arrays: {name} of {given} given, expected an array of numbers")


def check_values(values: Mapping[str, Any]) -> None:
    """Raises:
    ValueError: JSON would not give them back as they are, or cannot hold them at all.
    """
    if json.loads(_text(values)) != values:
        raise ValueError("values: something given that JSON gives back otherwise, expected lists, text for keys")


def _text(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"values: {error}, expected what JSON can hold") from None


def unpack(octets: bytes, form: Format | None = None) -> Content:
    """What an archive holds; form: as for `pack`.

    Raises:
        ValueError: the octets are none.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as file:
            members = file.infolist()
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
            if not stored or sum(member.file_size for member in members) > len(octets):
                raise ValueError("its members are packed")
            found = {member.filename: _array(file.read(member)) for member in members}
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"no archive ({error})") from None
    return _content(found, form or checkpoint_format())


def _array(octets: bytes) -> NDArray[Any]:
    """An .npy file, its size compared with what its head says before memory is taken."""
    file = io.BytesIO(octets)
    if npy.read_magic(file) != (1, 0):
        raise ValueError("an array of a version that is not 1.0")
    shape, fortran, dtype = npy.read_array_header_1_0(file)
    if dtype.kind not in _NUMBERS or math.prod(shape) * dtype.itemsize != len(octets) - file.tell():
        raise ValueError("an array that is not as long as it says")
    flat = np.frombuffer(octets, dtype, offset=file.tell()).copy()
    return flat.reshape(shape, order="F" if fortran else "C")


def _content(found: dict[str, NDArray[Any]], form: Format) -> Content:
    if "head.npy" not in found:
        raise ValueError("no member head")
    head = json.loads(found.pop("head.npy").tobytes())
    if not isinstance(head, dict) or head.keys() != {"format", "version", "values", "arrays"}:
        raise ValueError("a head without format, version, values and arrays")
    if (head["format"], head["version"]) != form:
        raise ValueError(f"format {head['format']} version {head['version']}, expected {form.name} {form.version}")
    names, values = head["arrays"], head["values"]
    if not isinstance(values, dict) or not isinstance(names, list) or len(names) != len(found):
        raise ValueError("a head that does not fit its members")
    try:
        return Content(values, {name: found[f"{number}.npy"] for number, name in enumerate(names)})
    except (KeyError, TypeError):
        raise ValueError("a head that does not fit its members") from None


def sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


def write(path: Path, octets: bytes, durable: bool = True) -> None:
    """Put `octets` at `path`, all or none, readable by their owner alone.

    Args:
        durable: wait until they would outlast the machine's fall, not just a process's.

    Raises:
        OSError: they cannot be written; what stood at `path` still does.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.rename(beside, path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path, limit: int = MAX_OCTETS) -> bytes:
    """The octets of a file.

    Raises:
        Broken: it is missing, cannot be read or is too long.
    """
    try:
        # A pipe in its place must not keep us waiting for somebody to write into it.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise Broken(f"{path}: no regular file, expected a file of a checkpoint")
            if facts.st_size > limit:
                raise Broken(f"{path}: more than {limit} octets, expected fewer")
            return file.read(facts.st_size + 1)  # the limit would be taken as memory
    except OSError as error:
        raise Broken(f"{path}: {error.strerror or error}, expected a file of a checkpoint") from None


def load(path: Path, digest: str) -> Content:
    """The archive at `path`, whose SHA-256 is to be `digest`.

    Raises:
        Broken: it is missing, or not as it was written.
    """
    octets = read(path)
    if sha256(octets) != digest:
        raise Broken(f"{path}: {len(octets)} octets of another SHA-256, expected {digest[:12]}...")
    try:
        return unpack(octets)
    except ValueError as error:
        raise Broken(f"{path}: {error}, expected a file of a checkpoint") from None
