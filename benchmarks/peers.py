"""Photons and heralded pairs per second of processor time, beside SeQUeNCe's own channel in the same run.

    python -m benchmarks peers [--rounds 11]

photons: one-qubit copies over 20 km of `telecom-fiber` with depolarizing noise, p = 0.01, through
`Direction.carry`. SeQUeNCe's: photons over 20 km of its `QuantumChannel` of the same loss, which turns one in
a hundred at random (polarization_fidelity = 0.99), each scheduled, sent and received, as in its tutorials.
The two take turns in each round; per photon, the rates are compared.
pairs: heralded pairs of `channels.entanglement.heralding` over 20 km, their times and the states that memories leave.

Without SeQUeNCe (make test-peers installs it) its figure is left out, and the table says so.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.physics import processor_s
from benchmarks.report import Figure, Measure, rounds_of
from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.generation import generate
from ketwire.channels.entanglement.heralding import double_click
from ketwire.channels.entanglement.pairs import decayed_bell, elements, pauli_of_teleportation
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.parts import Noise
from ketwire.channels.presets import fiber

OURS, THEIRS, PAIRS = 1_000_000, 5_000, 1_000_000
GLASS = fiber("telecom-fiber", length_km=20.0, detector_efficiency=1.0)
PERIOD_PS = 40_000
KEY = bytes(32)


def carry() -> None:
    """A million photons through a lossy, noisy line."""
    line = Line(GLASS, (Noise("depolarizing", 0.01),))
    arrays = (np.zeros(OURS, np.int64), np.zeros(OURS, np.int64), np.zeros(OURS, np.bool_))
    delivery = Direction("alice->bob", line, KEY).carry(Copies(np.eye(1, 2, dtype=np.complex128), *arrays), 0)
    check(delivery.record.qubits_delivered, OURS)


def check(arrived: int, sent: int) -> None:
    """What arrives is what should, so that both do the same."""
    eta = GLASS.survival
    assert abs(arrived - sent * eta) < 6 * (sent * eta * (1 - eta)) ** 0.5


def transmit() -> None:
    """Some thousand photons through SeQUeNCe's channel."""
    from sequence.components.optical_channel import QuantumChannel
    from sequence.components.photon import Photon
    from sequence.kernel.event import Event
    from sequence.kernel.process import Process
    from sequence.kernel.timeline import Timeline
    from sequence.topology.node import Node

    arrived = 0

    class Receiver(Node):  # type: ignore[misc]
        def receive_qubit(self, src: str, qubit: Any) -> None:
            nonlocal arrived
            arrived += 1

    world = Timeline()
    sender, receiver = Node("sender", world, seed=1), Receiver("receiver", world, seed=2)
    # Metres, and dB per metre.
    attenuation, distance = GLASS.loss_db_per_km / 1000, GLASS.length_km * 1000
    channel = QuantumChannel("glass", world, attenuation, distance, polarization_fidelity=0.99)
    channel.owner = sender  # otherwise its noise draws from an unseeded generator, a new one a photon
    channel.set_ends(sender, receiver.name)
    world.init()
    for number in range(THEIRS):
        process = Process(sender, "send_qubit", [receiver.name, Photon("", world)])
        world.schedule(Event((number + 1) * PERIOD_PS, process))
    world.run()
    check(arrived, THEIRS)


def herald() -> None:
    """A million pairs: when they are there, when they are used, and the channel that each then is."""
    scheme = double_click(GLASS, dark_count=1e-6, visibility=0.9)
    ready_ps = np.arange(PAIRS, dtype=np.int64) * 10_000_000
    made = generate(ready_ps, scheme, 64, np.zeros(64, dtype=np.int64), np.random.default_rng(7))
    waits_ps = made.release_ps - made.herald_ps + scheme.age_ps
    bell = decayed_bell(elements(scheme.state()), waits_ps, waits_ps, float("inf"), 1e12)
    assert pauli_of_teleportation(bell).shape == (PAIRS, 4)


def measure(rounds: int) -> list[Figure]:
    actions: dict[str, Callable[[], object]] = {"carry": carry, "herald": herald}
    if importlib.util.find_spec("sequence") is not None:
        actions["transmit"] = transmit
    else:
        print("peers: SeQUeNCe is not installed (make test-peers); its figure is left out", file=sys.stderr)
    taken = rounds_of(actions, rounds, measure=processor_s)
    ours, pairs = OURS / taken.best("carry") / 1e6, PAIRS / taken.best("herald") / 1e6
    figures = [
        Figure("peers: photons through a lossy, noisy fiber", ours, 5.0, "M/s", "a CPU-second", at_least=True),
        Figure("peers: heralded pairs", pairs, 2.0, "M/s", "a CPU-second", at_least=True),
    ]
    if "transmit" in actions:
        theirs = THEIRS / taken.best("transmit") / 1e6
        told = f"{1e3 * theirs:.3g} thousand a CPU-second there"
        what = "peers: photons over SeQUeNCe's channel"
        figures.append(Figure(what, ours / theirs, 255.0, "x", told, at_least=True))
    return figures


MEASURES: dict[str, Measure] = {"peers": measure}
