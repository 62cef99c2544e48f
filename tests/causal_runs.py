"""Random runs for the tracer of causality (tests/causal.py): programs of random acts, and random scenarios.

Each is made of a seed alone. All are small: a few copies over one to three links.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ketwire.channels import copies as copies_module
from ketwire.channels.copies import Copies
from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.messages import Answers
from ketwire.channels.parts import Memory
from ketwire.channels.transports import Coded, Direct, Teleport
from ketwire.nodes.session import Link, Run, Session
from ketwire.protocols.node import Json, Loader, Node, Outcome
from ketwire.quantum import layers
from ketwire.quantum.observables import Projector
from ketwire.scenarios.load import validate

Data = dict[str, Any]


@dataclass(frozen=True)
class Acts:
    """What a party does, in order."""

    acts: Json


@dataclass(frozen=True)
class Seen(Outcome):
    """What it saw."""

    seen: list[int]


class ActingParty:
    """Does what its slice lists: sends, receives, looks at what it holds in all the ways that there are."""

    Slice, Outcome = Acts, Seen

    def __init__(self, slice: Acts, load: Loader) -> None:
        self.acts: list[Data] = slice.acts
        self.shapes: dict[str, Any] = {}

    async def run(self, node: Node) -> Seen:
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
        return Seen(seen)

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


def line(rng: np.random.Generator, sender: Hardware, receiver: Hardware) -> Line:
    """A random direction: it loses no photon, one in ten, or half of them."""
    survival = float(rng.choice([1.0, 0.9, 0.5]))
    ends: Data = {"sender_message_ps": sender.message_ps, "receiver_message_ps": receiver.message_ps}
    ends |= {"sender_gates": sender.gates, "receiver_gates": receiver.gates}
    fiber = Fiber(
        length_km=float(rng.choice([0.0, 0.2, 5.0, 40.0])),
        detector_efficiency=survival,
        emission_rate_hz=rng.choice([None, 1e6, 5e4]),
        bandwidth_bps=rng.choice([None, 1e7, 1e5]),
        classical_delay_s=float(rng.choice([0.0, 0.0, 1e-5])),
    )
    kind = rng.integers(4)
    if kind == 0:
        slots = int(rng.integers(1, 5))
        return Line(fiber, transport=Teleport(scheme="given", rate_hz=2e5, fidelity=0.9, memory_slots=slots), **ends)
    if kind == 1:
        return Line(fiber, transport=Coded(code="[[4,2,2]]", gate_ps=int(rng.choice([0, 10**6]))), **ends)
    return Line(fiber, transport=Direct(), **ends)


def hardware(rng: np.random.Generator) -> Hardware:
    message_ps = int(rng.choice([0, 0, 2 * 10**7]))
    if rng.random() < 0.5:
        return Hardware(message_ps=message_ps)
    times = [int(rng.choice([0, 3 * 10**6, 10**8])) for _ in range(4)]
    return Hardware(Memory(t2_ps=float(rng.choice([1e9, 1e12]))), *times, p_readout=float(rng.choice([0.0, 0.1])),
                    message_ps=message_ps)  # fmt: skip


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
        drawn = rng.choice(["apply", "contract"], int(rng.integers(3)))
        work = [str(each) for each in drawn if dead or each == "apply"]
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
    made = {party: hardware(rng) for party in parties}
    links = tuple(Link((a, b), line(rng, made[a], made[b]), line(rng, made[b], made[a])) for a, b in ends)
    slices = {party: Acts(acts[party]) for party in parties}
    session = Session("s", "quantum", f"{__name__}:ActingParty", slices)
    return Run(seed, parties, links, (session,), hardware=made)


# ---------------------------------------------------------------- scenarios


def link(rng: np.random.Generator, *ends: str, survivals: tuple[float, ...] = (1.0,), direct: bool = False) -> Data:
    told: Data = {"between": list(ends), "fiber": "ideal", "length_km": float(rng.choice([0.1, 1.0, 20.0]))}
    if rng.random() < 0.5:
        told["bandwidth_bps"] = float(rng.choice([1e9, 1e6]))
    kind = 5 if direct else rng.integers(6)
    if kind == 0:
        return told | {"transport": "teleport", "scheme": "given", "rate_hz": 2e5, "fidelity": 0.9, "memory_slots": 3}
    told |= {"emission_rate_hz": float(rng.choice([1e6, 1e5])), "detector_efficiency": float(rng.choice(survivals))}
    return told | {"transport": "coded", "code": "[[4,2,2]]"} if kind == 1 else told


def node(rng: np.random.Generator, perfect: bool) -> Data:
    told = {"message_s": float(rng.choice([0, 0, 1e-5]))}
    if perfect or rng.random() < 0.5:
        return told
    return told | {"gate1_s": float(rng.choice([0, 1e-6])), "readout_s": float(rng.choice([0, 1e-5])), "t2_s": 1.0}


def rotations(at: str) -> Data:
    return {"at": at, "layer": "rotations", "axes": ["y"], "entangle": "none", "angles": {"random": "angles"}}


def loaded(rng: np.random.Generator, links: list[Data], protocol: Data, perfect: bool = False) -> Run:
    names = dict.fromkeys(name for each in links for name in each["between"])
    nodes = {name: node(rng, perfect) for name in names}
    data = {"seed": int(rng.integers(1 << 30)), "nodes": nodes, "links": links, "protocol": protocol}
    return validate(data, "random", "random", ".").run()


def inference(seed: int) -> Run:
    """One crossing with many losses, or several with few; half of them in windows, half with contractions."""
    rng = np.random.default_rng([seed, 2])
    path = ["ab", "aba", "abc", "abab"][int(rng.integers(4))]
    survivals = (0.9, 0.4) if len(path) == 2 else (1.0, 0.9, 0.8)
    hops = dict.fromkeys(tuple(sorted(hop)) for hop in pairwise(path))
    links = [link(rng, *ends, survivals=survivals) for ends in hops]
    listed = [rotations(at) for at in path]
    contraction = {"layer": "contraction", "matrix": {"values": [[0.9, 0], [0, 0.7]]}}
    listed[:0] = [{**contraction, "at": path[0]}] * int(rng.integers(2))
    listed += [{**contraction, "at": path[-1]}] * int(rng.integers(2))
    protocol = {"kind": "inference", "qubits": 1, "start": path[0], "copies": int(rng.integers(1, 9)),
                "layers": listed, "dense_state": None}  # fmt: skip
    if rng.random() < 0.5:
        protocol["window"] = int(rng.integers(1, 8))
    return loaded(rng, links, protocol)


def subspace(seed: int) -> Run:
    """Top-ups without a margin."""
    rng = np.random.default_rng([seed, 3])
    protocol = {"kind": "subspace", "task": "promise", "qubits": [2], "trials": 2, "copies": int(rng.integers(1, 4)),
                "block_code": False, "raw": [1], "description": False, "budget_attempts": 1e6}  # fmt: skip
    return loaded(rng, [link(rng, "alice", "bob", survivals=(0.9, 0.4))], protocol)


def decoys(seed: int) -> Run:
    rng = np.random.default_rng([seed, 4])
    protocol = {"kind": "decoys", "qubits": 2, "start": "a", "input": {"random": "normal"}, "copies": 5,
                "decoys": {"share": 0.4, "bases": "zx", "delta": 0.01}, "layers": [rotations("b")],
                "dense_state": None}  # fmt: skip
    return loaded(rng, [link(rng, "a", "b", survivals=(0.9, 0.6), direct=True)], protocol, perfect=True)


def amplitude(seed: int) -> Run:
    """Registers that go to and fro; one crossing in a hundred fails."""
    rng = np.random.default_rng([seed, 5])
    protocol = {"kind": "inference", "estimation": "amplitude", "qubits": 1, "start": "a", "epsilon": 0.25,
                "delta": 0.4, "layers": [rotations("a"), rotations("b")], "dense_state": None}  # fmt: skip
    return loaded(rng, [link(rng, "a", "b", survivals=(1.0, 0.99), direct=True)], protocol, perfect=True)


def gradient(seed: int) -> Run:
    rng = np.random.default_rng([seed, 6])
    names = ["direct", "commuting", "random-coordinate", "parameter-shift"]
    protocol = {"kind": "gradient", "qubits": 1, "start": "a", "copies": 4, "dense_state": None,
                "estimators": [str(rng.choice(names))], "layers": [rotations("a"), rotations("b")]}  # fmt: skip
    if rng.random() < 0.5:
        protocol["window"] = 3
    return loaded(rng, [link(rng, "a", "b", survivals=(1.0, 0.9))], protocol)


def chain(seed: int) -> Run:
    """Two to four hops, half of them in turn, half with a distillation on the way."""
    rng = np.random.default_rng([seed, 7])
    names = [*["a", "r1", "r2", "r3"][: int(rng.integers(2, 5))], "b"]
    base = {"fiber": "ideal", "transport": "teleport", "scheme": "given", "rate_hz": 1e4, "fidelity": 0.95}
    links: list[Data] = [
        {"between": list(ends), **base, "length_km": float(rng.choice([1, 5, 20])), "memory_slots": 4,
         "bandwidth_bps": float(rng.choice([1e9, 1e5]))}
        for ends in pairwise(names)
    ]  # fmt: skip
    end: Data = {"between": ["a", "b"], "fiber": "ideal", "transport": "teleport", "via": names[1:-1],
                 "length_km": 40.0}  # fmt: skip
    if rng.random() < 0.5:
        end["generation"] = "sequential"
    if rng.random() < 0.4:
        end |= [{"cutoff_s": 5e-4}, {"cutoff_attempts": 1500}][int(rng.integers(2))]
    if rng.random() < 0.5:
        end["distill_spans"] = [int(rng.integers(2, len(names)))]
    path = ["a", "b", "a"][: int(rng.integers(2, 4))]
    protocol = {"kind": "inference", "qubits": 1, "start": "a", "copies": 4, "dense_state": None,
                "layers": [rotations(at) for at in path]}  # fmt: skip
    return loaded(rng, [*links, end], protocol)


def training(seed: int) -> Run:
    """Two steps of few samples, each validated; copies that adapt."""
    rng = np.random.default_rng([seed, 8])
    samples, labels = rng.normal(size=(6, 2)).tolist(), [3, 8, 8, 3, 8, 3]
    protocol = {
        "kind": "training", "qubits": 2, "start": "a", "layers": [rotations(at) for at in "aba"],
        "data": {part: {"values": samples} for part in ("train", "test")},
        "labels": {part: {"values": labels} for part in ("train", "test")},
        "estimator": str(rng.choice(["direct", "parameter-shift"])), "optimiser": {"name": "adam", "rate": 0.05},
        "copies": 2, "loss_copies": 2, "test_copies": 1, "steps": 2, "batch": 2, "rivals": {"backprop": [], "raw": []},
        "adaptive": {"ratio": 0.3, "most": 4}, "validation": {"share": 0.4, "every": 1, "copies": 1, "patience": 1},
    }  # fmt: skip
    return loaded(rng, [link(rng, "a", "b", survivals=(1.0, 0.9), direct=True)], protocol)


def sent_on(seed: int) -> Run:
    return program(seed, dead=True)


RUNS: dict[str, tuple[Callable[[int], Run], int]] = {
    "programs": (program, 200),
    "programs that send on what is lost": (sent_on, 90),
    "inference": (inference, 65),
    "subspace": (subspace, 50),
    "decoys": (decoys, 20),
    "amplitude": (amplitude, 20),
    "gradient": (gradient, 20),
    "chain": (chain, 31),
    "training": (training, 4),
}
"""How to make them, and how many make up 500."""
