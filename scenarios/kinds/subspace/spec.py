"""What a scenario says under `protocol` for the kind `subspace`: one of two tasks, told apart by `task`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, RootModel, model_validator

from ketwire.channels.planning.budget import DEFAULT_BUDGET_ATTEMPTS
from ketwire.protocols.codes import MAX_CODE_BITS
from ketwire.protocols.stream import MAX_BATCH_OCTETS
from ketwire.scenarios.kinds.margin import Margin
from ketwire.scenarios.schema.model import NodeName, Strict, wrong
from ketwire.scenarios.schema.sources import Source

MAX_DEALT_ENTRIES = 1 << 27  # of vectors, over all sessions: 1 GiB that the judge hands out
MAX_SESSIONS = 32  # an array a session and party, and a party's orders hold 32

Bits = Annotated[int, Field(ge=1, le=52)]


class Common(Strict):
    kind: Literal["subspace"]
    sender: NodeName = Field("alice", description="the node that holds the vectors")
    receiver: NodeName = Field("bob", description="the node that measures and decides")
    copies: int = Field(1, ge=1, le=10**7, description="measured copies of each vector")
    margin: Margin = "auto"
    budget_attempts: float = Field(
        DEFAULT_BUDGET_ATTEMPTS, ge=1, description="emitted copies that a run may need"
    )
    max_batch_octets: int = Field(
        MAX_BATCH_OCTETS, ge=1024, le=1 << 30, description="of one message of copies"
    )


class SingleCode(Strict):
    """One code word for the whole vector: the best of 2^bits directions. Work 2^bits N, so for few qubits."""

    bits: int = Field(ge=1, le=MAX_CODE_BITS)
    max_qubits: int = Field(8, ge=2, le=12, description="sizes above are left out")


class PromiseSpec(Common):
    """Vector in subspace: is the sender's vector in the receiver's half space, or orthogonal to it?"""

    task: Literal["promise"]
    qubits: list[Annotated[int, Field(ge=2, le=14)]] = Field(
        min_length=1, description="sizes, a session for each"
    )
    trials: int = Field(ge=1, le=10**6, description="vectors for each size; one half space serves them all")
    block_code: bool = Field(True, description="the rival with shared random directions, block by block")
    single_code: SingleCode | None = Field(None, description="the rival with one code word; null for none")
    raw: list[Bits] = Field([1], description="the rival that sends the vector, at these bits an entry")
    description: bool = Field(True, description="the rival in which the receiver sends its half space")
    description_bits: Bits = Field(8, description="an entry of a dense half space; signs take one bit")

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        _refuse_twice("qubits", self.qubits)
        _refuse_twice("raw", self.raw)
        rivals = self.block_code + (self.single_code is not None) + len(self.raw) + self.description
        sessions = len(self.qubits) * (1 + rivals)
        if sessions > MAX_SESSIONS:
            raise wrong(
                "qubits", self.qubits, f"at most {MAX_SESSIONS} sessions, sizes times rivals are {sessions}"
            )
        entries = sum(1 << qubits for qubits in self.qubits) * (1 + rivals) * self.trials
        if entries > MAX_DEALT_ENTRIES:
            raise wrong(
                "trials", self.trials, f"at most {self.trials * MAX_DEALT_ENTRIES // entries} at these sizes"
            )
        return self


class QuantiserSpec(Strict):
    """The public range of the raw rival's levels, so that it need not send a scale."""

    low: float = -1.0
    high: float = 1.0
    relative: bool = Field(True, description="in units of a vector's own largest magnitude, else as they are")

    @model_validator(mode="after")
    def _range(self) -> Self:
        if not self.low <= 0 < self.high:
            raise wrong("low", self.low, "a range that holds zero and ends above it")
        return self


class ClassifySpec(Common):
    """Classify the sender's vectors by the receiver's training data."""

    task: Literal["classify"]
    vectors: Source = Field(description="the sender's, one a row")
    training: Source = Field(description="the receiver's, one a row, with labels as a rule")
    training_labels: Source | None = Field(None, description="where the training source has none")
    labels: Source = Field(description="the judge's, of the sender's vectors")
    components: int = Field(ge=1, description="dimension of each class subspace")
    measurement: Literal["discriminating", "exclusion", "pretty-good"] = "discriminating"
    standardise: bool = Field(
        False, description="less the training part's mean, over its spread; both are sent, 128 bits a column"
    )
    constant: float | None = Field(None, description="public; appended to each vector of both sides")
    quantiser: QuantiserSpec = QuantiserSpec()  # type: ignore[call-arg]
    raw: list[Bits] = Field(
        [1, 2, 8],
        min_length=1,
        description="the rival that sends the vector, at these bits; the receiver uses the best classifier for them",
    )
    sparse: bool = Field(True, description="let that rival leave out zeros where this is shorter")
    description_bits: Bits | None = Field(
        8,
        description="the rival in which the receiver sends its class subspaces, bits an entry; null for none",
    )

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        _refuse_twice("raw", self.raw)
        if self.constant == 0:
            raise wrong("constant", 0, "a number other than zero, or null")
        if self.constant is not None and self.quantiser.relative:
            raise wrong(
                "quantiser.relative", True, "false and a range, as the vectors' size counts beside a constant"
            )
        return self


class SubspaceSpec(RootModel[Annotated[PromiseSpec | ClassifySpec, Field(discriminator="task")]]):
    """The kind `subspace`, one of two tasks."""

    model_config = ConfigDict(frozen=True)


def _refuse_twice(key: str, values: Sequence[int]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise wrong(f"{key}.{index}", value, "each value once")
