"""Density matrices: exact mixed states of small registers, and the oracle for sampled trajectories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Array, Complexes, Floats
from ketwire.quantum.circuits import Circuit, apply_matrix
from ketwire.quantum.engines.dispatch import apply

MOST_QUBITS = 12  # 2^24 complex numbers, 256 MiB
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class DensityMatrix:
    """A Hermitian (2**n, 2**n) matrix ρ of trace 1; every method returns a new one."""

    matrix: Complexes

    def __post_init__(self) -> None:
        rho = np.array(self.matrix, dtype=np.complex128)
        size = rho.shape[0] if rho.ndim == 2 else 0
        if size < 2 or size & (size - 1) or rho.shape != (size, size) or size > 2**MOST_QUBITS:
            raise ValueError(f"density matrix: found shape {rho.shape}, expected (2**n, 2**n), "
                             f"n from 1 to {MOST_QUBITS}")
        if not np.abs(rho - rho.conj().T).max() <= TOLERANCE:
            raise ValueError("density matrix: found a matrix that is not Hermitian, expected ρ = ρ†")
        if not abs(np.trace(rho) - 1) <= TOLERANCE:
            raise ValueError(f"density matrix: found trace {np.trace(rho).real:.12g}, expected 1")
        rho.flags.writeable = False
        object.__setattr__(self, "matrix", rho)

    @classmethod
    def from_states(cls, states: Complexes, weights: ArrayLike | None = None) -> "DensityMatrix":
        """The mixture of the rows of (rows, 2**n), evenly or with `weights` that sum to 1."""
        batch = np.atleast_2d(np.asarray(states, dtype=np.complex128))
        rows = len(batch)
        share = np.full(rows, 1 / rows) if weights is None else np.asarray(weights, dtype=np.float64)
        if share.shape != (rows,) or (share < 0).any():
            raise ValueError(f"mixture: found weights of shape {share.shape}, expected ({rows},) from 0 up")
        return cls(np.asarray((batch.T * share) @ batch.conj()))

    @property
    def qubits(self) -> int:
        return len(self.matrix).bit_length() - 1

    def apply(self, circuit: Circuit, parameters: Sequence[float] | Floats = ()) -> "DensityMatrix":
        """U ρ U†."""
        half = apply(circuit, np.ascontiguousarray(self.matrix.T), parameters)  # rows of ρᵀ: (Uρ)ᵀ
        return DensityMatrix(apply(circuit, np.ascontiguousarray(half.T.conj()), parameters).conj())

    def apply_kraus(self, operators: Sequence[Array], qubits: Sequence[int]) -> "DensityMatrix":
        """Σ K ρ K† with (2**k, 2**k) operators on `qubits`. ValueError where they lose trace."""
        kraus = [np.asarray(operator, dtype=np.complex128) for operator in operators]
        size = 2 ** len(qubits)
        if not kraus or any(operator.shape != (size, size) for operator in kraus):
            shapes = [operator.shape for operator in kraus]
            raise ValueError(f"Kraus operators: found shapes {shapes}, expected ({size}, {size})")
        error = np.abs(sum(K.conj().T @ K for K in kraus) - np.eye(size)).max()
        if not error <= TOLERANCE:
            raise ValueError(f"Kraus operators: Σ K†K misses the identity by {error:.3g}, "
                             f"expected at most {TOLERANCE:g}")
        total = np.zeros_like(self.matrix)
        for K in kraus:
            half = apply_matrix(K, qubits, np.ascontiguousarray(self.matrix.T))
            total = total + apply_matrix(K, qubits, np.ascontiguousarray(half.T.conj())).conj()
        return DensityMatrix(total)

    def expectation(self, operator: Array) -> float:
        """Tr(O ρ) for a Hermitian (2**n, 2**n) operator."""
        if np.shape(operator) != self.matrix.shape:
            raise ValueError(f"expectation: found shape {np.shape(operator)}, expected {self.matrix.shape}")
        return float(np.einsum("ij,ji->", operator, self.matrix).real)

    def probabilities(self, elements: Complexes) -> Floats:
        """Tr(E_c ρ) for elements (outcomes, 2**n, 2**n), clipped and renormalised."""
        raw = np.clip(np.einsum("cij,ji->c", elements, self.matrix).real, 0.0, 1.0)
        return np.asarray(raw / raw.sum())

    def partial_trace(self, keep: Sequence[int]) -> "DensityMatrix":
        """The state of the qubits `keep`, in that order."""
        n = self.qubits
        if not keep or len(set(keep)) != len(keep) or min(keep) < 0 or max(keep) >= n:
            raise ValueError(f"partial trace: found qubits {tuple(keep)}, "
                             f"expected distinct ones from 0 to {n - 1}")
        rest = [qubit for qubit in range(n) if qubit not in keep]
        order = [*keep, *rest, *(n + q for q in keep), *(n + q for q in rest)]
        inner, outer = 2 ** len(keep), 2 ** len(rest)
        tensor = self.matrix.reshape((2,) * (2 * n)).transpose(order).reshape(inner, outer, inner, outer)
        return DensityMatrix(np.einsum("iaja->ij", tensor))

    def purity(self) -> float:
        """Tr ρ²: 1 for a pure state."""
        return float(np.linalg.norm(self.matrix) ** 2)

    def fidelity(self, state: Complexes) -> float:
        """<ψ|ρ|ψ> with a pure state (2**n,)."""
        return float(np.vdot(state, self.matrix @ state).real)
