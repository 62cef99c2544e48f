"""Random runs for the tracer of causality (tests/causal.py): programs of random acts, and random scenarios.

Each is made of a seed alone. All are small: a few copies over one to three links.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from ketwire.channels import copies as copies_module
from ketwire.channels.copies import Copies
from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Coded, Direct, Line, Memory, Teleport
from ketwire.channels.messages import Answers
from ketwire.nodes.session import Link, Run, Session
from ketwire.protocols.node import Loader, Node, Outcome, Slice
from ketwire.quantum import layers
from ketwire.quantum.observables import Projector
from ketwire.scenarios.load import validate

Data = dict[str, Any]


class ActingParty:
    """Does what its slice lists: sends, receives, looks at what it holds in all the ways that there are."""

    def __init__(self, slice: Slice, load: Loader) -> None:
        self.acts: list[Data] = slice.values["acts"]
        self.shapes: dict[str, Any] = {}

    async def run(self, node: Node) -> Outcome:
        held: list[Copies] = []
        seen: list[int] = []
        receipt = None
        for act in self.acts:
            if act["do"] == "send":
                receipt = await node.send(act["peer"], held.pop(0) if held else self._made(node, act))
            elif act["do"] == "receive":
                copies = await node.receive(act["peer"], Copies)
                seen += self._dealt(node, act, copies, held)
            elif act["do"] == "tell":
                await node.send(act["peer"], Answers(np.arange(act["entries"]), 20))
            elif act["do"] == "hear":
                await node.receive(act["peer"], Answers)
            elif receipt is not None:
                seen.append(int(receipt.lost.sum()))
        return Outcome({"seen": seen})

    def _made(self, node: Node, act: Data) -> Copies:
        rows = np.eye(1 << act["qubits"], dtype=np.complex128)[: len(act["counts"])]
        copies = node.prepare(rows, np.array(act["counts"]))
        return self._worked(node, act["work"], copies)

    def _worked(self, node: Node, work: list[str], copies: Copies) -> Copies:
        for what in work:
            if what == "apply":
                copies = node.apply(layers.hadamards(copies.qubits), copies, np.zeros(0))
            elif what == "contract":
                copies = node.contract(math.sqrt(0.6) * np.eye(1 << copies.qubits), copies)
            elif what == "alive":
                copies.alive  # noqa: B018
            elif what == "living":
                copies, _ = copies.part(copies.alive)
            elif what == "store":
                copies = node.store(copies)
            elif what == "shuffle":
                odd = np.arange(len(copies)) % 2 == 1
                copies = copies_module.join(copies.part(odd), np.argsort(node.random("order").random(len(odd))))
        return copies

    def _dealt(self, node: Node, act: Data, copies: Copies, held: list[Copies]) -> list[int]:
        copies = self._worked(node, act["work"], copies)
        groups = np.arange(len(copies)) * act["groups"] // max(len(copies), 1)
        if act["end"] == "hold" and len(copies):
            held.append(copies)
            return []
        if act["end"] in ("measure", "hold"):
            return [int(count) for count in node.measure(copies, Projector(0), groups, act["groups"]).ravel()]
        keep = node.keep(copies, groups, np.full(act["groups"], act["most"]))
        if act["end"] == "collect":
            stock = node.collect(copies, groups, keep)
            return [len(stock), *keep.taken.tolist()]
        seen = [int(count) for count in node.measure(copies, Projector(0), groups, act["groups"], keep).ravel()]
        return seen + (keep.came if act["end"] == "came" else keep.taken).tolist()


def lines(rng: np.random.Generator, lossless: bool = False) -> Line:
    """A random direction: where it can lose anything, a photon in ten to half of them."""
    survival = 1.0 if lossless else float(rng.choice([1.0, 0.9, 0.5]))
    fiber = Fiber(
        length_km=float(rng.choice([0.0, 0.2, 5.0, 40.0])),
        detector_efficiency=survival,
        emission_rate_hz=rng.choice([None, 1e6, 5e4]),
        bandwidth_bps=rng.choice([None, 1e7, 1e5]),
    )
    kind = rng.integers(4)
    if kind == 0:
        slots = int(rng.integers(1, 5))
        return Line(fiber, transport=Teleport(scheme="given", rate_hz=2e5, fidelity=0.9, memory_slots=slots))
    if kind == 1:
        return Line(fiber, transport=Coded(code="[[4,2,2]]", gate_ps=int(rng.choice([0, 10**6]))))
    return Line(fiber, transport=Direct())


def hardware(rng: np.random.Generator) -> Hardware:
    if rng.random() < 0.5:
        return Hardware()
    times = [int(rng.choice([0, 3 * 10**6, 10**8])) for _ in range(4)]
    return Hardware(Memory(t2_ps=float(rng.choice([1e9, 1e12]))), *times, p_readout=float(rng.choice([0.0, 0.1])))


def program(seed: int, dead: bool = False) -> Run:
    """Two or three parties that act at random. dead: what is lost may be sent on, and contractions go before links."""
    rng = np.random.default_rng([seed, 1])
    parties = ("alice", "bob", "carol")[: int(rng.integers(2, 4))]
    ends = [(a, b) for k, a in enumerate(parties) for b in parties[k + 1 :]]
    acts: dict[str, list[Data]] = {party: [] for party in parties}
    for _ in range(int(rng.integers(3, 10))):
        a, b = (str(party) for party in rng.permutation(parties)[:2])
        if rng.random() < 0.35:
            acts[a].append({"do": "tell", "peer": b, "entries": int(rng.integers(1, 9))})
            acts[b].append({"do": "hear", "peer": a})
            continue
        work = [str(each) for each in rng.choice(["apply", "contract"], int(rng.integers(3))) if dead or each == "apply"]
        counts = rng.integers(1, 6, int(rng.integers(1, 3))).tolist()
        acts[a].append({"do": "send", "peer": b, "qubits": int(rng.integers(1, 3)), "counts": counts, "work": work})
        if rng.random() < 0.3:
            acts[a].append({"do": "look"})
        kinds = ["apply", "alive", "living", "store", "shuffle", "contract"]
        work = [str(each) for each in rng.choice(kinds, int(rng.integers(3)))]
        end = str(rng.choice(["hold", "measure", "taken", "came", "collect"]))
        if end == "hold" and not dead:
            work.append("living")
        acts[b].append({"do": "receive", "peer": a, "work": work, "end": end, "groups": int(rng.integers(1, 4)),
                        "most": int(rng.integers(4))})  # fmt: skip
    links = tuple(Link(each, lines(rng), lines(rng)) for each in ends)
    slices = {party: Slice({"acts": acts[party]}) for party in parties}
    session = Session("s", "quantum", f"{__name__}:ActingParty", slices)
    return Run(seed, parties, links, (session,), hardware={party: hardware(rng) for party in parties})


# ---------------------------------------------------------------- scenarios


def link(rng: np.random.Generator, *ends: str, lossless: bool = False, direct: bool = False) -> Data:
    told: Data = {"between": list(ends), "fiber": "ideal", "length_km": float(rng.choice([0.1, 1.0, 20.0]))}
    if rng.random() < 0.5:
        told["bandwidth_bps"] = float(rng.choice([1e9, 1e6]))
    kind = 5 if direct else rng.integers(6)
    if kind == 0:
        return told | {"transport": "teleport", "scheme": "given", "rate_hz": 2e5, "fidelity": 0.9, "memory_slots": 3}
    told["emission_rate_hz"] = float(rng.choice([1e6, 1e5]))
    if not lossless:
        told["detector_efficiency"] = float(rng.choice([0.9, 0.4]))
    return told | {"transport": "coded", "code": "[[4,2,2]]"} if kind == 1 else told


def node(rng: np.random.Generator) -> Data:
    if rng.random() < 0.5:
        return {}
    return {"gate1_s": float(rng.choice([0, 1e-6])), "readout_s": float(rng.choice([0, 1e-5])), "t2_s": 1.0}


def rotations(at: str) -> Data:
    return {"at": at, "layer": "rotations", "axes": ["y"], "entangle": "none", "angles": {"random": "angles"}}


def loaded(rng: np.random.Generator, links: list[Data], protocol: Data, plain: bool = False) -> Run:
    names = dict.fromkeys(name for each in links for name in each["between"])
    nodes = {name: {} if plain else node(rng) for name in names}
    data = {"seed": int(rng.integers(1 << 30)), "nodes": nodes, "links": links, "protocol": protocol}
    return validate(data, "random", "random", ".").run()


def inference(seed: int, dead: bool = False, **given: Any) -> Run:
    """An inference over one crossing, or over more: with losses if `dead`. Half of them in windows."""
    rng = np.random.default_rng([seed, 2])
    path = ["ab", "aba", "abc", "abab"][int(rng.integers(4))]
    if dead or len(path) == 2:
        links = [link(rng, *ends) for ends in dict.fromkeys(tuple(sorted(hop)) for hop in pairwise(path))]
    else:
        links = [link(rng, *ends, lossless=True) for ends in dict.fromkeys(tuple(sorted(hop)) for hop in pairwise(path))]
    listed = [rotations(at) for at in path]
    contraction = {"at": path[-1], "layer": "contraction", "matrix": {"values": [[0.8, 0], [0, 0.5]]}}
    if rng.random() < 0.5:
        listed.append(contraction)
    if dead:
        listed.insert(0, {**contraction, "at": path[0]})
    qubits = 1
    protocol = {"kind": "inference", "qubits": qubits, "start": path[0], "copies": int(rng.integers(1, 12)),
                "layers": listed, "dense_state": None, **given}  # fmt: skip
    if "estimation" not in given and rng.random() < 0.5:
        protocol["window"] = int(rng.integers(1, 8))
    return loaded(rng, links, protocol)


def subspace(seed: int) -> Run:
    rng = np.random.default_rng([seed, 3])
    protocol = {"kind": "subspace", "task": "promise", "qubits": [int(rng.integers(2, 4))], "trials": 2,
                "copies": int(rng.integers(1, 4)), "block_code": False, "raw": [1], "description": False,
                "budget_attempts": 1e6}  # fmt: skip
    return loaded(rng, [link(rng, "alice", "bob")], protocol)


def decoyed(seed: int) -> Run:
    rng = np.random.default_rng([seed, 4])
    protocol = {"kind": "decoys", "qubits": 2, "start": "alice", "input": {"random": "normal"}, "copies": 10,
                "decoys": {"share": 0.4, "bases": "zx", "delta": 0.01}, "layers": [rotations("bob")],
                "dense_state": None}  # fmt: skip
    return loaded(rng, [link(rng, "alice", "bob", direct=True)], protocol, plain=True)


def amplitude(seed: int) -> Run:
    """Registers that bounce; without losses, so that none that is dead crosses a link."""
    rng = np.random.default_rng([seed, 5])
    links = [link(rng, "alice", "bob", lossless=True)]
    protocol = {"kind": "inference", "estimation": "amplitude", "qubits": 1, "start": "alice", "epsilon": 0.2,
                "delta": 0.3, "layers": [rotations("alice"), rotations("bob")], "dense_state": None}  # fmt: skip
    return loaded(rng, links, protocol, plain=True)


def gradient(seed: int, lossless: bool = True) -> Run:
    rng = np.random.default_rng([seed, 6])
    names = ["direct", "commuting", "random-coordinate", "parameter-shift"]
    protocol = {"kind": "gradient", "qubits": 1, "start": "alice", "copies": 8, "dense_state": None,
                "estimators": [str(rng.choice(names))], "layers": [rotations("alice"), rotations("bob")]}  # fmt: skip
    if rng.random() < 0.5:
        protocol["window"] = 3
    return loaded(rng, [link(rng, "alice", "bob", lossless=lossless)], protocol)


def chain(seed: int, copies: int = 6) -> Run:
    """Two to four hops, sometimes in turn, sometimes with a distillation on the way."""
    rng = np.random.default_rng([seed, 7])
    names = ["alice", "r1", "r2", "r3"][: int(rng.integers(2, 5))] + ["bob"]
    base = {"fiber": "ideal", "transport": "teleport", "scheme": "given", "rate_hz": 1e4, "fidelity": 0.95}
    links: list[Data] = [
        {"between": list(ends), **base, "length_km": float(rng.choice([1, 5, 20])), "memory_slots": 4}
        for ends in pairwise(names)
    ]
    end: Data = {"between": ["alice", "bob"], "fiber": "ideal", "transport": "teleport", "via": names[1:-1],
                 "length_km": 40.0}  # fmt: skip
    if rng.random() < 0.5:
        end["generation"] = "sequential"
    if rng.random() < 0.5:
        end["distill_spans"] = [int(rng.integers(2, len(names)))]
    path = ["alice", "bob", "alice"][: int(rng.integers(2, 4))]
    protocol = {"kind": "inference", "qubits": 1, "start": "alice", "copies": copies, "dense_state": None,
                "layers": [rotations(at) for at in path]}  # fmt: skip
    return loaded(rng, [*links, end], protocol, plain=True)


RUNS: dict[str, Callable[[int], Run]] = {
    "program": program,
    "inference": inference,
    "subspace": subspace,
    "decoys": decoyed,
    "amplitude": amplitude,
    "gradient": gradient,
    "chain": chain,
}
