"""Named links, each with the source of its numbers. A scenario may override any field."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ketwire.channels.fiber import Fiber


@dataclass(frozen=True)
class Preset:
    """A link that can be named: its physics and where the numbers come from."""

    fiber: Fiber
    source: str


PRESETS: dict[str, Preset] = {
    "ideal": Preset(
        Fiber(),
        "no loss, no emission time; light still travels at 2e5 km/s",
    ),
    "telecom-fiber": Preset(
        Fiber(
            loss_db_per_km=0.2,
            detector_efficiency=0.9,
            speed_km_per_s=200_000.0,
            emission_rate_hz=25e6,
            bandwidth_bps=1e9,
        ),
        "standard single-mode fiber at 1550 nm; detector efficiency 0.9 and 25 MHz are SeQUeNCe's defaults; "
        "1 Gb/s is the line rate of gigabit Ethernet (IEEE 802.3z)",
    ),
}


def fiber(preset: str, **overrides: float | None) -> Fiber:
    """The fiber of a preset with some fields changed.

    Raises:
        KeyError: no preset has this name.
        ValueError: a field has a value that no fiber can have.
    """
    return Fiber(**{**asdict(PRESETS[preset].fiber), **overrides})
