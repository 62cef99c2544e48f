"""The file of a graph network (.npz): written by training, read by inference, without torch and without pickle.

An archive (`ketwire.nodes.checkpoints.archive`) of format ketwire-graph-model 1. `numpy.load` opens it too: member
`head` is JSON as octets and names the arrays, which are members 0, 1, and so on. Its values: task, hops (a list of
[operator, count]), activation, layer_norm (null, or its epsilon) and settings. Its arrays, float64 or float32: weights,
shift, coefficients, head, head_bias, and gain and offset where there is a layer normalisation, which does not fold
into the weights. `ketwire.protocols.graph.model` says what they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ketwire.errors import ScenarioError
from ketwire.nodes.checkpoints.archive import Broken, Content, Format, pack, read, unpack, write
from ketwire.protocols.graph.model import GraphModel, LayerNorm
from ketwire.protocols.graph.operators import Hops

FORMAT = Format("ketwire-graph-model", 1)
MAX_OCTETS = 1 << 30
_ARRAYS = ("weights", "shift", "coefficients", "head", "head_bias")
_NORM = ("gain", "offset")
_VALUES = {"task", "hops", "activation", "layer_norm", "settings"}


def write_graph_model(path: Path, model: GraphModel) -> None:
    """Keep a model; what stands at `path` is replaced. Arrays whose entries all fit into float32 are kept as such.

    Raises:
        ScenarioError: it cannot be written.
    """
    norm = model.layer_norm
    arrays = {name: getattr(model, name) for name in _ARRAYS}
    if norm is not None:
        arrays |= {name: getattr(norm, name) for name in _NORM}
    values = {
        "task": model.task, "hops": [[each.operator, each.count] for each in model.hops],
        "activation": model.activation, "layer_norm": None if norm is None else norm.epsilon,
        "settings": dict(model.settings),
    }  # fmt: skip
    try:
        write(path, pack(values, {name: _narrowed(array) for name, array in arrays.items()}, FORMAT))
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror or error}, expected a folder with room for a model") from None


def _narrowed(array: Any) -> Any:
    with np.errstate(over="ignore"):
        small = array.astype(np.float32)
    return small if np.array_equal(small, array) else array


def read_graph_model(path: Path) -> GraphModel:
    """The model in a file.

    Raises:
        ScenarioError: it is missing, or holds no such model.
    """
    expected = "a graph network that `ketwire gnn train` has kept"
    try:
        return _model(unpack(read(path, MAX_OCTETS), FORMAT))
    except Broken as error:
        raise ScenarioError(str(error).replace("a file of a checkpoint", expected)) from None
    except (ValueError, TypeError, KeyError) as error:
        told = " ".join(str(error).split())[:200]
        raise ScenarioError(f"{path}: {told}, expected {expected}") from None


def _model(content: Content) -> GraphModel:
    values, found = content
    norm = values.get("layer_norm")
    wanted = {*_ARRAYS, *(_NORM if norm is not None else ())}
    if values.keys() != _VALUES or found.keys() != wanted:
        raise ValueError("a head or arrays other than those of a graph network")
    if not all(array.dtype in (np.float32, np.float64) for array in found.values()):
        raise ValueError("arrays that are not float32 or float64")
    arrays = {name: array.astype(np.float64) for name, array in found.items()}
    if not isinstance(values["settings"], dict) or not isinstance(values["hops"], list):
        raise ValueError("hops or settings of another form")
    hops = tuple(Hops(name, count) for name, count in values["hops"])
    layer_norm = None if norm is None else LayerNorm(arrays["gain"], arrays["offset"], float(norm))
    named = {name: arrays[name] for name in _ARRAYS}
    return GraphModel(
        task=values["task"], hops=hops, activation=values["activation"], layer_norm=layer_norm,
        settings=values["settings"], **named,
    )  # fmt: skip
