"""Optimisers against closed forms and against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from ketwire.protocols.training.optimisers import OPTIMISERS, SGD, Adam, Momentum, Optimiser, State


def path(optimiser: Optimiser, start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    parameters, state = start, optimiser.start(len(start))
    for gradient in gradients:
        parameters, state = optimiser.update(parameters, gradient, state)
    assert state.steps == len(gradients)
    return parameters


def drawn(seed: int, steps: int = 30, count: int = 7) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=count), list(rng.normal(size=(steps, count)))


def test_descent_on_a_parabola_is_geometric() -> None:
    """θ ← (1 - η c) θ for the gradient c θ."""
    curvature, parameters, state = np.array([0.5, 1.0, 3.0]), np.array([1.0, -2.0, 0.3]), State(0, np.zeros((0, 3)))
    for _ in range(20):
        parameters, state = SGD(0.1).update(parameters, curvature * parameters, state)
    assert np.allclose(parameters, np.array([1.0, -2.0, 0.3]) * (1 - 0.1 * curvature) ** 20, rtol=1e-12)


def test_constant_gradients_have_closed_forms() -> None:
    """Momentum sums geometric series; Adam moves by η at every step, whatever the size of the gradient."""
    gradient, steps = np.array([2.0, -1e-3]), 15
    found = path(Momentum(0.1, 0.8), np.zeros(2), [gradient] * steps)
    weights = sum((1 - 0.8**t) / 0.2 for t in range(1, steps + 1))
    assert np.allclose(found, -0.1 * gradient * weights, rtol=1e-12)
    found = path(Adam(0.1, floor=1e-30), np.zeros(2), [gradient] * steps)
    assert np.allclose(found, [-1.5, 1.5], rtol=1e-12)
    assert np.allclose(path(Momentum(0.1, 0.0), *drawn(2)), path(SGD(0.1), *drawn(2)), rtol=1e-15)


def test_the_same_as_scikit_learn() -> None:
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

    start, gradients = drawn(1)
    for ours, theirs in (
        (Momentum(0.05, 0.7), SGDOptimizer([start.copy()], 0.05, momentum=0.7, nesterov=False)),
        # Its epsilon stands elsewhere, so it must not matter.
        (Adam(0.05, 0.8, 0.95, 1e-30), AdamOptimizer([start.copy()], 0.05, 0.8, 0.95, 1e-30)),
    ):
        parameters = [start.copy()]
        for gradient in gradients:
            theirs.update_params(parameters, [gradient])
        assert np.abs(path(ours, start, gradients) - parameters[0]).max() < 1e-12  # type: ignore[arg-type]


def test_adam_with_its_floor_is_the_formula() -> None:
    """Term by term with Python's floats."""
    start, gradients = drawn(3, count=1)
    theta, m, v = float(start[0]), 0.0, 0.0
    for t, gradient in enumerate(gradients, start=1):
        g = float(gradient[0])
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        theta -= 0.02 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)) ** 0.5 + 0.1)
    # Powers of decays have 40 significant bits.
    assert abs(path(Adam(0.02, floor=0.1), start, gradients)[0] - theta) < 1e-12


@pytest.mark.parametrize("kind", list(OPTIMISERS))
def test_a_horizon_lets_the_rate_fall_along_half_a_cosine(kind: str) -> None:
    """Moments do not see the rate, so each move is the constant one times its share: whole, half, none."""
    start, gradients = drawn(5, steps=7)
    state = OPTIMISERS[kind](0.1).start(len(start))
    for gradient in gradients:
        share = {0: 1.0, 2: 0.5, 4: 0.0}.get(state.steps, 0.0 if state.steps > 4 else None)
        whole, after = OPTIMISERS[kind](0.1).update(start, gradient, state)
        fallen, same = OPTIMISERS[kind](0.1, horizon=4).update(start, gradient, state)
        assert (same.moments == after.moments).all() and same.steps == after.steps
        if share is not None:
            assert np.abs((fallen - start) - share * (whole - start)).max() < 1e-15
        state = after


@pytest.mark.parametrize("kind", list(OPTIMISERS))
def test_updates_are_pure_and_each_parameter_goes_alone(kind: str) -> None:
    optimiser, (start, gradients) = OPTIMISERS[kind](0.1), drawn(4)
    kept = start.copy()
    whole = path(optimiser, start, gradients)
    assert (start == kept).all() and (path(optimiser, start, gradients) == whole).all()
    # Parameters split over owners move bit by bit as they would together.
    parts = [path(optimiser, start[at], [gradient[at] for gradient in gradients]) for at in (slice(3), slice(3, 7))]
    assert (np.concatenate(parts) == whole).all()


@pytest.mark.parametrize(
    ("make", "field"),
    [(lambda: SGD(0.0), "rate"), (lambda: Momentum(0.1, 1.0), "decay"), (lambda: Adam(first_decay=-0.1), "first_decay"),
     (lambda: Adam(second_decay=1.5), "second_decay"), (lambda: Adam(floor=0.0), "floor"),
     (lambda: SGD(0.1, horizon=0), "horizon")],
)  # fmt: skip
def test_bad_settings_are_refused(make: type, field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        make()


def test_what_does_not_fit_is_refused() -> None:
    state = Adam().start(2)
    with pytest.raises(ValueError, match=r"^gradient: shape \[1\] given"):
        Adam().update(np.zeros(2), np.zeros(1), state)
    with pytest.raises(ValueError, match=r"^gradient: NaN"):
        Adam().update(np.zeros(2), np.array([0.0, np.nan]), state)
    with pytest.raises(ValueError, match=r"^state: moments of shape \[2, 2\] given"):
        SGD(0.1).update(np.zeros(2), np.zeros(2), state)
