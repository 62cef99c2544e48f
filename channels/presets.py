"""Named links, each number with its source. A scenario may override any of them.

A preset says what a link is made of in the words of a scenario: the keys of `links[]` that it sets
(`figures`), the memory that its ends had (`memory`, the keys of `nodes`), and what its sources do not
say (`left_out`). What is left out has the ideal value (nothing lost, no noise, no time). A number that was
worked out rather than read says so beside it, and so does a guess. Where an uncertainty is known it is in the
text: 0.9689(8) is 0.9689 +- 0.0008.

A source marked "secondary" was not read itself: the number comes from a text that quotes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ketwire.channels.fiber import Fiber

SECONDARY = "read in a secondary source"

# What each way to make pairs has a meaning for, beside what all of them have.
_CLICKS = frozenset({
    "dark_count", "visibility", "attempt_s", "wait_for_herald", "duty_cycle", "station_km", "side_loss_db",
    "side_efficiency", "emission_fidelity", "double_excitation",
})  # fmt: skip
SCHEME_KEYS: Mapping[str, frozenset[str]] = {
    "single-click": _CLICKS | {"alpha", "phase_noise_deg"},
    "double-click": _CLICKS,
    "given": frozenset({"rate_hz", "fidelity", "bell", "attempt_s"}),
}

# What a measured rate of pairs has in it, and the value at which it says nothing.
IN_A_RATE: Mapping[str, float | None] = {
    "loss_db_per_km": 0.0,
    "p_init": 0.0,
    "detector_efficiency": 1.0,
    "emission_rate_hz": None,
}

# The same of what a laboratory says of its attempts and of the two sides of its station.
HAVE_IN_THEM: Mapping[str, frozenset[str]] = {
    "attempt_s": frozenset({"emission_rate_hz"}),
    "side_loss_db": frozenset({"loss_db_per_km"}),
    "side_efficiency": frozenset({"p_init", "detector_efficiency"}),
}


Value = float | int | str | bool | tuple[float, float]
"""What a key of a link says; two numbers are those of its two sides."""


@dataclass(frozen=True)
class Figure:
    """One setting of a preset, and where it comes from."""

    value: Value
    source: str


@dataclass(frozen=True)
class Preset:
    """A link that can be named.

    summary: what it is, in one line
    source:  the publications, in one line
    figures: what it sets, by key of `links[]`
    memory:  t1_s, t2_s and t2_shape of what stood at its ends, by key of `nodes`; a scenario says them there
    left_out: what the sources do not say and therefore is ideal here
    """

    summary: str
    source: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    memory: Mapping[str, Figure] = field(default_factory=dict)
    left_out: str = ""

    @property
    def fiber(self) -> Fiber:
        """Its glass; ideal where the preset says nothing."""
        physical = Fiber.__dataclass_fields__
        return Fiber(**{key: each.value for key, each in self.figures.items() if key in physical})  # type: ignore[arg-type]

    @property
    def knows_losses(self) -> bool:
        """Whether a photon's way over it is known; otherwise a transport of photons cannot be judged."""
        return not self.figures or any(key in self.figures for key in ("loss_db_per_km", "p_init"))

    @property
    def in_force(self) -> dict[str, Figure]:
        """The figures that mean something with its own transport; the others do with `direct` or `coded`."""
        given = self.figures.get("scheme") is not None and self.figures["scheme"].value == "given"
        return {key: each for key, each in self.figures.items() if not (given and key in IN_A_RATE)}

    def transport(self, transport: str | None, scheme: str | None) -> dict[str, Value]:
        """What it says about how registers cross, by key of `links[]`.

        Args:
            transport, scheme: what a scenario asks for instead of the preset's own; None where it does
                not. What means nothing for these is left out.
        """
        physical = Fiber.__dataclass_fields__
        own = {key: each.value for key, each in self.figures.items() if key not in physical}
        kind = own.get("transport", "direct")
        if transport not in (None, kind):
            return {"transport": str(transport)}
        if kind == "teleport" and scheme not in (None, own.get("scheme", "double-click")):
            foreign = frozenset().union(*SCHEME_KEYS.values()) - SCHEME_KEYS[str(scheme)]
            own = {key: value for key, value in own.items() if key not in foreign} | {"scheme": str(scheme)}
        return {"transport": kind, **own}


# Beside a number: who says so. The preset names the publication in full.
_SEQUENCE = "SeQUeNCe's default"
_ITU = "standard single-mode fiber at 1550 nm"
_MAIN = "Main 2025"
_STEPHENSON = "Stephenson 2020"
_OREILLY = "O'Reilly 2024"
_HUMPHREYS = "Humphreys 2018"
_STOLK = "Stolk 2024"
_KNAUT = "Knaut 2024"
_KRUTYANSKIY = "Krutyanskiy 2022"
_AVIS = "Avis 2022"
_NV = f"NetSquid's parameters of NV centres, after {_HUMPHREYS}; {SECONDARY}"


