"""Optimisers: pure functions from parameters, a gradient and a state to parameters and a state.

Each works entry by entry in float64, so the same gradients give the same parameters to the last bit for every party
that runs it; powers of decays and the rate's cosine are rounded to 40 significant bits for that. The state is one
array and a step number, so that a checkpoint can hold it.

    sgd        θ ← θ - η g
    momentum   m ← β m + g;  θ ← θ - η m            (Polyak's heavy ball)
    adam       m ← β1 m + (1-β1) g;  v ← β2 v + (1-β2) g²;
               θ ← θ - η m̂ / (√v̂ + ε),  m̂ = m / (1-β1^t),  v̂ = v / (1-β2^t)      (Kingma and Ba 2015)

With a `horizon` T the rate falls along half a cosine, η_t = η (1 + cos(π t / T)) / 2 for the update after t
others (Loshchilov and Hutter 2017, without restarts): early steps go far, late ones average shot noise out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ketwire.quantum.grid import significant

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class State:
    """steps: updates made so far. moments: (moments of the optimiser, parameters), float64."""

    steps: int
    moments: Vector


class Optimiser(Protocol):
    """A rule for updates; its settings are its fields."""

    name: ClassVar[str]

    @property
    def rate(self) -> float:
        """The size of a step, before a horizon makes it smaller."""
        ...

    def start(self, count: int) -> State:
        """The state before the first update of `count` parameters."""
        ...

    def update(self, parameters: Vector, gradient: Vector, state: State) -> tuple[Vector, State]:
        """The parameters and the state after one update; the arguments stay as they were."""
        ...


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent. rate: η > 0; horizon: T >= 1. ValueError where they are not."""

    rate: float
    horizon: int | None = None
    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        _check_rate(self.rate, self.horizon)

    def start(self, count: int) -> State:
        """No moments."""
        return State(0, np.zeros((0, count)))

    def update(self, parameters: Vector, gradient: Vector, state: State) -> tuple[Vector, State]:
        """One step against the gradient."""
        _check_shapes(parameters, gradient, state, 0)
        rate = _rate_after(state.steps, self.rate, self.horizon)
        return parameters - rate * gradient, State(state.steps + 1, state.moments)


@dataclass(frozen=True)
class Momentum:
    """Heavy ball. rate: η > 0; decay: β in [0, 1); horizon: T >= 1. ValueError where they are not."""

    rate: float
    decay: float = 0.9
    horizon: int | None = None
    name: ClassVar[str] = "momentum"

    def __post_init__(self) -> None:
        _check_rate(self.rate, self.horizon)
        _check_decay("decay", self.decay)

    def start(self, count: int) -> State:
        """One moment: the sum of gradients, decaying."""
        return State(0, np.zeros((1, count)))

    def update(self, parameters: Vector, gradient: Vector, state: State) -> tuple[Vector, State]:
        """One step against the sum of gradients."""
        _check_shapes(parameters, gradient, state, 1)
        moment = self.decay * state.moments[0] + gradient
        rate = _rate_after(state.steps, self.rate, self.horizon)
        return parameters - rate * moment, State(state.steps + 1, moment[None])


@dataclass(frozen=True)
class Adam:
    """Adaptive moments. rate: η > 0; decays: β1, β2 in [0, 1); floor: ε > 0; horizon: T >= 1.

    ValueError where they are not.
    """

    rate: float = 0.001
    first_decay: float = 0.9
    second_decay: float = 0.999
    floor: float = 1e-8
    horizon: int | None = None
    name: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        _check_rate(self.rate, self.horizon)
        _check_decay("first_decay", self.first_decay)
        _check_decay("second_decay", self.second_decay)
        if not 0 < self.floor < np.inf:
            raise ValueError(f"floor: {self.floor} given, expected a number above 0")

    def start(self, count: int) -> State:
        """Two moments: of the gradient and of its square."""
        return State(0, np.zeros((2, count)))

    def update(self, parameters: Vector, gradient: Vector, state: State) -> tuple[Vector, State]:
        """One step, each parameter scaled by the size of its own gradients so far."""
        _check_shapes(parameters, gradient, state, 2)
        steps = state.steps + 1
        first = self.first_decay * state.moments[0] + (1 - self.first_decay) * gradient
        second = self.second_decay * state.moments[1] + (1 - self.second_decay) * gradient**2
        unbiased = first / significant(1 - self.first_decay**steps)
        scale = np.sqrt(second / significant(1 - self.second_decay**steps)) + self.floor
        rate = _rate_after(state.steps, self.rate, self.horizon)
        return parameters - rate * unbiased / scale, State(steps, np.stack([first, second]))


OPTIMISERS: dict[str, type[SGD] | type[Momentum] | type[Adam]] = {kind.name: kind for kind in (SGD, Momentum, Adam)}


def _rate_after(steps: int, rate: float, horizon: int | None) -> float:
    """The rate of the update that follows `steps` others; 0 from the horizon on."""
    if horizon is None:
        return rate
    return rate * float(significant((1.0 + math.cos(math.pi * min(steps / horizon, 1.0))) / 2.0))


def _check_rate(rate: float, horizon: int | None) -> None:
    if not 0 < rate < np.inf:
        raise ValueError(f"rate: {rate} given, expected a number above 0")
    if horizon is not None and horizon < 1:
        raise ValueError(f"horizon: {horizon} given, expected a number of steps, or None")


def _check_decay(name: str, decay: float) -> None:
    if not 0 <= decay < 1:
        raise ValueError(f"{name}: {decay} given, expected a number from 0 to below 1")


def _check_shapes(parameters: Vector, gradient: Vector, state: State, moments: int) -> None:
    """Refuse what would broadcast silently, and a gradient that is no number."""
    if parameters.ndim != 1 or gradient.shape != parameters.shape:
        raise ValueError(f"gradient: shape {list(gradient.shape)} given, expected that of the parameters, "
                         f"{list(parameters.shape)}")
    if state.moments.shape != (moments, len(parameters)):
        raise ValueError(f"state: moments of shape {list(state.moments.shape)} given, "
                         f"expected {[moments, len(parameters)]}")
    if not np.isfinite(gradient).all():
        raise ValueError("gradient: NaN or infinity given, expected finite numbers")
