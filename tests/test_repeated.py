"""Circuits that are used again: one matrix product a batch, and the same states to rounding."""

from __future__ import annotations

import numpy as np
import pytest

from ketwire.quantum import repeated
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.engine import apply
from ketwire.quantum.layers import haar_state, hardware_efficient


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each circuit was run on, layer by layer."""
    found: list[int] = []

    def counted(circuit: Circuit, states: np.ndarray, *args: object, **options: object) -> np.ndarray:
        found.append(len(states))
        return apply(circuit, states, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(repeated, "apply", counted)
    monkeypatch.setattr(repeated, "_seen", {})
    return found


def test_a_circuit_is_run_twice_however_often_it_is_applied(runs: list[int]) -> None:
    rng = np.random.default_rng(1)
    circuit = hardware_efficient(4, 6)
    angles = rng.uniform(-np.pi, np.pi, circuit.parameter_count)
    for rows in (3, 1, 5, 2, 8):
        states = haar_state(4, rng, rows)
        found = repeated.apply_again(circuit, states, angles.copy())
        assert np.abs(found - apply(circuit, states, angles)).max() < 1e-13
    assert runs == [3, 16]


def test_other_parameters_and_other_circuits_are_run_anew(runs: list[int]) -> None:
    rng = np.random.default_rng(2)
    states = haar_state(3, rng, 2)
    for circuit in (hardware_efficient(3, 4), hardware_efficient(3, 4, axes="zy")):
        for _ in range(2):
            angles = rng.uniform(-np.pi, np.pi, circuit.parameter_count)
            for _ in range(3):
                found = repeated.apply_again(circuit, states, angles)
                assert np.abs(found - apply(circuit, states, angles)).max() < 1e-13
    assert runs == [2, 8] * 4


def test_registers_that_a_matrix_would_be_large_for_are_run_each_time(runs: list[int]) -> None:
    circuit = hardware_efficient(repeated.MOST_QUBITS + 1, 4)
    states = np.eye(1, 1 << circuit.qubits, dtype=np.complex128)
    for _ in range(3):
        repeated.apply_again(circuit, states, np.zeros(circuit.parameter_count))
    assert runs == [1, 1, 1] and not repeated._seen


def test_no_more_circuits_are_kept_than_there_is_room_for(runs: list[int]) -> None:
    circuit, states = hardware_efficient(2, 3), np.eye(1, 4, dtype=np.complex128)
    for number in range(3 * repeated.MOST_KEPT):
        repeated.apply_again(circuit, states, np.full(circuit.parameter_count, 0.01 * number))
        assert len(repeated._seen) <= repeated.MOST_KEPT
