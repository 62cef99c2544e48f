"""A link whose pairs come from a chain of repeaters, as a description (see `channels.line`).

Registers cross such a link by teleportation, through pairs that the repeaters between its two ends made
hop by hop (`protocols.repeaters`). The link itself makes none: it keeps those that the sender hands it
until registers use them up (`channels.entanglement.stock`), and it is the way of classical bits from end to end.

*Lanes.* A chain works on many pairs side by side, each lane in a memory slot of its own at every hop.
Where pairs are distilled on the way (`distill_spans`), two lanes become one once the pair spans so many
hops, so the hops before have twice as many lanes as those after. There are as many lanes as the
narrowest hop has slots for.

*Why distil a growing pair, and not BDCZ's tree of spans.* A pair here grows from one end, so a repeater
speaks with its two neighbours alone, and all spans end at one node that the fresh pairs of every hop
pass. In a tree (Briegel, Dür, Cirac, Zoller 1998) both halves of every join are distilled, at 2^levels
lanes on all of its hops; here only those hops have many lanes that a distilled span covers, 2 + 2 + 1 + 1
for a chain of four distilled at two. The price is that a fresh hop is joined undistilled; it can be
distilled by itself, where it is made (`links[].distill`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.held import NEVER_PS, Cutoff, SpanMethod
from ketwire.channels.line import Line
from ketwire.channels.parts import Medium
from ketwire.channels.sums import exact_sum
from ketwire.channels.timing import PS_PER_S
from ketwire.channels.transports import Teleport

if TYPE_CHECKING:
    from ketwire.channels.entanglement.rounds import Ends, Round

MAX_HOPS = 16
Generation = Literal["parallel", "sequential"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chain:
    """Pairs from a chain of repeaters.

    via: the repeaters, from the register's sender to its receiver
    hops: their lines in the direction in which pairs grow, from the register's receiver to its sender
    generation: `parallel`, every hop tries as soon as its memories are free; `sequential`, a hop begins
        when the pair from before has reached it
    distill_spans: after so many hops, pairs are distilled two by two, one round
    distill_protocol: `dejmps` or `bbpssw`
    cutoff_ps: how long a half waits at a repeater for the other one; None: without limit
    cutoff_attempts: for how many attempts of the hop that it waits for

    Raises:
        ValueError: parts that make no chain; the message starts with the field's name.
    """

    teleports: ClassVar[bool] = True
    kind: Literal["chain"] = "chain"
    via: tuple[str, ...] = ()
    hops: tuple[Line, ...] = ()
    generation: Generation = "parallel"
    distill_spans: tuple[int, ...] = ()
    distill_protocol: SpanMethod = "dejmps"
    cutoff_ps: int | None = None
    cutoff_attempts: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.via) < MAX_HOPS:
            raise ValueError(f"via: {len(self.via)} repeaters given, expected 1 to {MAX_HOPS - 1}")
        if len(self.hops) != len(self.via) + 1 or any(hop.transport.kind != "teleport" for hop in self.hops):
            raise ValueError("via: expected hops that teleport, one more than repeaters")
        if any(isinstance(hop.transport, Teleport) and hop.transport.delivery is not None for hop in self.hops):
            raise ValueError("via: expected hops without deliver")
        if any(b <= a for a, b in pairwise((1, *self.distill_spans, len(self.hops) + 1))):
            given = f"distill_spans: {list(self.distill_spans)} given"
            raise ValueError(f"{given}, expected growing numbers of hops from 2 to {len(self.hops)}")
        narrow = min(range(len(self.hops)), key=lambda hop: self._slots(hop) // self.folds(hop))
        if self.lanes < 1:
            raise ValueError(
                f"distill_spans: {list(self.distill_spans)} given, expected fewer: a pair takes {self.folds(narrow)} "
                f"memory slots on hop {narrow + 1} of {len(self.hops)}, which has {self._slots(narrow)}"
            )

        if self.limits:
            self._check_cutoff()

    def _check_cutoff(self) -> None:
        """Refuse a cut-off where hops distil, and one that no attempt could keep."""
        if any(isinstance(hop.transport, Teleport) and hop.transport.distillation for hop in self.hops):
            name = "cutoff_s" if self.cutoff_attempts is None else "cutoff_attempts"
            raise ValueError(f"{name}: given with hops that distil, expected nothing here, or distill_spans")
        transports = [(hop, hop.transport) for hop in self.hops if isinstance(hop.transport, Teleport)]
        longest_ps = max(transport.pairs(hop).attempt_ps + self._notice_ps(hop) for hop, transport in transports)
        if self.cutoff_ps is not None and self.cutoff_ps < longest_ps:
            expected = f"at least the {longest_ps / PS_PER_S:g} s until a hop has made an attempt"
            raise ValueError(f"cutoff_s: {self.cutoff_ps / PS_PER_S:g} given, expected {expected}")

    @property
    def limits(self) -> tuple[Cutoff, ...]:
        """How long halves wait at each repeater, in the direction in which pairs grow; empty without a cut-off."""
        if self.cutoff_ps is None and self.cutoff_attempts is None:
            return ()
        waits_ps = NEVER_PS if self.cutoff_ps is None else self.cutoff_ps

        def tries_ps(hop: Line) -> int:
            assert isinstance(hop.transport, Teleport)
            if self.cutoff_attempts is None:
                return NEVER_PS
            return min(NEVER_PS, self.cutoff_attempts * hop.transport.pairs(hop).attempt_ps)

        return tuple(
            Cutoff(waits_ps, tries_ps(ahead), min(waits_ps, tries_ps(behind)))
            for behind, ahead in pairwise(self.hops)
        )

    def _in_time(self, hop: int) -> float:
        """How likely a pair that came is not given up before this hop, counted from 1, has one."""
        if not self.limits:
            return 1.0
        from ketwire.channels.entanglement.cutoff import chance_in_time  # noqa: PLC0415

        line = self.hops[hop]
        assert isinstance(line.transport, Teleport)
        scheme = line.transport.pairs(line)
        in_turn, notice_ps = self.generation == "sequential", self._notice_ps(line)
        return chance_in_time(self.limits[hop - 1], scheme.attempt_ps, scheme.success_probability, in_turn, notice_ps)

    def _notice_ps(self, hop: Line) -> int:
        """From when the pair that came stands until this hop begins to try."""
        return hop.message_ps + hop.fiber.sending_ps(1) if self.generation == "sequential" else 0

    def _slots(self, hop: int) -> int:
        transport = self.hops[hop].transport
        assert isinstance(transport, Teleport)
        return transport.memory_slots

    def folds(self, hop: int) -> int:
        """How many lanes of a hop, counted from 0, become one in the end."""
        return 1 << sum(span > hop for span in self.distill_spans)

    @property
    def lanes(self) -> int:
        """End-to-end pairs that one wave makes, if no distillation fails."""
        return min(self._slots(hop) // self.folds(hop) for hop in range(len(self.hops)))

    def check(self, line: Medium) -> None:
        if line.noise:
            raise ValueError("noise: given for a link that teleports, expected none: no register is in flight")

    def survival(self, line: Medium, qubits: int) -> float:
        return 1.0

    def time_ps(self, line: Medium, qubits: int) -> float:
        """Expected time of a register's pairs, at most: as if no hop worked while another does."""
        making = exact_sum(hop.time_ps(1) * self._slots(number) for number, hop in enumerate(self.hops))
        delays = [hop.fiber.classical_ps + max(hop.sender_message_ps, hop.receiver_message_ps) for hop in self.hops]
        # A lane of a hop takes at most five bits a wave: two notices, an outcome of two and one of distillation.
        bits = sum(5 * self.lanes * self.folds(hop) * each.fiber.sending_ps(1) for hop, each in enumerate(self.hops))
        bits += 3 * self.lanes * line.fiber.sending_ps(1)
        spans = sum(sum(delays[:span]) + self._round_ps(span) for span in self.distill_spans)
        # The slowest lane sets the pace of a wave: harmonic numbers bound the greatest of many exponentials.
        widest = self.lanes * self.folds(0)
        slowest = making * (1.0 + np.log(widest))
        wave_ps = slowest + 3 * sum(delays) + spans + bits + line.message_ps + delays[0]
        return float(qubits * wave_ps / (self.lanes * self.planned().success))

    def _round_ps(self, span: int) -> int:
        """What a round between the origin and the end of so many hops takes beside its messages."""
        from ketwire.channels.entanglement.rounds import gates_ps  # noqa: PLC0415

        ends = self.hops[0].sender_gates, self.hops[span - 1].receiver_gates
        return gates_ps(self.distill_protocol, ends) + max(each.readout_ps for each in ends)

    def planned(self) -> Planned:
        """Success and Bell diagonal of an end-to-end pair, with memories that do not decay."""
        from ketwire.channels.entanglement.local import bell_errors, disturbed  # noqa: PLC0415
        from ketwire.channels.entanglement.pairs import swap_bell  # noqa: PLC0415

        origin, success, bell = self.hops[0].sender_gates, 1.0, None
        for number, hop in enumerate(self.hops, start=1):
            assert isinstance(hop.transport, Teleport)
            fresh = hop.transport.pair_bell(hop)
            if bell is None:
                bell = fresh
            else:
                bell = disturbed(swap_bell(bell, fresh), bell_errors(hop.sender_gates))
                success *= self._in_time(number - 1)
            if number in self.distill_spans:
                passed = span_round(self.distill_protocol, bell, bell, (origin, hop.receiver_gates))
                # Both pairs must have come so far, and the round must succeed.
                success, bell = success**2 * float(passed.success), passed.bell
        assert bell is not None
        return Planned(success, bell)

    def pair_bell(self, line: Medium) -> NDArray[np.float64]:
        """Bell diagonal of a finished pair, with memories that do not decay."""
        return self.planned().bell

    def photons(self, line: Medium, qubits: int) -> int | None:
        """None: unknown, as repeaters make the pairs."""
        return None

    def latency_ps(self, line: Medium) -> int:
        return 0

    @property
    def remembers(self) -> bool:
        """Whether no memory on the way decays."""
        return all(hop.sender.keeps_pairs and hop.receiver.keeps_pairs for hop in self.hops)


class Planned(NamedTuple):
    """Probability that a lane's pair comes through distillation and cut-offs, and its Bell diagonal, float64 (4,)."""

    success: float
    bell: NDArray[np.float64]


def span_round(protocol: SpanMethod, first: Floats, second: Floats, ends: Ends) -> Round:
    """One round of this protocol, on Bell diagonals, between an origin and a holder with these gates."""
    from ketwire.channels.entanglement.rounds import bbpssw, dejmps, errors_of  # noqa: PLC0415

    return {"bbpssw": bbpssw, "dejmps": dejmps}[protocol](first, second, errors_of(ends))
