"""Readouts that err: what is reported, given what was measured.

An outcome is read as the bits of its number, ceil(log2 m) of them for m outcomes, and each bit comes
out wrong with the same probability p, independently. For a projective measurement of one qubit that is
the flip of its bit. A pattern of bits that is no outcome's number tells nothing, and is reported as each
of the outcomes with the same probability. Flips of single copies are independent, so counts need no
draws of their own: they are drawn from the probabilities of what is reported.
"""

import numpy as np

from ketwire.quantum.arrays import Floats


def confusion(outcomes: int, p: float) -> Floats:
    """P(reported | measured), shape (outcomes, outcomes), rows measured; each row sums to 1.

    ValueError for fewer than one outcome, or p outside [0, 1].
    """
    if outcomes < 1:
        raise ValueError(f"outcomes: {outcomes} given, expected 1 or more")
    if not 0 <= p <= 1:
        raise ValueError(f"p: {p!r} given, expected a probability, 0 to 1")
    bits = (outcomes - 1).bit_length()
    numbers = np.arange(outcomes)
    differ = numbers[:, None] ^ numbers
    wrong = sum((differ >> bit & 1 for bit in range(bits)), np.zeros((outcomes, outcomes)))
    told = p ** wrong * (1.0 - p) ** (bits - wrong)
    # No probability falls below zero by rounding: samplers refuse that.
    return np.asarray(told + np.maximum(1.0 - told.sum(axis=1, keepdims=True), 0.0) / outcomes)


def misread(probabilities: Floats, p: float) -> Floats:
    """`probabilities @ confusion(2**k, p)`, bit by bit: (rows, 2**k) to the same, without a table of 4**k numbers."""
    rows, outcomes = probabilities.shape
    if outcomes & (outcomes - 1):
        raise ValueError(f"probabilities: {outcomes} outcomes given, expected a power of two")
    told = probabilities
    for bit in range(outcomes.bit_length() - 1):
        halves = told.reshape(rows, -1, 2, 1 << bit)
        told = ((1.0 - p) * halves + p * halves[:, :, ::-1]).reshape(rows, outcomes)
    return told
