"""What a scenario says of an inference, and the checks of its promise that gradients and trainings share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ketwire.channels.copies import MAX_QUBITS
from ketwire.channels.planning.budget import DEFAULT_BUDGET_ATTEMPTS
from ketwire.channels.planning.representation import Representation
from ketwire.protocols.numbers import EXACT_BITS
from ketwire.protocols.stream import MAX_BATCH_OCTETS
from ketwire.quantum.binomial import count_for
from ketwire.scenarios.kinds.layer_specs import Layer
from ketwire.scenarios.kinds.margin import Margin
from ketwire.scenarios.kinds.routes import check_pairs, check_width
from ketwire.scenarios.schema.sources import Source
from ketwire.scenarios.schema.strict import NodeName, Strict, wrong

LEAST_EPSILON, LEAST_DELTA = 1e-12, 1e-100
"""Far below what any budget allows; squares of the one and shares of the other are still numbers."""


def refuse_hopeless(epsilon: float | None, delta: float | None) -> None:
    """For validators: a promise for which no copies can be counted."""
    for name, given, least in (("epsilon", epsilon, LEAST_EPSILON), ("delta", delta, LEAST_DELTA)):
        if given is not None and given < least:
            raise wrong(name, given, f"at least {least:g}")


class DenseState(Strict):
    """The classical rival that sends the whole state at every crossing."""

    bits: list[Annotated[int, Field(ge=1, le=EXACT_BITS)]] = Field(
        [1, 8, EXACT_BITS],
        description="bits for each of the 2 N real numbers of a state, of a real one N; up to 52, or 64",
    )

    @model_validator(mode="after")
    def _exact(self) -> Self:
        refuse_widths("bits", self.bits, 1)
        return self


def refuse_widths(key: str, widths: Sequence[int], least: int) -> None:
    """For validators: a width that comes twice, or that no rounding has."""
    for index, bits in enumerate(widths):
        if 52 < bits < EXACT_BITS or bits in widths[:index]:
            raise wrong(f"{key}.{index}", bits, f"a new width, {least} to 52 or 64")


class InferenceSpec(Strict):
    """Estimate <phi| P0 |phi> of the layers' product on an input that one node holds."""

    kind: Literal["inference"]
    qubits: int = Field(ge=1, le=MAX_QUBITS, description="of the register, at most 26")
    start: NodeName = Field(description="the node that holds the input and prepares the register")
    input: Source | None = Field(None, description="a vector to amplitude-encode; |0...0> where there is none")
    layers: list[Layer] = Field(min_length=1, max_length=1000, description="in the order of their application")
    epsilon: float | None = Field(None, gt=0, lt=1, description="accuracy of the estimate")
    delta: float | None = Field(None, gt=0, lt=1, description="probability that the estimate is off by more")
    copies: int | None = Field(None, ge=1, le=10**9, description="measured copies, instead of epsilon and delta")
    budget_attempts: float = Field(
        DEFAULT_BUDGET_ATTEMPTS, ge=1, le=1e18, description="emitted copies that a run may need"
    )
    max_batch_octets: int = Field(MAX_BATCH_OCTETS, ge=1024, le=1 << 30, description="of one message of copies")
    estimation: Literal["sampling", "amplitude"] = Field(
        "sampling", description="measure every copy, or let copies bounce along the path (amplitude estimation)"
    )
    most_power: int | None = Field(
        None, ge=1, le=10**6, description="amplitude: Grover steps of a copy at most; null for what survival allows"
    )
    representation: Literal["auto", Representation] = Field(
        "auto", description="of noisy states: errors drawn copy by copy, or density matrices (8 qubits at most)"
    )
    window: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="copies under way at once; the next begin when the last party has told of these",
    )
    margin: Margin = "auto"
    dense_state: DenseState | None = Field(DenseState(), description="the rival that sends the state; null for none")  # type: ignore[call-arg]
    description: list[Annotated[int, Field(ge=1, le=EXACT_BITS)]] | None = Field(
        None, description="the rival that sends angles, at these bits each; null for 8 where layers are angles"
    )
    sketch: bool | None = Field(
        None, description="the rival that sends signs of shared random projections; null for where it can run"
    )

    @model_validator(mode="after")
    def _accuracy(self) -> Self:
        given = (self.epsilon is not None, self.delta is not None, self.copies is not None)
        if given not in {(True, True, False), (False, False, True)}:
            raise wrong("copies", self.copies, "either epsilon and delta, or copies alone")
        refuse_hopeless(self.epsilon, self.delta)
        check_pairs(self.qubits, self.layers)
        refuse_widths("description", self.description or [], 1)
        if self.estimation == "sampling" and self.most_power is not None:
            raise wrong("most_power", self.most_power, "nothing, or estimation: amplitude")
        if self.estimation == "amplitude":
            if self.epsilon is None or self.epsilon >= 0.5:
                raise wrong("epsilon", self.epsilon, "an accuracy below 1/2, which amplitude estimation works by")
            if self.representation == "density":
                raise wrong("representation", self.representation, "trajectories, or estimation: sampling")
            check_width(self.qubits, self.layers, ancilla=False)
        return self

    @property
    def measured_copies(self) -> int:
        if self.copies is not None:
            return self.copies
        assert self.epsilon is not None and self.delta is not None
        return count_for(self.epsilon, self.delta)
