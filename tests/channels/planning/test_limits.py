"""No link passes what physics allows: figures of the very descriptions that run, against the known bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ketwire.channels.codes.erasure import best_qpc
from ketwire.channels.entanglement.distill import Schedule, plan
from ketwire.channels.entanglement.heralding import DoubleClick
from ketwire.channels.entanglement.pairs import from_bell, werner
from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.parts import Noise
from ketwire.channels.planning.limits import coherent_information, entropy, erasure_capacity, repeater_bound
from ketwire.channels.presets import PRESETS
from ketwire.channels.timing import PS_PER_S
from ketwire.channels.transports import Coded, Teleport
from ketwire.scenarios.schema.model import Link

LENGTHS_KM = (0.5, 2.0, 5.0, 10.0, 15.0, 16.0, 25.0, 50.0, 150.0)
LOSSY = [name for name, preset in PRESETS.items() if preset.knows_losses and name != "ideal"]
CODES = ["[[4,2,2]]", "[[5,1,3]]", "[[7,1,3]]", "qpc(2,2)", "qpc(4,3)", "qpc(9,6)"]
ROUNDING = 1e-12


def line_of(preset: str, length_km: float, **told: Any) -> Line:
    link = Link(between=("alice", "bob"), fiber=preset, length_km=length_km, **told)
    return link.line(Hardware(), Hardware())


@dataclass(frozen=True)
class Use:
    """Ebits that an attempt delivers over a transmission with so many stations."""

    ebits: float
    transmission: float
    stations: int

    @property
    def is_possible(self) -> bool:
        return self.ebits <= repeater_bound(self.transmission, self.stations) * (1 + ROUNDING)


def click(line: Line) -> Use:
    """An attempt with a station midway: success probability times what the pair is worth.

    One attempt is counted as one use of the fiber, which is strict: double clicks have two windows.
    """
    assert isinstance(line.transport, Teleport)
    scheme = line.transport.pairs(line)
    worth = max(0.0, coherent_information(scheme.state()))
    ebits = scheme.success_probability * worth
    if line.transport.distillation is not None:
        made = plan(scheme, line.transport.distillation)
        ebits = scheme.success_probability / made.pairs * max(0.0, 1.0 - entropy(made.bell))
    fiber = line.fiber
    transmission = fiber.coupling**2 * 10 ** (-fiber.loss_db_per_km * fiber.length_km / 10)
    return Use(ebits, transmission, 1)


def direct(line: Line) -> Use:
    """A photon, half of a pair: heralded where it arrives, and then disturbed by the noise in flight."""
    worth = coherent_information(from_bell(np.array(line.flight)[[0, 2, 1, 3]]))
    return Use(line.survival(1) * max(0.0, worth), line.fiber.survival, 0)


# ---------------------------------------------------------------- the bounds themselves


def test_the_table_of_bounds() -> None:
    """0.2 dB/km: the bound of a bare fiber at the lengths of the literature's table."""
    for length_km, bound in ((1, 4.47), (5, 2.28), (10, 1.44), (15, 1.00), (25, 0.55), (50, 0.15)):
        assert repeater_bound(10 ** (-0.02 * length_km)) == pytest.approx(bound, abs=0.005)
    assert repeater_bound(0.25, stations=1) == repeater_bound(0.5) == pytest.approx(1.0)
    assert repeater_bound(0.0) == 0.0 and repeater_bound(1.0) == math.inf
    assert repeater_bound(1e-12) == pytest.approx(1e-12 / math.log(2))


@pytest.mark.parametrize("made", [lambda: repeater_bound(1.1), lambda: repeater_bound(0.5, -1),
                                  lambda: erasure_capacity(-0.1, True), lambda: repeater_bound(math.nan)])  # fmt: skip
def test_what_is_no_bound_is_refused(made: Any) -> None:
    with pytest.raises(ValueError, match="given, expected"):
        made()


def test_coherent_information_of_known_states() -> None:
    assert coherent_information(werner(1.0)) == pytest.approx(1.0)
    assert coherent_information(werner(0.25)) == pytest.approx(-1.0)
    bell = np.array([0.85, 0.05, 0.04, 0.06])
    assert coherent_information(from_bell(bell)) == pytest.approx(1.0 - entropy(bell))
    rho = np.diag([0.0, 1.0, 0.0, 0.0]).astype(complex)
    assert coherent_information(rho) == pytest.approx(0.0)
    # An unbalanced pure state is worth the entropy of a half.
    ket = np.array([math.sqrt(0.9), 0, 0, math.sqrt(0.1)])
    assert coherent_information(np.outer(ket, ket).astype(complex)) == pytest.approx(entropy(np.array([0.9, 0.1])))


def test_an_impossible_pair_is_caught() -> None:
    """The very check, on links that cannot be: it fails where it should."""
    fiber = Fiber(length_km=100.0, loss_db_per_km=0.2)
    line = Line(fiber, transport=Teleport())
    assert click(line).is_possible

    class Better(Teleport):
        def pairs(self, line: Line) -> Any:
            # A station that hears a photon from either side as if there were no fiber.
            return DoubleClick((1.0, 1.0), line.fiber.delay_ps)

    assert not click(Line(fiber, transport=Better())).is_possible
    assert not Use(0.5, 0.1, 0).is_possible and Use(0.15, 0.1, 0).is_possible


# ---------------------------------------------------------------- transports


