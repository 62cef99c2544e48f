"""Applying circuits to batches of registers, by one of two engines with one interface.

`numpy` groups gates into small matrix products and elementwise phases (`blas`); `fused` runs whole
stretches in compiled sweeps (`fused`), and is loaded only when asked for. They agree to 1e-12. Where numba may not
compile (NUMBA_DISABLE_JIT=1), `numpy` serves for both. Which is used follows from the work alone, so where numba is not
installed, work that asks for `fused` is refused.
"""

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from ketwire.errors import ScenarioError
from ketwire.quantum.arrays import Complexes, Floats
from ketwire.quantum.circuits import Circuit, checked_parameters
from ketwire.quantum.engines import blas
from ketwire.quantum.engines.plan import Local, Multiply, Permute
from ketwire.quantum.gates import Gate

EngineName = Literal["numpy", "fused"]


def apply(
    circuit: Circuit,
    states: Complexes,
    parameters: Sequence[float] | Floats | None = None,
    engine: EngineName = "numpy",
    out: Complexes | None = None,
) -> Complexes:
    """Apply a circuit to each row of `states`, shape (rows, 2**n), complex128.

    Returns `out`, or else a new C-contiguous array; the argument stays as it was. `out` must be of the
    same shape, complex128, C-contiguous and apart from `states`: using it again saves the page faults
    of a new one. ValueError where shapes, parameters or the engine's name do not fit.
    """
    batch = np.ascontiguousarray(states, dtype=np.complex128)
    if batch.ndim != 2 or batch.shape[1] != 1 << circuit.qubits:
        raise ValueError(f"states: found shape {np.shape(states)}, expected (rows, {2**circuit.qubits})")
    values = checked_parameters(circuit, parameters)
    if engine == "fused":
        from ketwire.quantum.engines import fused  # noqa: PLC0415 (numba takes about a second to load)

        serves = fused.COMPILES and circuit.qubits >= fused.LEAST_QUBITS
        run_local = fused.run_local if serves else blas.run_local
    elif engine == "numpy":
        run_local = blas.run_local
    else:
        raise ValueError(f"engine: found {engine!r}, expected 'numpy' or 'fused'")
    if out is not None:
        _check_out(out, states, batch.shape)
    if len(batch) == 0 or not circuit.steps:
        return _delivered(batch.copy(), out)
    last = circuit.steps[-1]
    for step in circuit.steps:
        if isinstance(step, Local):
            batch = run_local(step, batch, values, out if step is last else None)
        elif isinstance(step, Permute):
            batch = np.take(batch, step.order, axis=1)
        elif isinstance(step, Multiply):
            batch = batch * step.entries
        else:
            batch = blas.run_gate(step, batch, values)
    return _delivered(batch, out)


def _check_out(out: Complexes, states: Complexes, shape: tuple[int, ...]) -> None:
    fits = out.dtype == np.complex128 and out.flags.c_contiguous and out.flags.writeable
    if out.shape != shape or not fits:
        raise ValueError(f"out: found {out.dtype} of shape {out.shape}, "
                         f"expected writeable C-contiguous complex128 of shape {shape}")
    if np.may_share_memory(out, states):
        raise ValueError("out: found memory of the argument, expected an array of its own")


def _delivered(result: Complexes, out: Complexes | None) -> Complexes:
    if out is None or result is out:
        return result
    out[...] = result
    return out


# Seconds of predicted NumPy work from which the fused engine pays: it saves about half of them, and numba
# takes more than one to load (and some ten the very first time, to compile; docs/performance.md).
FUSED_WORTH = 4.0


def predict_work(circuit: Circuit, rows: int) -> float:
    """Predicted seconds that the NumPy engine takes for `rows` registers, within a factor of about 3.

    It depends on the plan alone, never on the machine, so that a choice made of it is the same
    everywhere. Constants: see benchmarks/engine.py.
    """
    if rows < 0:
        raise ValueError(f"predict_work: found {rows} rows, expected 0 or more")
    fixed, each = _work_of(circuit)
    return fixed + each * rows


@lru_cache(maxsize=256)
def _work_of(circuit: Circuit) -> tuple[float, float]:
    """Seconds of `predict_work` that do not depend on the rows, and those of each row."""
    size, fixed, each = 2**circuit.qubits, 0.0, 0.0
    for step in circuit.steps:
        if isinstance(step, Local):
            fixed += step.layers * 60e-6
            each += step.layers * 1.0e-9 * circuit.qubits * size
        elif isinstance(step, Gate) and step.name == "dense":
            fixed += 10e-6
            each += 0.15e-9 * 2 ** len(step.qubits) * size
        else:
            fixed += 10e-6
            each += 4e-9 * size
    return fixed, each


def choose_engine(work: float) -> EngineName:
    """"fused" where the predicted NumPy work, in seconds over a whole run, pays for loading numba.

    Raises:
        ScenarioError: that is so, and numba is not installed.
    """
    if not work >= 0:
        raise ValueError(f"choose_engine: found work {work}, expected seconds from 0 up")
    if work <= FUSED_WORTH:
        return "numpy"
    if importlib.util.find_spec("numba") is None:
        raise ScenarioError(
            f"a circuit here is predicted to take {work:.3g} s, and above {FUSED_WORTH:g} s numba compiles it; numba "
            "is not installed, expected the extra fast (pip install 'ketwire[fast]')"
        )
    return "fused"
