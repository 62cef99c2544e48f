"""How an owner reads its own data, and what it refuses.

A source is a dict with one leading key, as scenarios say it:

    {"path": "x.npy"}                               an array, also from .npz with "array": name
    {"path": "x.csv", "label_column": "class"}      a table of numbers, see `ketwire.nodes.tables`
    {"path": "x.qasm"}                              a program's octets, uint8, for a layer
    {"values": [[1, 2], [3, 4]]}                    numbers in the scenario itself
    {"random": "angles", "shape": [8]}              drawn with the owner's own key; also "normal", "signs"
    {"dataset": "digits", "part": "test"}           of scikit-learn; also "breast-cancer"; "classes": [3, 8]
                                                    leaves the others out, "columns": [0, 7] takes these features
    {"trained": "runs/mine", "layer": 3}            the owner's angles of a training that is over, see
                                                    `ketwire.nodes.models`
    {"graphs": "MUTAG", "folder": "datasets", "fold": 0, "part": "train", "hops": {"rw": 4}}
                                                    whole graphs, a row each, see `ketwire.nodes.graphs.rows`
    {"set": "MUTAG", "folder": "datasets"}          nodes of graphs, and
    {"graph_model": "mutag.npz"}                    a graph network, as named arrays: see `ketwire.nodes.graphs`

Loading answers with `values` in the shape that the source has, and, where the source has labels, `labels`,
int64, one a row. `values` is float64, or complex128 where a file holds complex numbers. Nothing is unpickled,
sizes are bounded before memory is taken, and each error is one line: file or key, what is wrong, what was
expected. An error says where an entry of a file is and never what it is, as errors reach other parties.
"""

from __future__ import annotations

import math
import os
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.streams import stream
from ketwire.errors import ScenarioError
from ketwire.nodes import datasets
from ketwire.nodes.models import read_layer
from ketwire.nodes.npyfiles import read_npy
from ketwire.protocols.loaded import labels_of
from ketwire.protocols.node import Json, Loader

Arrays = dict[str, NDArray[Any]]

MAX_OCTETS = 1 << 30
MAX_TEXT_OCTETS = 1 << 28
MAX_PROGRAM_OCTETS = 1 << 22


def make_loader(owner: str, own_key: bytes, base: str) -> Loader:
    """The loader of one owner.

    Args:
        owner: its name; of a trained model it reads its own part alone.
        own_key: its data key; its random sources follow from it and from where the scenario names them.
        base: the folder that relative paths start from.
    """

    def load(key: str, source: dict[str, Json]) -> Arrays:
        if "path" in source:
            return _from_file(key, source, base)
        if "values" in source:
            return {"values": _checked(f"{key}.values", _from_values(key, source["values"]))}
        if "random" in source:
            return {"values": _from_random(key, source, own_key)}
        if "dataset" in source:
            return _from_dataset(key, source)
        if "trained" in source:
            return _from_model(key, source, owner, base)
        if "graphs" in source or "set" in source or "graph_model" in source:
            return _of_graphs(key, source, base)
        raise ScenarioError(
            f"{key}: a source with {_list(source)} given, expected one with path, values, random, dataset, graphs or "
            "trained"
        )

    return load


def require_labels(arrays: Arrays, where: str, count: int | None = None) -> NDArray[np.int64]:
    """`labels`, or `values` where the source has only labels.

    Args:
        arrays: what a loader answered.
        where: the scenario's key, for errors.
        count: how many there must be.

    Returns:
        int64, shape (count,).

    Raises:
        ScenarioError: they are not whole numbers in one row, or not `count` of them.
    """
    labels = labels_of(where, arrays)
    if labels.ndim != 1:
        raise ScenarioError(f"{where}: labels of shape {labels.shape} given, expected a flat list of them")
    if count is not None and len(labels) != count:
        raise ScenarioError(f"{where}: {len(labels)} labels given, expected {count}")
    return _whole(labels, where)


