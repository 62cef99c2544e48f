"""What a run would cost, told before it starts.

A copy survives a path of c crossings of n qubits with the product of eta^n over its links, so K
copies take about K / p attempts. Runs whose attempts would exceed the budget, or whose clock would
pass 2^62 ps, are refused with the number and with what to change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line, as_line
from ketwire.channels.sums import exact_sum
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S
from ketwire.channels.transports import Coded, Direct, Teleport

DEFAULT_BUDGET_ATTEMPTS = 10_000_000
BRIGHT = 0.1  # bright-state population of single clicks where they are advised: pairs of a fidelity of 0.9 at best


@dataclass(frozen=True)
class Crossing:
    """One hop of a register: which link, by name, its physics, and how many qubits go over it."""

    link: str
    physics: Line | Fiber
    qubits: int

    @property
    def line(self) -> Line:
        return as_line(self.physics)

    @property
    def fiber(self) -> Fiber:
        return self.line.fiber

    @property
    def survival(self) -> float:
        """Probability that a copy crosses; 0 where it is below the smallest float."""
        return self.line.survival(self.qubits)

    @property
    def is_direct(self) -> bool:
        return isinstance(self.line.transport, Direct)

    @property
    def attenuation_db(self) -> float:
        """What the length of the fiber costs a copy that is sent directly."""
        return self.qubits * self.fiber.loss_db_per_km * self.fiber.length_km if self.is_direct else 0.0

    @property
    def coupling(self) -> float:
        """What no shorter fiber would mend: the rest of the survival."""
        if not self.is_direct:
            return self.survival
        eve = self.line.eve
        return (self.fiber.coupling * (1.0 if eve is None else eve.passed)) ** self.qubits


def path_survival(crossings: Sequence[Crossing]) -> float:
    """Probability that a copy survives all crossings; 0 where it is below the smallest float."""
    return math.prod(crossing.survival for crossing in crossings)


def round_copies(crossings: Sequence[Crossing]) -> float:
    """How many copies could be emitted while one goes along a path and word of it goes back; 0 for no crossing."""
    time_ps = max((crossing.line.time_ps(crossing.qubits) for crossing in crossings), default=math.inf)
    return 2.0 * sum(crossing.fiber.delay_ps for crossing in crossings) / max(time_ps, 1.0)


def refusal(
    crossings: Sequence[Crossing], copies: int, budget_attempts: int = DEFAULT_BUDGET_ATTEMPTS
) -> str | None:
    """Why a run of `copies` measured copies over `crossings` is hopeless, or None where it is not."""
    if any(crossing.line.eve is not None and crossing.line.eve.passed == 0.0 for crossing in crossings):
        return "no copy can arrive: an eavesdropper takes every photon of a crossing; lower her share"
    if any(crossing.fiber.coupling == 0.0 and crossing.survival == 0.0 for crossing in crossings):
        return "no copy can arrive: a crossing loses all; lower p_init, or raise the detector_efficiency"
    if any(crossing.coupling == 0.0 for crossing in crossings):
        others = _other_transport(crossings, copies, budget_attempts)
        return f"no copy can arrive: a crossing is survived with a probability below 1e-308; use fewer qubits{others}"
    survival = path_survival(crossings)
    # In decades, since a long path's survival is below the smallest float.
    decades = math.log10(copies) - _log10_survival(crossings)
    if survival == 0.0 or copies / survival > budget_attempts:
        return (
            f"{copies} measured copies need about {_power(decades)} attempts (a copy survives its "
            f"{len(crossings)} crossing(s) with probability {_power(_log10_survival(crossings))}), above "
            f"budget_attempts = {budget_attempts:.1e}; {_advice(crossings, copies, budget_attempts)}"
            f"{_other_transport(crossings, copies, budget_attempts)}"
        )
    busy_ps = _busy_ps(crossings, copies / survival)
    if busy_ps > CLOCK_END_PS:
        seconds = f"{busy_ps / PS_PER_S:.1e} s"
        late = f"the run could last {seconds} of virtual time, beyond the clock's 2^62 ps (53 days)"
        return late + _sooner(crossings, copies, budget_attempts)
    return None


def _log10_coupling(crossings: Sequence[Crossing]) -> float:
    return exact_sum(math.log10(crossing.coupling) for crossing in crossings)


def _log10_survival(crossings: Sequence[Crossing]) -> float:
    return _log10_coupling(crossings) - exact_sum(crossing.attenuation_db for crossing in crossings) / 10


def _power(decades: float) -> str:
    """10^decades as text, also where no float holds it."""
    whole = math.floor(decades)
    mantissa = f"{10 ** (decades - whole):.1f}"
    return f"1.0e{whole + 1:+03d}" if mantissa == "10.0" else f"{mantissa}e{whole:+03d}"


def _advice(crossings: Sequence[Crossing], copies: int, budget_attempts: int) -> str:
    """What would bring the run within its budget: shorter fibers, else fewer copies."""
    lossy = [crossing for crossing in crossings if crossing.attenuation_db > 0]
    allowed_db = 10 * (math.log10(budget_attempts / copies) + _log10_coupling(crossings))
    if lossy and allowed_db > 0:
        share = allowed_db / exact_sum(crossing.attenuation_db for crossing in lossy)
        lengths = {crossing.fiber.length_km for crossing in lossy}
        if len(lengths) == 1:
            shorten = f"shorten the fiber to {_rounded_down(share * lengths.pop())} km"
        else:
            shorten = f"shorten the fibers to {_rounded_down(share * 100)}% of their lengths"
        return f"{shorten} or raise protocol.budget_attempts"
    affordable = math.floor(budget_attempts * path_survival(crossings))
    fewer = f"ask for at most {affordable} copies, " if affordable else ""
    return f"{fewer}use fewer qubits, or raise protocol.budget_attempts"


def _rounded_down(value: float) -> str:
    """Three significant digits, and never more than `value`: advice that is followed must be good enough."""
    digits = 2 - math.floor(math.log10(value))
    return f"{math.floor(value * (1 - 1e-12) * 10**digits) / 10**digits:.{max(digits, 0)}f}"


def _other_transport(crossings: Sequence[Crossing], copies: int, budget_attempts: int) -> str:
    """Which transport over the same fibers would bring the run within its budget and its clock."""
    found = _coded_instead(crossings, copies, budget_attempts) + _teleported_instead(crossings, copies)
    return "".join(f"; or {each}{_where(crossings)}" for each in found)


def _coded_instead(crossings: Sequence[Crossing], copies: int, budget_attempts: int) -> list[str]:
    from ketwire.channels.codes.erasure import best_qpc  # noqa: PLC0415

    survivals = {each.fiber.survival for each in crossings}
    names = {"[[4,2,2]]", "[[5,1,3]]", "[[7,1,3]]", *(best_qpc(survival).name for survival in survivals)}
    best, most = "", 0.0
    for name in sorted(names):
        coded = _instead(crossings, Coded(code=name))
        survival = 0.0 if coded is None else path_survival(coded)
        if coded is not None and survival > most and _busy_ps(coded, copies / survival) <= CLOCK_END_PS:
            best, most = name, survival
    if most * budget_attempts < copies:
        return []
    return [f"transport: coded with code: {best} (about {copies / most:.1e} attempts)"]


def _teleported_instead(crossings: Sequence[Crossing], copies: int) -> list[str]:
    teleported = _instead(crossings, Teleport())
    if teleported is None:
        return []
    busy_ps = _busy_ps(teleported, copies)
    if busy_ps > CLOCK_END_PS or any(each.survival < 1.0 for each in teleported):
        return []
    rest = " (and neither code nor gate_s)" if any(isinstance(each.line.transport, Coded) for each in crossings) else ""
    return [f"transport: teleport{rest}, which loses no copy (at most {busy_ps / PS_PER_S:.2g} s of virtual time)"]


def _sooner(crossings: Sequence[Crossing], copies: int, budget_attempts: int) -> str:
    """What would bring a run within its clock."""
    others = _other_transport(crossings, copies, budget_attempts) if any(x.survival < 1.0 for x in crossings) else ""
    if others:
        return others
    clicks = [each for each in crossings if _makes_pairs(each, "double-click")]
    single = {each: _carried_by(each, _single_click(each)) for each in clicks}
    busy_ps = _busy_ps([single.get(each, each) for each in crossings], copies)
    entangled = all(
        each.line.transport.pair_bell(each.line)[0] > 0.5
        for each in single.values()
        if isinstance(each.line.transport, Teleport)
    )
    if clicks and entangled and busy_ps <= CLOCK_END_PS:
        where = ", ".join(dict.fromkeys(each.link for each in clicks))
        return (
            f"; or scheme: single-click with alpha: {BRIGHT:g} on {where}, which one photon heralds, for pairs of "
            f"less fidelity (at most {busy_ps / PS_PER_S:.2g} s of virtual time)"
        )
    return "; no other transport over the same fibers is in time: ask for less, or put repeaters between (via)"


def _makes_pairs(crossing: Crossing, scheme: str) -> bool:
    return isinstance(crossing.line.transport, Teleport) and crossing.line.transport.scheme == scheme


def _single_click(crossing: Crossing) -> Teleport:
    assert isinstance(crossing.line.transport, Teleport)
    return replace(crossing.line.transport, scheme="single-click", alpha=BRIGHT)


def _instead(crossings: Sequence[Crossing], transport: Coded | Teleport) -> list[Crossing] | None:
    """The same path with another transport where copies are lost; None where a link cannot have it."""
    try:
        # A path often crosses one link many times: each is replaced once.
        others = {
            each: each if each.survival >= 1.0 else _carried_by(each, transport)
            for each in dict.fromkeys(crossings)
        }
    except ValueError:  # noise that the transport cannot have, or a fiber that pairs are not made over
        return None
    return [others[each] for each in crossings]


def _carried_by(crossing: Crossing, transport: Coded | Teleport) -> Crossing:
    return replace(crossing, physics=replace(crossing.line, transport=transport, eve=None))


def _where(crossings: Sequence[Crossing]) -> str:
    links = list(dict.fromkeys(each.link for each in crossings if each.survival < 1.0))
    return f", on each of {', '.join(links)}" if len(links) > 1 else ""


def _busy_ps(crossings: Sequence[Crossing], attempts: float) -> float:
    """The longest it can last: no crossing works on one copy while another works on the next."""
    busy_ps = attempts * exact_sum(crossing.line.time_ps(crossing.qubits) for crossing in crossings)
    return busy_ps + sum(crossing.line.latency_ps(crossing.qubits) for crossing in crossings)
