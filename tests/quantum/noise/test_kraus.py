"""Channels on one qubit: complete positivity, closed forms, composition, refusals."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from ketwire.quantum.gates import PAULI
from ketwire.quantum.noise.kraus import (
    Kraus,
    amplitude_damp,
    bit_flip,
    damp_and_dephase,
    decay,
    decay_parameters,
    dephase,
    depolarize,
    general,
    pauli,
    probability_from_rate,
)

X, Y, Z = (PAULI[letter] for letter in "XYZ")
chances = st.floats(0, 1)
infinite = math.inf
EXAMPLES = 25


def given(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """hypothesis.given, the same examples in every run."""
    return lambda test: settings(max_examples=EXAMPLES, deadline=None, derandomize=True)(given_any(**strategies)(test))


def random_channel(k: int, seed: int) -> Kraus:
    """k operators cut out of a Haar-like isometry."""
    rng = np.random.default_rng(seed)
    isometry, _ = np.linalg.qr(rng.standard_normal((2 * k, 2)) + 1j * rng.standard_normal((2 * k, 2)))
    return general(isometry.reshape(k, 2, 2))


def random_rho(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((2, 2)) + 1j * rng.standard_normal((2, 2))
    rho = root @ root.conj().T
    return rho / np.trace(rho)


def image(channel: Kraus, rho: np.ndarray) -> np.ndarray:
    return sum(K @ rho @ K.conj().T for K in channel.operators)


@st.composite
def lifetimes(draw: st.DrawFn) -> tuple[float, float, float]:
    t1 = draw(st.one_of(st.just(infinite), st.floats(1e3, 1e15)))
    t2 = draw(st.one_of(st.just(2.0), st.floats(1e-3, 2.0))) * t1
    if t1 == infinite:
        t2 = draw(st.one_of(st.just(infinite), st.floats(1e3, 1e15)))
    return draw(st.floats(0, 1e14)), t1, t2


@st.composite
def pauli_channels(draw: st.DrawFn) -> Kraus:
    made = draw(st.sampled_from([depolarize, dephase, bit_flip, None]))
    if made is not None:
        return made(draw(chances))
    raw = np.array([draw(st.floats(1e-6, 1)) for _ in range(4)])
    return pauli(*(raw[1:] / raw.sum()).tolist())


@st.composite
def channels(draw: st.DrawFn) -> Kraus:
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return draw(pauli_channels())
    if kind == 1:
        return amplitude_damp(draw(chances))
    if kind == 2:
        return decay(*draw(lifetimes()))
    if kind == 3:
        return damp_and_dephase(draw(chances), draw(chances))
    return random_channel(draw(st.integers(1, 6)), draw(st.integers(0, 10**6)))


@given(channel=channels())
def test_every_channel_is_completely_positive_and_keeps_the_trace(channel: Kraus) -> None:
    choi = channel.choi()
    assert np.abs(choi - choi.conj().T).max() < 1e-15
    assert np.linalg.eigvalsh(choi).min() > -1e-12
    assert np.abs(np.einsum("iaja->ij", choi.reshape(2, 2, 2, 2)) - np.eye(2)).max() <= 1e-12
    assert 1 <= len(channel.operators) <= 6 and not channel.operators.flags.writeable


@given(channel=channels())
def test_choi_and_superoperator_are_those_of_the_operators(channel: Kraus) -> None:
    choi, superoperator = channel.choi().reshape(2, 2, 2, 2), channel.superoperator()
    for i in range(2):
        for j in range(2):
            basis = np.zeros((2, 2))
            basis[i, j] = 1
            expected = image(channel, basis)
            assert np.abs(choi[i, :, j, :] - expected).max() < 1e-14
            assert np.abs((superoperator @ basis.reshape(4)).reshape(2, 2) - expected).max() < 1e-14


@given(p=chances, seed=st.integers(0, 100))
def test_pauli_channels_have_their_closed_forms(p: float, seed: int) -> None:
    rho = random_rho(seed)
    for channel, expected, weights in (
        (depolarize(p), (1 - p) * rho + p * np.eye(2) / 2, [1 - 3 * p / 4, p / 4, p / 4, p / 4]),
        (dephase(p), (1 - p) * rho + p * Z @ rho @ Z, [1 - p, 0, 0, p]),
        (bit_flip(p), (1 - p) * rho + p * X @ rho @ X, [1 - p, p, 0, 0]),
        (pauli(p / 2, p / 3, p / 6), (1 - p) * rho + p * (X @ rho @ X / 2 + Y @ rho @ Y / 3 + Z @ rho @ Z / 6),
         [1 - p, p / 2, p / 3, p / 6]),
    ):  # fmt: skip
        assert channel.is_pauli and channel.pauli_weights is not None
        assert np.abs(image(channel, rho) - expected).max() < 1e-14
        assert np.abs(channel.pauli_weights - weights).max() < 1e-15


@given(gamma=chances, seed=st.integers(0, 100))
def test_damping_moves_population_and_shrinks_coherence(gamma: float, seed: int) -> None:
    rho = random_rho(seed)
    after = image(amplitude_damp(gamma), rho)
    assert abs(after[1, 1] - (1 - gamma) * rho[1, 1]) < 1e-14
    assert abs(after[0, 1] - math.sqrt(1 - gamma) * rho[0, 1]) < 1e-14


@given(times=lifetimes(), seed=st.integers(0, 100))
def test_decay_is_exponential_in_both_lifetimes(times: tuple[float, float, float], seed: int) -> None:
    t, t1, t2 = times
    rho = random_rho(seed)
    after = image(decay(t, t1, t2), rho)
    assert abs(after[1, 1] - math.exp(-t / t1) * rho[1, 1]) < 1e-13
    # γ near 1 is a number of 16 digits, and so 1 - γ, whose root the coherence is, of fewer.
    kept = math.exp(-t / (2 * t1))
    assert abs(after[0, 1] - math.exp(-t / t2) * rho[0, 1]) < 1e-13 + min(2e-8, 4e-16 / max(kept, 1e-12))


def test_the_depolarized_qubit_of_the_literature() -> None:
    """1e7 Hz over 20 ns: any pure qubit keeps fidelity 1 - p/2 = 0.909 (NetSquid's tutorial figure)."""
    p = probability_from_rate(1e7, 20_000)
    assert p == pytest.approx(1 - math.exp(-0.2), rel=1e-14)
    ket = np.array([0.6, 0.8j])
    fidelity = np.vdot(ket, image(depolarize(p), np.outer(ket, ket.conj())) @ ket).real
    assert fidelity == pytest.approx(1 - p / 2, abs=1e-14) and round(fidelity, 3) == 0.909
    assert probability_from_rate(0.0, 5) == probability_from_rate(5.0, 0) == 0
    assert probability_from_rate(1e-9, 1) == pytest.approx(1e-21, rel=1e-12, abs=0)  # no cancellation


def test_infinite_lifetimes_do_nothing() -> None:
    assert decay(1e15, infinite, infinite).pauli_weights is not None
    assert decay(1e15, infinite, infinite).pauli_weights.tolist() == [1, 0, 0, 0]
    channel = decay(100, infinite, 50)
    assert channel.pauli_weights is not None
    assert channel.pauli_weights[3] == pytest.approx((1 - math.exp(-2)) / 2)
    assert decay(0, 10, 20).pauli_weights is not None


@given(times=lifetimes())
def test_parameters_of_many_times_are_those_of_each(times: tuple[float, float, float]) -> None:
    t, t1, t2 = times
    gamma, p_z = decay_parameters(np.array([[0.0, t], [t / 2, t]]), t1, t2)
    assert gamma.shape == p_z.shape == (2, 2) and gamma[0, 0] == p_z[0, 0] == 0
    assert ((gamma >= 0) & (gamma <= 1) & (p_z >= 0) & (p_z <= 0.5)).all()
    one = damp_and_dephase(float(gamma[1, 1]), float(p_z[1, 1]))
    assert np.abs(decay(t, t1, t2).superoperator() - one.superoperator()).max() < 1e-15


@given(one=channels(), two=channels())
def test_composition_multiplies_superoperators(one: Kraus, two: Kraus) -> None:
    both = one.then(two)
    assert len(both.operators) <= 4
    assert np.abs(both.superoperator() - two.superoperator() @ one.superoperator()).max() < 1e-13


@given(one=pauli_channels(), two=pauli_channels())
def test_pauli_channels_commute_and_stay_pauli(one: Kraus, two: Kraus) -> None:
    there, back = one.then(two).pauli_weights, two.then(one).pauli_weights
    assert there is not None and back is not None
    assert np.abs(there - back).max() < 1e-15 and abs(there.sum() - 1) < 1e-12


@given(p=chances, q=chances, t=st.floats(0, 1e6))
def test_channels_of_one_kind_add_up(p: float, q: float, t: float) -> None:
    assert np.abs(depolarize(p).then(depolarize(q)).choi() - depolarize(p + q - p * q).choi()).max() < 1e-14
    assert np.abs(dephase(p).then(dephase(q)).choi() - dephase(p + q - 2 * p * q).choi()).max() < 1e-14
    twice, once = decay(2 * t, 1e5, 7e4), decay(t, 1e5, 7e4)
    assert np.abs(once.then(once).choi() - twice.choi()).max() < 1e-13


def test_long_chains_stay_channels() -> None:
    step, chain = random_channel(3, 5), random_channel(2, 6)
    for _ in range(300):
        chain = chain.then(step)  # each construction checks Σ K†K to 1e-12
    noise = depolarize(1e-3)
    for _ in range(300):
        noise = noise.then(depolarize(1e-3))
    assert noise.pauli_weights is not None
    assert noise.pauli_weights[0] == pytest.approx(0.25 + 0.75 * 0.999**301, rel=1e-12)


@given(channel=pauli_channels(), seed=st.integers(0, 100))
def test_pauli_weights_are_found_behind_any_choice_of_operators(channel: Kraus, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = len(channel.operators)
    mixing, _ = np.linalg.qr(rng.standard_normal((k + 1, k)) + 1j * rng.standard_normal((k + 1, k)))
    found = general(np.einsum("mk,kij->mij", mixing, channel.operators))
    assert found.pauli_weights is not None and channel.pauli_weights is not None
    assert np.abs(found.pauli_weights - channel.pauli_weights).max() < 1e-13


@given(gamma=st.floats(0, 0.99), p_z=st.floats(0, 1))
def test_damping_is_recognised(gamma: float, p_z: float) -> None:
    found = damp_and_dephase(gamma, p_z).damping
    assert found is not None
    assert np.abs(np.array(found) - [gamma, p_z]).max() < 1e-12
    if gamma > 1e-6:
        assert not damp_and_dephase(gamma, p_z).is_pauli
        upside_down = general([X @ K @ X for K in amplitude_damp(gamma).operators])
        assert upside_down.damping is None and not upside_down.is_pauli
    assert depolarize(0.1).damping is None


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "p": (lambda: depolarize(1.2), "p: 1.2 given, expected a number from 0 to 1"),
    "below 0": (lambda: dephase(-0.1), "p: -0.1 given"),
    "nan": (lambda: bit_flip(math.nan), "p: nan given"),
    "text": (lambda: bit_flip("much"), "p: 'much' given"),  # type: ignore[arg-type]
    "gamma": (lambda: amplitude_damp(np.float64(1.5)), "gamma: 1.5 given"),
    "p_y": (lambda: pauli(0, 2, 0), "p_y: 2.0 given"),
    "too many paulis": (lambda: pauli(0.5, 0.5, 0.25), "p_x + p_y + p_z: 1.25 given, expected at most 1"),
    "T2": (lambda: decay(1, 10, 20.1), "t2_ps: 20.1 given, expected at most 2 t1_ps = 20.0, since"),
    "T2 for ever": (lambda: decay(1, 10, infinite), "t2_ps: inf given, expected at most 2 t1_ps"),
    "T1": (lambda: decay(1, 0, 1), "t1_ps: 0.0 given, expected a time above 0, or infinity"),
    "T1 nan": (lambda: decay(1, math.nan, 1), "t1_ps: nan given"),
    "time": (lambda: decay(-1, 1, 1), "time_ps: -1.0 given"),
    "times": (lambda: decay_parameters([1, infinite], 1, 1), "times_ps: inf given"),
    "rate": (lambda: probability_from_rate(-1, 1), "rate_hz: -1.0 given"),
    "rate time": (lambda: probability_from_rate(1, infinite), "time_ps: inf given"),
    "not a channel": (
        lambda: general([X, Z]),
        "operators: given, expected a channel, whose K†K sum to the identity to 1e-12 (these miss it by 1)",
    ),
    "almost": (lambda: general([X * (1 + 1e-11)]), "these miss it by 2e-11"),
    "shape": (lambda: general([np.eye(4)]), "operators: shapes [(4, 4)] given"),
    "none": (lambda: general([]), "operators: shapes [] given"),
    "infinite": (lambda: general([X * infinite]), "operators: NaN or infinity"),
    "wrong weights": (lambda: Kraus(np.array([X]), np.array([1.0, 0, 0, 0])), "pauli_weights:"),
}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_bad_values_are_refused_in_one_line(case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(ValueError) as caught:
        make()
    assert words in str(caught.value) and "\n" not in str(caught.value)