def _from_file(where: str, source: dict[str, Json], base: str) -> Arrays:
    given = source["path"]
    path = os.path.join(base, os.path.expanduser(str(given)))
    suffix = os.path.splitext(path)[1]
    readers = {".npy": _read_npy_file, ".npz": _read_npz, ".csv": _read_csv, ".qasm": _read_octets}
    if suffix not in readers:
        raise ScenarioError(f"{where}.path: {given!r} given, expected a .npy, .npz or .csv file")
    limit = {".csv": MAX_TEXT_OCTETS, ".qasm": MAX_PROGRAM_OCTETS}.get(suffix, MAX_OCTETS)
    try:
        if not os.path.isfile(path):
            raise ScenarioError("no such file, expected one that can be read")
        if os.path.getsize(path) > limit:
            raise ScenarioError(f"more than {limit} octets, expected fewer")
        with open(path, "rb") as file:
            arrays = readers[suffix](file, source)
        if suffix != ".qasm":
            arrays["values"] = _checked("", arrays["values"])
    except ScenarioError as error:
        raise ScenarioError(f"{where}.path: {path}: {str(error).removeprefix(': ')}") from None
    except (OSError, EOFError, MemoryError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        # The text of other errors may quote the file.
        told = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise ScenarioError(f"{where}.path: {path}: {told}, expected a readable {suffix} file") from None
    return arrays


def _from_model(where: str, source: dict[str, Json], owner: str, base: str) -> Arrays:
    path = os.path.join(base, os.path.expanduser(str(source["trained"])))
    return read_layer(f"{where}.trained", path, owner, int(source["layer"]))


def _of_graphs(where: str, source: dict[str, Json], base: str) -> Arrays:
    from ketwire.nodes.graphs import folders  # noqa: PLC0415 (most parties have none)

    def placed(given: Json) -> str:
        return os.path.join(base, os.path.expanduser(str(given)))

    if "graphs" in source:
        return folders.rows_source(where, placed(source["folder"]), source)
    if "set" in source:
        return folders.set_source(where, placed(source["folder"]), str(source["set"]))
    return folders.model_source(where, placed(source["graph_model"]))


def _read_octets(file: IO[bytes], source: dict[str, Json]) -> Arrays:
    """A text as its octets; the caller parses them."""
    return {"values": np.frombuffer(file.read(MAX_PROGRAM_OCTETS), np.uint8)}


def _read_npy_file(file: IO[bytes], source: dict[str, Json]) -> Arrays:
    size = os.fstat(file.fileno()).st_size
    return {"values": read_npy(file, size)}


def _read_npz(file: IO[bytes], source: dict[str, Json]) -> Arrays:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        name = source.get("array")
        if name is None and len(members) == 1:
            name = next(iter(members))
        if name not in members:
            given = "no array" if name is None else f"array {name!r}"
            raise ScenarioError(f"{given} given, expected the name of one of its {len(members)} arrays")
        info = members[name]
        if info.file_size > MAX_OCTETS:
            raise ScenarioError(f"array {name!r} unpacks to more than {MAX_OCTETS} octets, expected fewer")
        with archive.open(info) as member:
            return {"values": read_npy(member, info.file_size)}


def _read_csv(file: IO[bytes], source: dict[str, Json]) -> Arrays:
    from ketwire.nodes.tables import read_table  # noqa: PLC0415 (most parties read no table)

    return read_table(file.read(MAX_TEXT_OCTETS + 1), source)


def _from_values(where: str, values: Json) -> NDArray[Any]:
    try:
        array = np.array(values)
    except (ValueError, OverflowError):
        told = "lists of unequal length given, expected equally long ones"
        raise ScenarioError(f"{where}.values: {told}") from None
    if array.size and array.dtype.kind not in "iuf":
        raise ScenarioError(f"{where}.values: {_first_odd(values)!r} given, expected numbers alone")
    return array


def _first_odd(values: Json) -> Json:
    """The first entry that is no number."""
    if isinstance(values, list):
        return next((odd for odd in map(_first_odd, values) if odd is not None), None)
    if isinstance(values, int) and not isinstance(values, bool):
        return None if -(2**63) <= values < 2**63 else str(values)  # a float may be as large as it likes
    return None if isinstance(values, float) else str(values)


def _from_random(where: str, source: dict[str, Json], key: bytes) -> NDArray[np.float64]:
    shape = source.get("shape")
    whole = isinstance(shape, list) and all(isinstance(n, int) and n > 0 for n in shape)
    if not (isinstance(shape, list) and shape and whole and math.prod(shape) * 8 <= MAX_OCTETS):
        given = "missing required key" if shape is None else f"{shape!r} given"
        raise ScenarioError(
            f"{where}.shape: {given}, expected a list of whole numbers above 0, "
            f"{MAX_OCTETS // 8} entries at most in all"
        )
    generator = stream(key, f"data {where}")
    law = source["random"]
    if law == "angles":
        return generator.uniform(0.0, 2.0 * math.pi, shape)
    if law == "normal":
        return generator.standard_normal(shape)
    if law == "signs":
        return (generator.integers(0, 2, shape) * 2 - 1).astype(np.float64)
    raise ScenarioError(f"{where}.random: {law!r} given, expected angles, normal or signs")


def _from_dataset(where: str, source: dict[str, Json]) -> Arrays:
    """A part of a data set of scikit-learn, split with its classes in proportion."""
    name, part = source["dataset"], source.get("part")
    if name not in datasets.FILES:
        raise ScenarioError(f"{where}.dataset: {name!r} given, expected digits or breast-cancer")
    if part not in ("train", "test"):
        raise ScenarioError(f"{where}.part: {part!r} given, expected train or test")
    try:
        train, test, train_labels, test_labels = datasets.split(name)
    except ImportError:
        raise ScenarioError(
            f"{where}.dataset: {name!r} needs scikit-learn, which is not installed; "
            "expected it there (pip install 'ketwire[demo]')"
        ) from None
    values = train if part == "train" else test
    if name == "breast-cancer":
        # Standardised by what the training part shows. For an offset, append a constant.
        values = (values - train.mean(axis=0)) / train.std(axis=0)
    chosen = train_labels if part == "train" else test_labels
    if (classes := source.get("classes")) is not None:
        for index, given in enumerate(classes):
            if given not in chosen or given in classes[:index]:
                known = _list(np.unique(chosen))
                raise ScenarioError(f"{where}.classes.{index}: {given} given, expected one of {known}, each once")
        among = np.isin(chosen, classes)
        values, chosen = values[among], chosen[among]
    if (columns := source.get("columns")) is not None:
        for index, given in enumerate(columns):
            if not 0 <= given < values.shape[1] or given in columns[:index]:
                told = f"expected one from 0 to {values.shape[1] - 1}, each once"
                raise ScenarioError(f"{where}.columns.{index}: {given} given, {told}")
        values = values[:, columns]
    return {"values": np.array(values, dtype=np.float64), "labels": chosen.astype(np.int64)}


def _checked(where: str, array: NDArray[Any]) -> NDArray[Any]:
    """The array as float64 or complex128, refused where it is empty or holds what is no finite number."""
    if array.size == 0:
        raise ScenarioError(f"{where}: an array of shape {array.shape} given, expected at least one number")
    values = np.ascontiguousarray(array, dtype=np.complex128 if np.iscomplexobj(array) else np.float64)
    odd = np.flatnonzero(~np.isfinite(values))
    if len(odd):
        index = tuple(int(i) for i in np.unravel_index(odd[0], values.shape))
        raise ScenarioError(f"{where}: an entry at {index} that is not finite given, expected finite numbers")
    return values


def _whole(labels: NDArray[Any], where: str) -> NDArray[np.int64]:
    odd = np.flatnonzero((labels != np.rint(labels)) | (np.abs(labels) > 2**53))
    if len(odd):
        raise ScenarioError(f"{where}: a fraction given as label {odd[0]}, expected whole numbers")
    return labels.astype(np.int64)


def _list(names: Any) -> str:
    return ", ".join(map(str, names)) or "nothing"