@pytest.mark.parametrize("length_km", LENGTHS_KM)
@pytest.mark.parametrize("preset", LOSSY)
def test_bare_photons_carry_no_more_than_the_fiber_can(preset: str, length_km: float) -> None:
    for noise in ([], [{"kind": "depolarizing", "probability": 0.05}]):
        use = direct(line_of(preset, length_km, transport="direct", noise=noise))
        assert use.ebits > 0.0 and use.is_possible


TELEPORTS = [
    {"scheme": "double-click"},
    {"scheme": "double-click", "visibility": 1.0, "dark_count": 0.0, "p_init": 0.0},
    {"scheme": "double-click", "distill": {"rounds": 2}},
    *({"scheme": "single-click", "alpha": alpha} for alpha in (0.001, 0.03, 0.1, 0.3)),
    *({"scheme": "single-click", "alpha": alpha, "visibility": 1.0, "dark_count": 0.0} for alpha in (0.01, 0.3)),
]


@pytest.mark.parametrize("length_km", LENGTHS_KM)
@pytest.mark.parametrize("preset", LOSSY)
def test_clicks_midway_pass_no_bound_with_one_station(preset: str, length_km: float) -> None:
    worth = []
    for told in TELEPORTS:
        use = click(line_of(preset, length_km, transport="teleport", **told))
        assert use.is_possible
        worth.append(use.ebits)
    assert max(worth) > 0.0, "bounds of nothing would hold"


def test_a_station_beats_a_bare_fiber_and_not_its_own_bound() -> None:
    """150 km, the best alpha: single clicks pass the bound without stations, 2.5 times, and not that with one."""
    fiber = Fiber(length_km=150.0, loss_db_per_km=0.2)
    uses = [click(Line(fiber, transport=Teleport(scheme="single-click", alpha=a))) for a in np.linspace(0.05, 0.5, 46)]
    best = max(uses, key=lambda use: use.ebits)
    assert best.ebits / repeater_bound(fiber.survival) == pytest.approx(2.5, abs=0.1)
    assert best.is_possible and not Use(best.ebits, best.transmission, 0).is_possible


@pytest.mark.parametrize("preset", [name for name, each in PRESETS.items() if "rate_hz" in each.figures])
def test_measured_pairs_come_no_faster_than_their_fiber_lets_them(preset: str) -> None:
    """At most an attempt each L/v, and a midpoint: checked where length and losses are known, with what it is worth."""
    known = PRESETS[preset].figures
    length_km = float(known["length_km"].value) if "length_km" in known else 1.0
    line, bare = line_of(preset, length_km), line_of(preset, length_km, transport="direct")
    assert isinstance(line.transport, Teleport)
    worth = max(0.0, coherent_information(line.transport.pairs(line).state()))
    attempts_hz = PS_PER_S / line.fiber.delay_ps
    use = Use(float(known["rate_hz"].value) * worth / attempts_hz, bare.fiber.survival, 1)
    assert use.is_possible and use.ebits < 1.0


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("length_km", LENGTHS_KM)
def test_codes_pass_no_capacity_of_erasures(name: str, length_km: float) -> None:
    """Blocks are erased or whole: k (1 - 2 f) <= n max(0, 1 - 2 p) one way, k (1 - f) <= n (1 - p) with heralds."""
    line = line_of("telecom-fiber", length_km, detector_efficiency=1.0, transport="coded", code=name)
    assert isinstance(line.transport, Coded)
    channel = line.transport.found().logical_channel(line.fiber.survival, line.flight)
    k, n, erased = channel.qubits_per_block, channel.physical_per_block, 1.0 - line.fiber.survival
    assert k * erasure_capacity(channel.failure, False) <= n * erasure_capacity(erased, False) + ROUNDING
    assert k * erasure_capacity(channel.failure, True) <= n * erasure_capacity(erased, True) + ROUNDING
    assert Use(k * channel.success / n, line.fiber.survival, 0).is_possible


def test_no_code_helps_beyond_three_decibels() -> None:
    """Where half of the photons are lost, no block arrives more than half of the time."""
    for length_km in (15.06, 20.0, 40.0):
        line = line_of("telecom-fiber", length_km, detector_efficiency=1.0, transport="coded")
        assert line.fiber.survival < 0.5
        for name in [*CODES, best_qpc(line.fiber.survival).name]:
            assert Coded(code=name).found().logical_channel(line.fiber.survival).success <= 0.5
    near = line_of("telecom-fiber", 10.0, detector_efficiency=1.0, transport="direct").fiber.survival
    assert best_qpc(near).logical_channel(near).success > near, "below it some do"


def test_noise_takes_more_from_codes() -> None:
    """Hashing of what arrives stays below what the noisy photons could carry."""
    for name in ("[[5,1,3]]", "[[7,1,3]]", "qpc(2,2)"):
        line = line_of("telecom-fiber", 2.0, transport="coded", code=name,
                       noise=[{"kind": "depolarizing", "probability": 0.05}])  # fmt: skip
        assert isinstance(line.transport, Coded)
        channel = line.transport.found().logical_channel(line.fiber.survival, line.flight)
        carried = channel.success * (1.0 - entropy(channel.weights)) / channel.physical_per_block
        photon = Line(line.fiber, (Noise("depolarizing", 0.05),))
        assert 0.0 < carried < direct(photon).ebits


def test_distillation_passes_no_bound() -> None:
    """Rounds cost pairs: what is left of an attempt only shrinks in what hashing counts, or stays below the bound."""
    for rounds in (1, 2, 3):
        for visibility in (0.5, 0.7, 0.9):
            line = Line(Fiber(length_km=1.0, loss_db_per_km=0.2),
                        transport=Teleport(visibility=visibility, distillation=Schedule(rounds)))  # fmt: skip
            assert click(line).is_possible