def _measured(rate_hz: Figure, fidelity: Figure, length_km: Figure | None = None) -> dict[str, Figure]:
    """A laboratory that is known by the pairs that it makes."""
    given = Figure("given", "known by the pairs that it makes")
    lengths = {} if length_km is None else {"length_km": length_km}
    return {
        **lengths,
        "transport": Figure("teleport", "heralded entanglement of memories"),
        "scheme": given,
        "rate_hz": rate_hz,
        "fidelity": fidelity,
    }


PRESETS: dict[str, Preset] = {
    "ideal": Preset(
        "no loss, no noise, no emission time; light still travels at 2e5 km/s",
        "by definition",
    ),
    "telecom-fiber": Preset(
        "a fiber of today's networks with a good detector at its end",
        "standard single-mode fiber at 1550 nm; SeQUeNCe's defaults; IEEE 802.3z",
        {
            "loss_db_per_km": Figure(0.2, _ITU),
            "detector_efficiency": Figure(0.9, _SEQUENCE),
            "speed_km_per_s": Figure(200_000.0, "light in glass of index 1.5; SeQUeNCe's and NetSquid's default"),
            "emission_rate_hz": Figure(25e6, _SEQUENCE),
            "bandwidth_bps": Figure(1e9, "line rate of gigabit Ethernet, IEEE 802.3z"),
        },
    ),
    "oxford-2025": Preset(
        "two trapped-ion modules 2 m apart (they teleported a CZ gate with 86%)",
        "Main et al., Nature 638, 383 (2025), arXiv 2407.00835",
        _measured(
            Figure(9.7, f"pairs a second; {_MAIN}; {SECONDARY}"),
            Figure(0.9689, f"0.9689(8), of a heralded pair; {_MAIN}; {SECONDARY}"),
            Figure(0.002, f"2 m; {_MAIN}"),
        ),
        left_out="losses of its fiber, memory times",
    ),
    "oxford-2020": Preset(
        "two strontium ions 2 m apart, joined by 4 m of fiber",
        "Stephenson et al., PRL 124, 110501 (2020)",
        {
            **_measured(
                Figure(182.0, f"pairs a second; {_STEPHENSON}"),
                Figure(0.94, f"0.940(5), of a heralded pair; {_STEPHENSON}; {SECONDARY}"),
                Figure(0.004, f"4 m of fiber, the ions are 2 m apart; {_STEPHENSON}; {SECONDARY}"),
            ),
            "attempt_s": Figure(2.18e-4 / 182, f"worked out: success 2.18e-4 at 182 a second; {_STEPHENSON}"),
        },
        left_out="losses of its fiber, memory times",
    ),
    "duke-2024": Preset(
        "two barium ions entangled without pause for cooling; a lower bound of the fidelity",
        "O'Reilly et al., arXiv 2404.16167 (2024)",
        _measured(
            Figure(250.0, f"pairs a second; {_OREILLY}; {SECONDARY}"),
            Figure(0.94, f"a lower bound, F > 0.94; {_OREILLY}; {SECONDARY}"),
        ),
        left_out="length and losses of its fiber, memory times",
    ),
    "delft-2018-lab": Preset(
        "two NV centres 2 m apart, single clicks (published: 39 a second, F = 0.60(2))",
        "Humphreys et al., arXiv 1712.07567 (2018); NetSquid's parameters of NV centres",
        {
            "length_km": Figure(0.002, f"2 m; {_HUMPHREYS}"),
            "transport": Figure("teleport", f"heralded entanglement of memories; {_HUMPHREYS}"),
            "scheme": Figure("single-click", f"one photon heralds; {_HUMPHREYS}"),
            "alpha": Figure(0.3, f"the setting of 39 pairs a second; {_HUMPHREYS}; {SECONDARY}"),
            "p_init": Figure(1 - 3.5e-4, f"3.5e-4 of the photons are detected, {_NV}; another source says 4e-4"),
            "dark_count": Figure(5e-7, f"a detector and window; {_NV}"),
            "visibility": Figure(0.9, _NV),
            "phase_noise_deg": Figure(15.0, _NV),
            "double_excitation": Figure(0.04, _NV),
            "attempt_s": Figure(5.5e-6, _NV),
        },
        # An entangled state lost its coherence at 5 Hz. Both halves lose theirs, e^(-t/T2 - t/T2) = e^(-5 t).
        {"t2_s": Figure(0.4, f"worked out: pairs decohere at 5 Hz, half of it at each end; {_HUMPHREYS}")},
        left_out="errors of initialisation and readout, relaxation",
    ),
    "delft-metro-2024": Preset(
        "two NV centres in two cities, a station between them, 25 km of deployed fiber",
        "Stolk et al., Science Advances (2024), doi 10.1126/sciadv.adp6442",
        _measured(
            Figure(0.022, f"pairs a second; {_STOLK}; {SECONDARY}"),
            Figure(0.534, f"0.534(15), of a heralded pair; {_STOLK}; {SECONDARY}"),
            Figure(25.0, f"of fiber; {_STOLK}"),
        ),
        left_out="losses of its fiber apart from what the rate says, memory times",
    ),
    "harvard-2024": Preset(
        "two silicon-vacancy nodes over a 35 km loop under Boston, pairs of nuclear spins",
        "Knaut et al., Nature 629, 573 (2024), doi 10.1038/s41586-024-07252-z",
        {
            **_measured(
                # No rate over the loop was at hand. At 20 m it was at most 1 Hz (electrons, F = 0.86; secondary
                # source), and a photon's way through the loop loses 17 dB more: 1 Hz x 10^-1.7 = 0.02 Hz.
                Figure(0.02, f"a guess, worked out: at most 1 Hz at 20 m less 17 dB; {_KNAUT}; {SECONDARY}"),
                Figure(0.69, f"of a pair of nuclear spins; {_KNAUT}; {SECONDARY}"),
                Figure(35.0, f"of deployed fiber; {_KNAUT}"),
            ),
            # 17 dB over 35 km, to the last digit that a float has.
            "loss_db_per_km": Figure(17 / 35, f"17 dB over 35 km; {_KNAUT}"),
        },
        {"t2_s": Figure(2.1, f"2.1(1) s, of nuclear spins; {_KNAUT}; {SECONDARY}")},
        left_out="losses other than the fiber's (direct and coded look better than they were), relaxation",
    ),
    "innsbruck-230m": Preset(
        "two ions in two buildings, 520 m of fiber, two-photon heralds",
        "Krutyanskiy et al., zenodo.org/record/7031041 (2022)",
        {
            "length_km": Figure(0.52, f"520 m of fiber; {_KRUTYANSKIY}"),
            "transport": Figure("teleport", f"heralded entanglement of memories; {_KRUTYANSKIY}"),
            "scheme": Figure("double-click", f"two photons herald; {_KRUTYANSKIY}"),
            # An attempt succeeds with 4e-5 = eta_half^2 / 2, so a photon of either node is detected with
            # eta_half = sqrt(8e-5) = 0.008944: everything on its way, the fiber's loss included.
            "p_init": Figure(1 - 8e-5**0.5, f"worked out: success 4e-5 = (1 - p_init)^2 / 2; {_KRUTYANSKIY}"),
            # Two Werner states of 0.938 swapped have F = 0.881; 0.882(+0.023, -0.060) was published.
            "emission_fidelity": Figure(0.938, f"of an ion and its photon; {_KRUTYANSKIY}; {SECONDARY}"),
            "attempt_s": Figure(350e-6, f"a cycle, initialisation and cooling included; {_KRUTYANSKIY}; {SECONDARY}"),
        },
        left_out="interference of the photons, dark counts, memory times",
    ),
    "color-center": Preset(
        "colour centres in diamond, the parameters of a study of repeater hardware",
        "Avis et al., arXiv 2207.10579 (2022), appendix A.5",
        {
            "transport": Figure("teleport", f"heralded entanglement of memories; {_AVIS}"),
            "scheme": Figure("double-click", "the choice that needs no further number; single-click needs your alpha"),
            "p_init": Figure(0.99949, f"photons lost before the fiber; {_AVIS}, A.5"),
            "dark_count": Figure(1.5e-7, f"a detector and window; {_AVIS}, A.5"),
            "visibility": Figure(0.9, f"{_AVIS}, A.5"),
            "loss_db_per_km": Figure(0.25, f"{_AVIS}, A.5"),
            "speed_km_per_s": Figure(214_000.0, f"{_AVIS}, A.5"),
        },
        {
            "t1_s": Figure(3600.0, f"an hour, of the electron; {_AVIS}, A.5"),
            "t2_s": Figure(0.5, f"of the electron; {_AVIS}, A.5"),
        },
    ),
    "trapped-ion": Preset(
        "trapped ions on telecom fiber, the parameters of a study of repeater hardware",
        "Avis et al., arXiv 2207.10579 (2022), appendix A.6",
        {
            "transport": Figure("teleport", f"heralded entanglement of memories; {_AVIS}"),
            "scheme": Figure("double-click", "the choice that needs no further number; single-click needs your alpha"),
            "p_init": Figure(0.889, f"photons lost before the fiber; {_AVIS}, A.6"),
            "dark_count": Figure(1.4e-5, f"a detector and window; {_AVIS}, A.6"),
            "visibility": Figure(0.89, f"{_AVIS}, A.6"),
            "loss_db_per_km": Figure(0.25, f"{_AVIS}, A.6; {SECONDARY}"),
            "speed_km_per_s": Figure(214_000.0, f"{_AVIS}, A.6; {SECONDARY}"),
        },
        {
            "t2_s": Figure(0.085, f"{_AVIS}, A.6"),
            "t2_shape": Figure("gaussian", f"the source has e^(-(t/T2)^2); {_AVIS}, A.6; {SECONDARY}"),
        },
    ),
}


def fiber(preset: str, **overrides: float | None) -> Fiber:
    """The fiber of a preset with some fields changed.

    Raises:
        KeyError: no preset has this name.
        ValueError: a field has a value that no fiber can have.
    """
    return Fiber(**{**asdict(PRESETS[preset].fiber), **overrides})
