"""What a scenario says of a laboratory that makes pairs: its attempts, the sides of its station, its emitters."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ketwire.channels.entanglement.delivery import Delivery
from ketwire.channels.entanglement.laboratory import Laboratory
from ketwire.channels.timing import PS_PER_S
from ketwire.scenarios.schema.strict import Strict

Sides = tuple[float, float]


class Bell(Strict):
    """Weights of the four Bell states in a pair; they sum to 1."""

    phi_plus: float = Field(0.0, ge=0, le=1, description="of the state that pairs aim at: its fidelity")
    phi_minus: float = Field(0.0, ge=0, le=1, description="of phi_plus after Z on one half: a phase error")
    psi_plus: float = Field(0.0, ge=0, le=1, description="of phi_plus after X on one half: a bit error")
    psi_minus: float = Field(0.0, ge=0, le=1, description="of phi_plus after Y on one half")

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """In the order of `channels.entanglement.pairs`."""
        return self.phi_plus, self.psi_minus, self.psi_plus, self.phi_minus


def _mixed() -> Bell:
    return Bell(phi_plus=0.25, phi_minus=0.25, psi_plus=0.25, psi_minus=0.25)


class Deliver(Strict):
    """Pairs at deadlines."""

    every_s: float = Field(gt=0, le=1e6, description="a pair is handed over so often, in each memory slot, s")
    fallback: Bell = Field(
        default_factory=_mixed, description="what is handed over where none was made; maximally mixed unless said"
    )

    def delivery(self) -> Delivery:
        """What the link does.

        Raises:
            ValueError: weights that do not sum to 1; the message starts with `deliver`.
        """
        return Delivery(round(self.every_s * PS_PER_S), self.fallback.weights)


class LaboratoryKeys(Strict):
    """The keys of a link that say how its pairs are made in a laboratory; null: as the preset or the fiber says."""

    attempt_s: float | None = Field(
        None, gt=0, le=1e6,
        description="teleport: from one attempt to the next, s; null: as emission and herald take, of given "
        "1e-3 / rate_hz",
    )  # fmt: skip
    wait_for_herald: bool | None = Field(
        None, description="clicks: whether the next attempt waits for the herald; true unless said otherwise"
    )
    duty_cycle: float | None = Field(
        None, gt=0, le=1, description="clicks: share of the time in which attempts are made; 1 unless said otherwise"
    )
    station_km: float | None = Field(
        None, ge=0, description="clicks: from the first node of between to the station; null: in the middle"
    )
    side_loss_db: Sides | None = Field(
        None, description="clicks: dB from each node to the station, in the order of between; null: loss_db_per_km"
    )
    side_efficiency: Sides | None = Field(
        None, description="clicks: chance that a photon of each node is collected and detected, without the fiber's "
        "loss; null: (1 - p_init) detector_efficiency",
    )  # fmt: skip
    emission_fidelity: float | None = Field(
        None, description="clicks: of a memory and its photon, 1/4 to 1; 1 unless said otherwise"
    )
    phase_noise_deg: float | None = Field(
        None, ge=0, description="single-click: standard deviation of the phase between the two paths, degrees"
    )
    double_excitation: float | None = Field(
        None, ge=0, le=1, description="clicks: probability that an excited memory emits one more photon, unseen"
    )
    bell: Bell | None = Field(None, description="given: the state of a heralded pair, in place of fidelity")
    deliver: Deliver | None = Field(None, description="teleport: hand pairs over at deadlines, made or not")


LABORATORY_KEYS = frozenset(LaboratoryKeys.model_fields)
OF_ATTEMPTS = LABORATORY_KEYS - {"bell", "deliver"}
"""Those of `laboratory`."""


def laboratory(told: dict[str, Any]) -> Laboratory:
    """The laboratory of these keys, without those that are null.

    Raises:
        ValueError: a value that no laboratory has; the message starts with the field's name.
    """
    told = {name: value for name, value in told.items() if value is not None and name in OF_ATTEMPTS}
    if "attempt_s" in told:
        told["attempt_ps"] = round(told.pop("attempt_s") * PS_PER_S)
    return Laboratory(**told)
