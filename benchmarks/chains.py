"""Pairs end to end over three hops of 20 km with ten memory slots each, beside SeQUeNCe's router network.

    python -m benchmarks chains [--rounds 11]

chains: pairs per second of processor time. Ours: an inline run that teleports two thousand one-qubit copies over a link
with two repeaters, and so needs as many pairs. SeQUeNCe's: its routers with their reservations, Barrett-Kok generation
and swapping, as in its tutorials, for 40 ms of virtual time; the pairs that its application is handed count.
Without SeQUeNCe (make test-peers installs it) the figure is left out, and the table says so.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.report import LEAST_ROUNDS, Figure, Measure, Rounds
from ketwire.nodes.inline import run_inline
from ketwire.scenarios.load import load

HOPS, SLOTS, HOP_KM, PAIRS = 3, 10, 20, 2000
BEGIN_PS, END_PS = 10**10, 5 * 10**10
BOUND = 700.0  # five times the ratio when this was first measured; a wave's calls on small arrays stand in the way
NAMES = ["alice", "r1", "r2", "bob"]
HOP = "  - {{between: [{0}, {1}], fiber: telecom-fiber, length_km: 20, transport: teleport, memory_slots: 10}}\n"
SCENARIO = """\
seed: 7
nodes: {{alice: {{}}, r1: {{}}, r2: {{}}, bob: {{}}}}
links:
{hops}  - {{between: [alice, bob], fiber: telecom-fiber, transport: teleport, via: [r1, r2]}}
protocol:
  kind: inference
  qubits: 1
  start: alice
  layers: [{{at: bob, layer: hadamards}}]
  copies: {pairs}
  dense_state: null
"""


def ours(folder: Path) -> Any:
    """The quantum session of the chain, ready to run."""
    scenario = folder / "chain.yaml"
    hops = "".join(HOP.format(*ends) for ends in pairwise(NAMES))
    scenario.write_text(SCENARIO.format(hops=hops, pairs=PAIRS), encoding="utf-8")
    run = load(str(scenario)).run()
    return replace(run, sessions=tuple(session for session in run.sessions if session.role == "quantum"))


def network() -> dict[str, Any]:
    """SeQUeNCe's description of the same chain."""
    memories = {"fidelity": 1.0, "efficiency": 1.0, "frequency": 2e4, "coherence_time": -1}
    places = list(enumerate(NAMES))
    return {
        "is_parallel": False, "stop_time": END_PS, "formalism": "ket_vector",
        "templates": {"perfect": {"MemoryArray": memories}},
        "nodes": [
            {"name": name, "type": "QuantumRouter", "seed": place, "template": "perfect",
             "memo_size": SLOTS if place in (0, HOPS) else 2 * SLOTS}
            for place, name in places
        ],
        "qconnections": [
            {"node1": a, "node2": b, "attenuation": 0.0002, "distance": HOP_KM * 1000, "type": "meet_in_the_middle",
             "seed": place}
            for place, (a, b) in enumerate(pairwise(NAMES))
        ],
        "cconnections": [
            {"node1": a, "node2": b, "delay": 5_000_000 * HOP_KM * (there - here)}
            for here, a in places for there, b in places[here + 1 :]
        ],
    }  # fmt: skip


def theirs_s(folder: Path) -> tuple[float, int]:
    """Processor time of their simulation, and the pairs that it delivered."""
    from sequence.app.request_app import RequestApp
    from sequence.topology.router_net_topo import RouterNetTopo

    (folder / "chain.json").write_text(json.dumps(network()), encoding="utf-8")
    topology = RouterNetTopo(str(folder / "chain.json"))
    routers = {router.name: router for router in topology.get_nodes_by_type(RouterNetTopo.QUANTUM_ROUTER)}
    asking, _ = RequestApp(routers["alice"]), RequestApp(routers["bob"])
    topology.get_timeline().init()
    asking.start("bob", BEGIN_PS, END_PS, SLOTS, 0.5)
    begun_s = time.process_time()
    topology.get_timeline().run()
    return time.process_time() - begun_s, int(asking.memory_counter)


def measure(rounds: int) -> list[Figure]:
    if importlib.util.find_spec("sequence") is None:
        print("chains: SeQUeNCe is not installed (make test-peers); its figure is left out", file=sys.stderr)
        return []
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as name:
        run = ours(Path(name))
        run_inline(run)
        for _ in range(max(rounds, LEAST_ROUNDS)):
            begun_s = time.process_time()
            run_inline(run)
            taken["ours"].append((time.process_time() - begun_s) / PAIRS)
            took_s, pairs = theirs_s(Path(name))
            assert pairs > 0
            taken["theirs"].append(took_s / pairs)
    done = Rounds(taken)
    told = f"{1 / done.best('ours'):.3g} a CPU-second over {1 / done.best('theirs'):.3g}"
    return [Figure("chains: pairs end to end over SeQUeNCe's, 3 hops", done.ratio("theirs", "ours"), BOUND, "x",
                   told, done.spread("theirs", "ours"), at_least=True)]


MEASURES: dict[str, Measure] = {"chains": measure}
