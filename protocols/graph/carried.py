"""Graphs and graph networks as the named arrays that a loader answers with, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.graph.model import GraphModel, LayerNorm
from ketwire.protocols.graph.operators import Hops, sparse
from ketwire.protocols.graph.questions import Graphs

Arrays = Mapping[str, NDArray[Any]]
_MODEL = ("weights", "shift", "coefficients", "head", "head_bias")


def graph_arrays(features: Any, edges: NDArray[np.int64], member: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The nodes of a set: features as a sparse matrix in CSR form, edges, and of which graph each node is."""
    parts = {"data": features.data, "indices": features.indices, "indptr": features.indptr}
    return {**parts, "shape": np.array(features.shape), "edges": edges, "member": member}


def graphs_of(arrays: Arrays) -> Graphs:
    """What `graph_arrays` made."""
    parts = (arrays["data"], arrays["indices"], arrays["indptr"])
    shape = (int(arrays["shape"][0]), int(arrays["shape"][1]))
    return Graphs(sparse().csr_array(parts, shape=shape), arrays["edges"], arrays["member"])


def model_arrays(model: GraphModel) -> dict[str, NDArray[Any]]:
    """A network: its arrays, and the rest as JSON in octets."""
    norm = model.layer_norm
    told = {"task": model.task, "hops": [[each.operator, each.count] for each in model.hops],
            "activation": model.activation, "epsilon": None if norm is None else norm.epsilon}  # fmt: skip
    more = {} if norm is None else {"gain": norm.gain, "offset": norm.offset}
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    return {**{name: getattr(model, name) for name in _MODEL}, **more, "text": text}


def model_of(arrays: Arrays) -> GraphModel:
    """What `model_arrays` made."""
    told = json.loads(arrays["text"].tobytes())
    norm = None if told["epsilon"] is None else LayerNorm(arrays["gain"], arrays["offset"], told["epsilon"])
    hops = tuple(Hops(name, count) for name, count in told["hops"])
    weights, shift, coefficients, head, bias = (np.asarray(arrays[name], np.float64) for name in _MODEL)
    return GraphModel(told["task"], hops, weights, shift, told["activation"], coefficients, head, bias, norm)
