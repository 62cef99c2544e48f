"""What a party of a training is given (`ketwire.protocols.training.program`)."""

from __future__ import annotations

from dataclasses import dataclass

from ketwire.protocols.gradient.agreement import Terms
from ketwire.protocols.stream import Passage, StreamPlan
from ketwire.protocols.training.holding import Model


@dataclass(frozen=True)
class Adaptive:
    """The norm test: a gradient's standard error over its size, and the most copies that it may ask for."""

    ratio: float
    most: int


@dataclass(frozen=True)
class Training:
    """A party's part of a training over the network.

    plan: of an inference; the stream of a visit is like it except for its way
    passages: of |Φ> to the owner of each visit that is trained
    loss_copies, test_copies: of each sample, in a step and after the last. derivative_bits: of an outer derivative
    """

    model: Model
    plan: StreamPlan
    passages: dict[int, Passage]
    terms: Terms
    loss_copies: int
    test_copies: int
    derivative_bits: int
    adaptive: Adaptive | None


@dataclass(frozen=True)
class TrainingSlice:
    """The steps, and what a party has to do with them; None where it is neither on the path nor a repeater."""

    steps: int
    checkpoint_every: int
    training: Training | None = None
