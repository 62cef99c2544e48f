"""Objectives: smooth functions of a sample's <Z0> and its label, whose outer derivative is classical.

Labels that are two-valued come as -1 (the smaller) and 1. Source of the chain rule: THEORY §5.

    squared    (z - y)²                                decides by the sign of z
    logistic   ln(1 + exp(-y (scale z + bias)))        decides by the sign of scale z + bias
    module:Name  a class of the user's, made with the settings of the scenario

Estimates of z from K copies make the squared objective's slope unbiased, as it is linear in z; the
logistic one's is biased by O(scale² / K).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError, quoting
from ketwire.modules import find
from ketwire.protocols.node import Json

Floats = NDArray[np.float64]


class Objective(Protocol):
    """What is to be made small: the mean of `losses` over the samples of a batch.

    two_valued: labels must have two values, and come as -1 and 1; otherwise they come as they are, float64.
    """

    two_valued: bool

    def losses(self, z: Floats, labels: Floats) -> Floats:
        """One for each sample; z is float64 in [-1, 1], shape (samples,)."""
        ...

    def slopes(self, z: Floats, labels: Floats) -> Floats:
        """∂ losses / ∂z, shape (samples,)."""
        ...

    def decide(self, z: Floats) -> Floats:
        """The label that is nearest, shape (samples,): accuracy counts how often it is the right one."""
        ...


@dataclass(frozen=True)
class Squared:
    """(z - y)²."""

    two_valued = True

    def losses(self, z: Floats, labels: Floats) -> Floats:
        return np.asarray((z - labels) ** 2)

    def slopes(self, z: Floats, labels: Floats) -> Floats:
        return np.asarray(2.0 * (z - labels))

    def decide(self, z: Floats) -> Floats:
        return np.where(z > 0, 1.0, -1.0)


@dataclass(frozen=True)
class Logistic:
    """ln(1 + exp(-y (scale z + bias))). ValueError where scale is not above 0 or bias no number."""

    scale: float = 5.0
    bias: float = 0.0
    two_valued = True

    def __post_init__(self) -> None:
        if not 0 < self.scale < np.inf:
            raise ValueError(f"scale: {self.scale} given, expected a number above 0")
        if not np.isfinite(self.bias):
            raise ValueError(f"bias: {self.bias} given, expected a finite number")

    def losses(self, z: Floats, labels: Floats) -> Floats:
        return np.logaddexp(0.0, -labels * (self.scale * z + self.bias))

    def slopes(self, z: Floats, labels: Floats) -> Floats:
        margin = labels * (self.scale * z + self.bias)
        return np.asarray(-labels * self.scale * np.exp(-np.logaddexp(0.0, margin)))

    def decide(self, z: Floats) -> Floats:
        return np.where(self.scale * z + self.bias > 0, 1.0, -1.0)


LARGEST = 1e100
"""Losses and slopes above it are refused: their sums and squares could not be told from infinity."""


class Watched:
    """An objective by its name, whose numbers are looked at: one of a user's own may answer with anything."""

    def __init__(self, name: str, made: Objective) -> None:
        self.name, self.made, self.two_valued = name, made, bool(made.two_valued)

    def losses(self, z: Floats, labels: Floats) -> Floats:
        return self._finite("losses", z, labels)

    def slopes(self, z: Floats, labels: Floats) -> Floats:
        return self._finite("slopes", z, labels)

    def decide(self, z: Floats) -> Floats:
        return self._finite("decide", z)

    def _finite(self, what: str, z: Floats, *labels: Floats) -> Floats:
        found = self._asked(what, z, *labels)
        odd = np.flatnonzero(~(np.abs(found) <= LARGEST))
        if len(odd):
            told = f"{what} of {found[odd[0]]:.3g} at <Z0> = {z[odd[0]]:.3g}"
            raise ScenarioError(f"{KEY}: {self.name!r} gives {told}, expected numbers up to {LARGEST:.0e}")
        return found

    def _asked(self, what: str, z: Floats, *labels: Floats) -> Floats:
        """One number for each sample.

        Raises:
            ScenarioError: it raised, or answered with something else.
        """
        try:
            with np.errstate(all="ignore"):  # what comes of it is looked at
                found = np.asarray(getattr(self.made, what)(z, *labels), dtype=np.float64)
        except (Exception, SystemExit) as error:

            def refusal(told: str) -> ScenarioError:
                return ScenarioError(f"{KEY}: {self.name!r} raised {told}, expected {what} for {len(z)} samples")

            raise quoting(refusal, error, self.name) from error
        if found.shape != z.shape:
            shapes = f"an array of shape {list(found.shape)}, expected {list(z.shape)}"
            raise ScenarioError(f"{KEY}: {self.name!r} answers {what} with {shapes}: one for each sample")
        return found


_KNOWN: dict[str, type[Squared] | type[Logistic]] = {"squared": Squared, "logistic": Logistic}
KEY = "protocol.objective"


def objective(values: dict[str, Json]) -> Objective:
    """The objective that a slice names by `loss`, with its other settings.

    Raises:
        ScenarioError: there is none of that name, or it refuses its settings.
    """
    settings = {name: value for name, value in values.items() if name != "loss"}
    name = values["loss"]
    made: Any = _KNOWN.get(name) or _imported(name)
    try:
        built: Objective = made(**settings.get("settings", {})) if name not in _KNOWN else made(**settings)
    except (Exception, SystemExit) as error:  # a user's own may raise anything
        if name in _KNOWN:
            raise ScenarioError(f"{KEY}.{error}") from None

        def refusal(told: str) -> ScenarioError:
            return ScenarioError(f"{KEY}.settings: {told}, expected what {name!r} can be made with")

        raise quoting(refusal, error, name) from error
    lacks = [part for part in ("two_valued", "losses", "slopes", "decide") if not hasattr(built, part)]
    if lacks:
        raise ScenarioError(f"{KEY}.loss: {name!r} given, expected an objective, this one lacks {', '.join(lacks)}")
    return Watched(name, built)


def _imported(name: str) -> Any:
    try:
        return find(name)
    except (Exception, SystemExit) as error:

        def refusal(told: str) -> ScenarioError:
            expected = "expected squared, logistic or module:Name of an objective"
            return ScenarioError(f"{KEY}.loss: {name!r} given, {expected} ({told})")

        raise quoting(refusal, error, name.partition(":")[0]) from None
