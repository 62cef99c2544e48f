"""An eavesdropper in the fiber: what she does, and what she gets.

She stands in one direction of a link, behind the sender's coupling and before the fiber: the
laboratories are trusted, so what is lost on coupling in, or in the receiver's detector, never reaches
her. She has a perfect tap, perfect detectors and a memory that holds forever, and costs no time. Over
`direct` links alone: only there are the photons of a register in flight.

- `InterceptResend`: of a random share of the copies she measures every qubit and resends the product
  state that she saw. Her tap is the closest to cloning that there is, and it shows: a check of a
  state whose bases she did not guess finds errors.
- `BeamSplitter`: she takes photons out. Those she lets pass are undisturbed. Taken on top of the fiber's
  loss they show as loss; in place of it (she swaps the glass for one that loses nothing and takes what the glass
  would have lost) nothing shows at all.

Classical messages she reads: copying bits leaves no trace.

These are descriptions and counts, cheap to import; the measurement is `ketwire.quantum.pauli_bases`. Her draws
come from streams of her own, so her choices stay the same when the fiber around her changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import States
from ketwire.errors import ScenarioError
from ketwire.quantum.grid import significant

if TYPE_CHECKING:
    from ketwire.channels.fiber import Fiber

Basis = Literal["z", "x", "y", "random", "random-xyz"]
_CHOICES: dict[str, tuple[int, ...]] = {
    "z": (0,), "x": (1,), "y": (2,), "random": (0, 1), "random-xyz": (0, 1, 2),
}  # fmt: skip
MOST_AMPLITUDES = 1 << 26  # of what she resends for one message, a gibibyte: more does not fit a frame
MOST_STRINGS = 4096  # of bases and outcomes that are told apart; further ones are counted together
Integers = NDArray[np.int64]
Batch = tuple[States, Integers]
Draw = Callable[[str], np.random.Generator]


@dataclass(frozen=True)
class InterceptResend:
    """Measure every qubit of a random share of the copies, and resend what was seen.

    share: probability that a copy is measured
    basis: of every qubit; `random` draws Z or X, `random-xyz` any of three, for each qubit of each copy

    Raises:
        ValueError: no probability, or no such basis; the message starts with the field's name.
    """

    share: float
    basis: Basis = "random"
    kind: Literal["intercept-resend"] = "intercept-resend"

    def __post_init__(self) -> None:
        _check_share(self.share)
        if self.basis not in _CHOICES:
            raise ValueError(f"basis: {self.basis!r} given, expected one of {', '.join(_CHOICES)}")

    @property
    def passed(self) -> float:
        """Share of the photons that go on: she resends every one."""
        return 1.0

    @property
    def touches_states(self) -> bool:
        return self.share > 0.0

    def reach(self, fiber: Fiber) -> float:
        """Probability that she gets hold of a photon, of those copies that she goes for."""
        return 1.0 - fiber.p_init


@dataclass(frozen=True)
class BeamSplitter:
    """Take photons out.

    share: probability to take a photon that entered the fiber, on top of the fiber's own loss
    replaces_loss: take exactly those photons that the glass would have lost, instead of a share

    Raises:
        ValueError: neither or both; the message starts with the field's name.
    """

    share: float | None = None
    replaces_loss: bool = False
    kind: Literal["beam-splitter"] = "beam-splitter"

    def __post_init__(self) -> None:
        if (self.share is None) != self.replaces_loss:
            given = "together with" if self.replaces_loss else "given without"
            raise ValueError(f"share: {self.share!r} {given} the loss in its place, expected one of the two")
        if self.share is not None:
            _check_share(self.share)

    @property
    def passed(self) -> float:
        """Share of the photons that go on, beside what the fiber itself loses."""
        return 1.0 if self.share is None else 1.0 - self.share

    @property
    def touches_states(self) -> bool:
        return False

    def reach(self, fiber: Fiber) -> float:
        """Probability that she takes a photon."""
        if self.share is not None:
            return (1.0 - fiber.p_init) * self.share
        glass: float = 10.0 ** (-fiber.loss_db_per_km * fiber.length_km / 10.0)
        return (1.0 - fiber.p_init) * (1.0 - glass)


Attack = InterceptResend | BeamSplitter
_GOT = ("copies", "whole", "photons", "bits", "strings_beyond")


def attack_of(values: dict[str, Any]) -> Attack:
    """The attack of these fields, `kind` among them."""
    kinds: dict[str, type[InterceptResend | BeamSplitter]] = {
        "intercept-resend": InterceptResend, "beam-splitter": BeamSplitter,
    }  # fmt: skip
    return kinds[values["kind"]](**values)


class Eavesdropper:
    """Eve at work in one direction, and what she has got so far."""

    def __init__(self, attack: Attack, fiber: Fiber) -> None:
        self.attack = attack
        self._fiber = fiber
        self._reach = attack.reach(fiber)
        self._survival = fiber.survival * attack.passed
        self.copies = self.whole = self.photons = self.bits = self.strings_beyond = 0
        self.strings: Counter[str] = Counter()

    def told(self) -> dict[str, Any]:
        """What she got, as JSON values. No party of the run ever sees it.

        copies: of which she measured or holds at least one photon; whole_copies: every one;
        photons: how many in all; bits: classical bits that went by, all of which she read;
        strings: of measured whole copies, how often "bases:outcomes" came up; strings_beyond: how
        many more there were once 4,096 different ones were known.
        """
        told = {"attack": self.attack.kind, "copies": self.copies, "whole_copies": self.whole}
        told |= {"photons": self.photons, "bits": self.bits}
        if isinstance(self.attack, BeamSplitter):
            return told
        return {**told, "strings": dict(sorted(self.strings.items())), "strings_beyond": self.strings_beyond}

    def snapshot(self) -> dict[str, Any]:
        """All that she remembers, as JSON values: for a checkpoint."""
        return {name: getattr(self, name) for name in _GOT} | {"strings": dict(self.strings)}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Be as `snapshot` found her."""
        for name in _GOT:
            setattr(self, name, saved[name])
        self.strings = Counter(saved["strings"])

    def overhear(self, bits: int) -> None:
        """Read a classical message."""
        self.bits += bits

    def tap(self, arrived: Integers, qubits: int, draw: Draw) -> None:
        """Count what a beam splitter takes of copies of which `arrived` photons each arrive.

        Photons that do not arrive were taken by her, or lost elsewhere: how many of them she has is
        binomial, and nothing of it changes what arrives.
        """
        missing = qubits - arrived
        taken = _binomial(missing, self._share_of_lost(self._reach), draw("eve taken"))
        self._count(taken, qubits)

    def resend(
        self, batch: Batch, arrived: Integers, whole: Integers, lost: Callable[[Integers], Batch], draw: Draw
    ) -> Batch:
        """Measure and resend.

        Args:
            batch: states and rows of the copies that arrive whole, as they leave the sender.
            arrived: int64, shape (copies,), photons of each copy that will arrive.
            whole: int64, indices of the copies of `batch`, ascending.
            lost: states and rows, as they leave the sender, of the copies of these indices, which she
                measures and the fiber loses afterwards.
            draw: her named streams.

        Returns:
            The batch as she sends it on; the same array objects where she measured nothing of it.

        Raises:
            ScenarioError: no message holds as many different states as she makes.
        """
        from ketwire.quantum import pauli_bases  # noqa: PLC0415

        copies, qubits = len(arrived), batch[0].shape[1].bit_length() - 1
        assert isinstance(self.attack, InterceptResend)
        # Drawn for all copies: a larger share adds copies to those that a smaller one has.
        meant = draw("eve share").random(copies) < self.attack.share
        choices = np.array(_CHOICES[self.attack.basis], dtype=np.int64)
        bases = choices[draw("eve basis").integers(0, len(choices), (copies, qubits), dtype=np.int8)]
        # A photon that is lost was with her first, unless it never entered the fiber.
        beyond = self._share_of_lost(self._reach - self._survival)
        reached = arrived + _binomial(qubits - arrived, beyond, draw("eve reached"))
        self._count(np.where(meant, reached, 0), qubits)
        gone = np.flatnonzero(meant & (reached == qubits) & (arrived < qubits))
        if len(gone):
            bits = pauli_bases.measure(*lost(gone), bases[gone], draw("eve lost outcome"))
            self._note(bases[gone], bits)
        mine = np.flatnonzero(meant[whole])
        if len(mine) == 0:
            return batch
        states, row = batch
        bases = bases[whole[mine]]
        bits = pauli_bases.measure(states, row[mine], bases, draw("eve outcome"))
        self._note(bases, bits)
        return _replaced(states, row, mine, bases, bits)

    def _share_of_lost(self, probability: float) -> float:
        """Of a photon that does not arrive: that what happens with `probability` happened to it."""
        gone = 1.0 - self._survival
        return min(max(probability / gone, 0.0), 1.0) if gone > 0.0 else 0.0

    def _count(self, photons: Integers, qubits: int) -> None:
        self.copies += int(np.count_nonzero(photons))
        self.whole += int(np.count_nonzero(photons == qubits))
        self.photons += int(photons.sum())

    def _note(self, bases: Integers, bits: Integers) -> None:
        """Count strings, those seen before and, up to the limit, new ones in the order of their codes."""
        from ketwire.quantum.pauli_bases import LETTERS, group, pack  # noqa: PLC0415

        first, place = group(pack(bases, 4), pack(bits, 2))
        for index, count in zip(first.tolist(), np.bincount(place).tolist(), strict=True):
            name = "".join(LETTERS[b] for b in bases[index]) + ":" + "".join(map(str, bits[index]))
            if name in self.strings or len(self.strings) < MOST_STRINGS:
                self.strings[name] += count
            else:
                self.strings_beyond += count


