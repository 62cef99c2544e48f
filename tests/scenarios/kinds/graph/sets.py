"""Small sets of graphs in files, with networks of random weights, and scenarios about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ketwire.nodes.graphs.modelfile import write_graph_model
from ketwire.nodes.inline import run_inline
from ketwire.protocols.graph.operators import Hops
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.load import Loaded, validate
from ketwire.scenarios.runs.results import Counted, run_result
from tests.protocols.graph.networks import random_model

IDEAL = {"fiber": "ideal", "length_km": 1}
TAGS, WORDS = 3, 6
HOPS = (Hops("gcn", 1), Hops("ppr", 1))


def write_molecules(folder: Path, graphs: int = 20, seed: int = 0) -> None:
    """SMALL.txt: graphs of two to six nodes, two classes; graph 0 is one isolated node. And a network, graph.npz."""
    rng = np.random.default_rng(seed)
    lines = [str(graphs)]
    for number in range(graphs):
        nodes = 1 if number == 0 else int(rng.integers(2, 7))
        lines.append(f"{nodes} {number % 2}")
        near: list[set[int]] = [set() for _ in range(nodes)]
        for first in range(nodes):
            for second in range(first):
                if rng.random() < 0.5:
                    near[first].add(second)
                    near[second].add(first)
        lines += [" ".join(map(str, [node % TAGS, len(own), *sorted(own)])) for node, own in enumerate(near)]
    (folder / "SMALL.txt").write_text("\n".join(lines) + "\n")
    write_graph_model(folder / "graph.npz", random_model(rng, "graph", HOPS, TAGS, 4, 2))


def write_citations(folder: Path, nodes: int = 14, classes: int = 3, seed: int = 1) -> None:
    """ind.words.npz: one graph, the last five nodes tested, the last but one without features. And node.npz."""
    rng = np.random.default_rng(seed)
    rows = (rng.random((nodes, WORDS)) < 0.4).astype(np.float64)
    rows[-2] = 0.0
    near = [sorted({(node + 1) % nodes, (node - 1) % nodes}) for node in range(nodes)]
    labels = np.eye(classes, dtype=np.int64)[rng.integers(0, classes, nodes)]
    known = nodes - 5
    parts: dict[str, Any] = {
        "y": labels[:3], "ty": labels[known:], "ally": labels[:known], "graph_keys": np.arange(nodes),
        "graph_indptr": np.arange(nodes + 1) * 2, "graph_neighbors": np.array(near).reshape(-1),
        "test_index": np.arange(known, nodes),
    }  # fmt: skip
    for name, block in (("x", rows[:3]), ("allx", rows[:known]), ("tx", rows[known:])):
        filled = np.nonzero(block)
        lengths = np.count_nonzero(block, axis=1)
        parts |= {f"{name}_data": block[filled], f"{name}_indices": filled[1], f"{name}_shape": np.array(block.shape),
                  f"{name}_indptr": np.concatenate([[0], np.cumsum(lengths)])}  # fmt: skip
    np.savez(folder / "ind.words.npz", **parts)
    write_graph_model(folder / "node.npz", random_model(rng, "node", (Hops("sign", 2),), WORDS, 3, classes))


def scenario(folder: Path, link: dict[str, Any] = IDEAL, **protocol: Any) -> Loaded:
    """Nodes at alice and bob, the network at carol, who is linked to bob and to dave."""
    if (protocol.get("ask") or {}).keys() & {"nodes", "pairs"}:
        data = {"folder": ".", "set": "words", "model": "node.npz"}
    else:
        data = {"folder": ".", "set": "SMALL", "model": "graph.npz"}
    ways = [["alice", "bob"], ["bob", "carol"], ["carol", "dave"]]
    told = {
        "seed": 5,
        "nodes": {name: {} for name in ("alice", "bob", "carol", "dave")},
        "links": [{"between": way, **link} for way in ways],
        "protocol": {"kind": "graph", "owners": ["alice", "bob"], "network": "carol", "data": data, "copies": 400,
                     **protocol},
    }  # fmt: skip
    return validate(told, "test.yaml", "test", str(folder))


def result(loaded: Loaded, check: bool = True) -> dict[str, Any]:
    """What a run in one process comes to."""
    kind, spec, network = loaded.kind, loaded.scenario.protocol, loaded.network()
    results = run_inline(loaded.run(), base=loaded.base)
    summary = kind.summarise(spec, results, Judge(network))
    references = [kind.exact(spec, network, network.loaders())] if check else []
    made = run_result(kind.Result, Counted.of({}, results, 0.0), summary, references)
    compared = kind.compared(spec, summary, made)
    return run_result(kind.Result, Counted.of({}, results, 0.0), compared, references).told()
