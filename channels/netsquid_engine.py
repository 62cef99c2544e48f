"""NetSquid as the engine of a fiber, for the transport `direct`.

NetSquid (Coopmans et al., Communications Physics 4, 164 (2021)) is closed software that needs an account
and is not on the public package index, so nothing here imports it before a machine carries something.
Asked of it are, by the calls that its documentation and public tutorials spell out: which photons survive
(`FibreLossModel`), how long light takes (`FibreDelayModel`), what the flight does to states
(`DepolarNoiseModel`, `DephaseNoiseModel`) and what the memories do to qubits that wait for their bin, or for
the last qubit of their register (`T1T2NoiseModel`). Time bins and queueing are ketwire's: a NetSquid channel
has no emitter.

What differs from one world to the other, and how it is met:

- Its time is a double in ns. A time in ps below 2^52 (75 minutes) comes back exactly after rounding;
  fibers whose light takes longer are refused.
- It is one simulation a process. Every transmission starts it again, with a seed of its own drawn from the
  direction's named stream, so that no run depends on what was simulated before.
- It computes noise on density matrices (`QFormalism.DM`), a register at a time; copies travel as pure
  states. One register for each distinct state and waiting time is sent through, and each of its copies is
  then given an eigenvector of what arrived, drawn by eigenvalue: the same state on average, exactly.
- Its first qubit is the most significant one, as here.
- A lost qubit comes back as None (`transmit_empty_items=True`).
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import States
from ketwire.channels.machines import Passage
from ketwire.channels.timing import emission, serve
from ketwire.errors import LocalProtocolError, ScenarioError
from ketwire.quantum.sampling import outcomes_in_order

if TYPE_CHECKING:
    from ketwire.channels.line import Line
    from ketwire.channels.machines import Draw, Machine, Passage, Times
    from ketwire.channels.parts import Memory, Noise

FOREVER_NS = 1e30  # of a T1 that never ends: its models take finite times
MOST_QUBITS = 10  # of a register that noise touches: a density matrix of 16 MiB
PHOTONS_AT_ONCE = 1 << 16


class NetSquid:
    """The engine `netsquid`."""

    def lack(self) -> str | None:
        if importlib.util.find_spec("netsquid") is None:
            return f"Python {platform.python_version()} has no netsquid (docs/engines.md says how to get it)"
        try:
            library()
        except (ImportError, AttributeError) as error:
            told = f"netsquid cannot be used with Python {platform.python_version()} and numpy {np.__version__}"
            return f"{told} ({' '.join(str(error).split())[:200]})"
        return None

    def machine(self, line: Line) -> Machine:
        return NetSquidMachine(line)


class Library(NamedTuple):
    """The parts of NetSquid that are used."""

    ns: Any
    channel: Any
    delay: Any
    loss: Any
    depolarize: Any
    dephase: Any
    t1t2: Any


def library() -> Library:
    """NetSquid, imported when first asked for. ImportError or AttributeError where it is not what it says."""
    ns = importlib.import_module("netsquid")
    errors = importlib.import_module("netsquid.components.models.qerrormodels")
    delays = importlib.import_module("netsquid.components.models.delaymodels")
    channels = importlib.import_module("netsquid.components")
    for name in ("sim_reset", "sim_run", "set_random_state", "set_qstate_formalism", "QFormalism", "qubits"):
        getattr(ns, name)
    return Library(
        ns, channels.QuantumChannel, delays.FibreDelayModel, errors.FibreLossModel,
        errors.DepolarNoiseModel, errors.DephaseNoiseModel, errors.T1T2NoiseModel,
    )  # fmt: skip


class NetSquidMachine:
    """An emitter of time bins, as `machines.DirectMachine`, before a NetSquid channel."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.free_ps = 0

    @property
    def busy_until_ps(self) -> int:
        return self.free_ps

    def snapshot(self) -> dict[str, Any]:
        return {"free_ps": self.free_ps}  # NetSquid itself starts again with every message

    def restore(self, saved: Mapping[str, Any]) -> None:
        self.free_ps = int(saved["free_ps"])

    @cached_property
    def _library(self) -> Library:
        return library()

    def carry(
        self, states: States, row: Times, ready_ps: Times, turn_ps: Times, fresh: bool, draw: Draw
    ) -> Passage:
        fiber, copies = self.line.fiber, len(row)
        qubits = states.shape[1].bit_length() - 1
        service_ps = qubits * fiber.bin_ps
        done_ps = serve(turn_ps, service_ps, self.free_ps)
        if not copies:
            return Passage(states, row, done_ps, np.zeros(0, dtype=np.bool_), 0, 0, 0, 0)
        self.free_ps = int(done_ps[-1])
        arrived, delay_ps = self._photons(copies * qubits, draw("loss"))
        lost: NDArray[np.bool_] = np.logical_not(arrived.reshape(copies, qubits).all(axis=1))
        whole = np.flatnonzero(~lost)
        ahead_ps = (np.zeros_like(done_ps) if fresh else done_ps - service_ps - ready_ps)[whole]
        waits = fiber.bin_ps > 0 and qubits > 1
        decays = not self.line.sender.is_perfect and (waits or ahead_ps.any())
        decays |= not self.line.receiver.is_perfect and waits
        if len(whole) and (self.line.noise or decays):
            states, kept = self._disturb(states, row[whole], ahead_ps, draw("noise"))
            row = np.zeros_like(row)
            row[whole] = kept
        heralds = copies if fiber.survival < 1.0 else 0
        return Passage(
            states, row, done_ps + delay_ps, lost, copies * qubits, int(np.count_nonzero(arrived)), 0, heralds
        )

    def _photons(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.bool_], int]:
        """Which of `count` photons arrive, bool (count,), and how long they take, ps."""
        fiber = self.line.fiber
        if fiber.survival >= 1.0:  # one photon tells the delay
            return np.ones(count, dtype=np.bool_), self._send(1, {}, rng)[1]
        models = {
            "quantum_loss_model": self._library.loss(
                p_loss_init=1.0 - fiber.coupling, p_loss_length=fiber.loss_db_per_km
            )
        }
        parts, delay_ps = [], 0
        for start in range(0, count, PHOTONS_AT_ONCE):
            items, delay_ps = self._send(min(PHOTONS_AT_ONCE, count - start), models, rng)
            parts.append(np.array([item is not None for item in items], dtype=np.bool_))
        return np.concatenate(parts), delay_ps

    def _send(
        self,
        photons: int | NDArray[np.complex128],
        models: dict[str, Any],
        rng: np.random.Generator,
        ahead_ps: int | None = None,
    ) -> tuple[Sequence[Any], int]:
        """Simulate one transmission from its start.

        Args:
            photons: how many, each in |0>; or one register's density matrix, whose qubits they then are.
            models: of the channel, beside its delay.
            ahead_ps: how long before its turn the register was in the sender's memory; None where nothing waits.

        Returns:
            The qubits, None for each that was lost, and the delay in ps.
        """
        ns, fiber = self._library.ns, self.line.fiber
        ns.sim_reset()
        ns.set_random_state(seed=int(rng.integers(1 << 32)))
        ns.set_qstate_formalism(ns.QFormalism.DM)
        if isinstance(photons, int):
            qubits = ns.qubits.create_qubits(photons)
        else:
            qubits = ns.qubits.create_qubits(photons.shape[0].bit_length() - 1, no_state=True)
            ns.qubits.assign_qstate(qubits, photons, formalism=ns.QFormalism.DM)
        held = None if ahead_ps is None else emission(len(qubits), fiber.bin_ps).waits(np.array([ahead_ps]))
        if held is not None:
            self._wait(self.line.sender, qubits, held.sender_ps[0])
        channel = self._library.channel(
            "fiber", length=fiber.length_km, transmit_empty_items=True,
            models={"delay_model": self._library.delay(c=fiber.speed_km_per_s), **models},
        )  # fmt: skip
        sent = len(qubits)
        channel.send(qubits)
        ns.sim_run()
        items, delay_ns = channel.receive()
        if items is None or len(items) != sent:
            back = 0 if items is None else len(items)
            raise LocalProtocolError(f"netsquid: {back} of {sent} qubits came back, expected all, None for a lost one")
        if held is not None:
            self._wait(self.line.receiver, items, held.receiver_ps[0])
        return items, round(delay_ns * 1000)

    def _wait(self, memory: Memory, qubits: Sequence[Any], waits_ps: Times) -> None:
        """Let each qubit decay for as long as it waits in a memory."""
        if memory.is_perfect:
            return
        # Its model takes finite times; T2 is 2 T1 where nothing else dephases.
        t1_ns, t2_ns = (min(constant / 1000, FOREVER_NS) for constant in memory.constants)
        model = self._library.t1t2(T1=t1_ns, T2=min(t2_ns, 2 * t1_ns))
        for qubit, wait_ps in zip(qubits, waits_ps.tolist(), strict=True):
            if wait_ps:
                model.error_operation([qubit], delta_time=wait_ps / 1000)

    def _disturb(
        self, states: States, row: Times, ahead_ps: Times, rng: np.random.Generator
    ) -> tuple[States, Times]:
        """What memory and flight make of copies that arrive: as many new rows as were drawn."""
        size = states.shape[1]
        if size > 1 << MOST_QUBITS:
            raise ScenarioError(
                f"engine: a register of {size.bit_length() - 1} qubits given, expected at most {MOST_QUBITS} "
                "where netsquid computes noise on density matrices; use the builtin engine"
            )
        if self.line.sender.is_perfect:
            ahead_ps = np.zeros_like(ahead_ps)
        kinds, kind = np.unique(np.stack([row, ahead_ps], axis=1), axis=0, return_inverse=True)
        kind = kind.reshape(-1)
        fresh: list[States] = []
        after, filled = np.empty_like(row), 0
        for number, (old, ahead) in enumerate(kinds.tolist()):
            copies = np.flatnonzero(kind == number)
            values, vectors = np.linalg.eigh(self._received(states[old], ahead, rng))
            chances = np.clip(values, 0.0, None) / np.clip(values, 0.0, None).sum()
            drawn = outcomes_in_order(chances[None], np.zeros(len(copies), dtype=np.int64), rng)
            used, place = np.unique(drawn, return_inverse=True)
            after[copies] = filled + place.reshape(-1)
            filled += len(used)
            fresh.append(vectors[:, used].T)
        return np.ascontiguousarray(np.concatenate(fresh), dtype=np.complex128), after

    def _received(self, state: NDArray[np.complex128], ahead_ps: int, rng: np.random.Generator) -> States:
        """The density matrix of a register that waited and flew, (2^n, 2^n), when none of it was lost."""
        # One noise at most (`NetSquid.check`): a channel has one model of it.
        models = {"quantum_noise_model": self._model(self.line.noise[0])} if self.line.noise else {}
        items, _ = self._send(np.outer(state, state.conj()), models, rng, ahead_ps)
        rho = np.asarray(self._library.ns.qubits.reduced_dm(list(items)), dtype=np.complex128)
        if rho.shape != (len(state), len(state)) or abs(np.trace(rho) - 1) > 1e-9:
            raise LocalProtocolError(f"netsquid: {rho.shape} of trace {np.trace(rho):.3g} came back, expected a state")
        return np.asarray((rho + rho.conj().T) / 2)

    def _model(self, noise: Noise) -> Any:
        """The model of a noise. A rate of dephasing is turned into a probability here, as `line.Noise` does."""
        if noise.kind == "depolarizing" and noise.rate_hz is not None:
            return self._library.depolarize(depolar_rate=noise.rate_hz, time_independent=False)
        channel = noise.channel(self.line.fiber.delay_ps)
        assert channel.pauli_weights is not None
        if noise.kind == "depolarizing":
            probability = 4.0 * float(channel.pauli_weights[1])
            return self._library.depolarize(depolar_rate=probability, time_independent=True)
        return self._library.dephase(dephase_rate=float(channel.pauli_weights[3]), time_independent=True)