def _replaced(states: States, row: Integers, mine: Integers, bases: Integers, bits: Integers) -> Batch:
    """The batch with copies `mine` in the product states that she saw, alike ones in one row."""
    from ketwire.quantum.pauli_bases import group, pack, product_states  # noqa: PLC0415

    first, place = group(pack(bases, 4), pack(bits, 2))
    others = np.ones(len(row), dtype=np.bool_)
    others[mine] = False
    used = np.zeros(len(states), dtype=np.bool_)
    used[row[others]] = True
    rows, size = int(used.sum()) + len(first), states.shape[1]
    if rows * size > MOST_AMPLITUDES:
        raise ScenarioError(
            f"an eavesdropper makes {rows} different states of {size} amplitudes of one message, expected at most "
            f"{MOST_AMPLITUDES // size}; lower protocol.max_batch_octets, or her share"
        )
    fresh = (np.cumsum(used) - 1)[row]
    fresh[mine] = int(used.sum()) + place
    return np.concatenate([states[used], product_states(bases[first], bits[first])]), fresh


def _binomial(counts: Integers, p: float, rng: np.random.Generator) -> Integers:
    return np.asarray(rng.binomial(counts, significant(p)), dtype=np.int64)


def _check_share(share: float) -> None:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share: {share!r} given, expected a probability, 0 to 1")
