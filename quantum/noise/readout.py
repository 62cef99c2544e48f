"""Readouts that err: what is reported, given what was measured.

An outcome is read as the bits of its number, ceil(log2 m) of them for m outcomes, and each bit comes
out wrong independently: with probability p, or where a 0 and a 1 are not read alike, a 0 as 1 with
probability p01 and a 1 as 0 with p10. For a projective measurement of one qubit that is
the flip of its bit. A pattern of bits that is no outcome's number tells nothing, and is reported as each
of the outcomes with the same probability. Flips of single copies are independent, so counts need no
draws of their own: they are drawn from the probabilities of what is reported.
"""

import numpy as np

from ketwire.quantum.arrays import Floats

Misread = float | tuple[float, float]
"""The probability that a bit is read wrongly; or (p01, p10), of a 0 and of a 1."""


def confusion(outcomes: int, p: Misread) -> Floats:
    """P(reported | measured), shape (outcomes, outcomes), rows measured; each row sums to 1.

    ValueError for fewer than one outcome, or p outside [0, 1].
    """
    if outcomes < 1:
        raise ValueError(f"outcomes: {outcomes} given, expected 1 or more")
    p01, p10 = p if isinstance(p, tuple) else (p, p)
    if not (0 <= p01 <= 1 and 0 <= p10 <= 1):
        raise ValueError(f"p: {p!r} given, expected a probability, 0 to 1")
    told = np.ones((1, 1))
    for _ in range((outcomes - 1).bit_length()):
        told = np.kron(np.array([[1.0 - p01, p01], [p10, 1.0 - p10]]), told)
    told = told[:outcomes, :outcomes]
    # No probability falls below zero by rounding: samplers refuse that.
    return np.asarray(told + np.maximum(1.0 - told.sum(axis=1, keepdims=True), 0.0) / outcomes)


def misread(probabilities: Floats, p: Misread) -> Floats:
    """`probabilities @ confusion(2**k, p)`, bit by bit: (rows, 2**k) to the same, without a table of 4**k numbers."""
    rows, outcomes = probabilities.shape
    if outcomes & (outcomes - 1):
        raise ValueError(f"probabilities: {outcomes} outcomes given, expected a power of two")
    p01, p10 = p if isinstance(p, tuple) else (p, p)
    kept, came = np.array([[1.0 - p01], [1.0 - p10]]), np.array([[p10], [p01]])
    told = probabilities
    for bit in range(outcomes.bit_length() - 1):
        halves = told.reshape(rows, -1, 2, 1 << bit)
        told = (kept * halves + came * halves[:, :, ::-1]).reshape(rows, outcomes)
    return told
