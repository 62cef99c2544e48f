"""What a scenario says under `protocol` for the kind `advantage`: one of five tasks, told apart by `task`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, RootModel, model_validator

from ketwire.channels.planning.budget import DEFAULT_BUDGET_ATTEMPTS
from ketwire.protocols.stream import MAX_BATCH_OCTETS
from ketwire.scenarios.kinds.margin import Margin
from ketwire.scenarios.schema.model import NodeName, Strict, wrong

MOST_QUBITS = 14
RIVAL_INSTANCES = 1000
"""Rivals run on the first so many instances: what they do with each is far more work than a state is."""

StateBits = Annotated[int, Field(ge=1, le=14)]
PlaceBits = Annotated[int, Field(ge=1, le=1 << MOST_QUBITS)]


class Common(Strict):
    kind: Literal["advantage"]
    qubits: int = Field(ge=2, le=MOST_QUBITS, description="n; inputs have N = 2^n entries")
    instances: int = Field(
        1000, ge=2, le=100_000, description="pairs of fresh inputs, one of either owner; a score is a mean over them"
    )
    copies: int = Field(1, ge=1, le=1000, description="measured copies of each instance")
    margin: Margin = "auto"
    budget_attempts: float = Field(
        DEFAULT_BUDGET_ATTEMPTS, ge=1, description="emitted copies that a run may need"
    )
    max_batch_octets: int = Field(
        MAX_BATCH_OCTETS, ge=1024, le=1 << 30, description="of one message of copies"
    )

    @property
    def rival_instances(self) -> int:
        return min(self.instances, RIVAL_INSTANCES)


class OneWay(Common):
    sender: NodeName = Field("alice", description="the node that sends states of its own inputs")
    receiver: NodeName = Field("bob", description="the node that measures each in a basis of its own inputs")


class _StatesRival(OneWay):
    random_states: list[StateBits] = Field(
        [8], description="the rival that names the best of 2^m shared random states, at these m; work 2^m N an instance"
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        refuse_twice("random_states", self.random_states)
        return self


class XebSpec(_StatesRival):
    """Distributed linear cross-entropy: a Haar-random state against a random Clifford."""

    task: Literal["xeb"]


class FourierSpec(_StatesRival):
    """Fourier sampling: random signs on both sides."""

    task: Literal["fourier-sampling"]


class _PlacesRival(OneWay):
    subset: list[PlaceBits] = Field(
        [], description="the rival that sends the bits at so many random places, which both know"
    )

    @model_validator(mode="after")
    def _places(self) -> Self:
        refuse_twice("subset", self.subset)
        for index, bits in enumerate(self.subset):
            if bits > 1 << self.qubits:
                raise wrong(f"subset.{index}", bits, f"at most the {1 << self.qubits} bits that there are")
        return self


class MatchingSpec(_PlacesRival):
    """Hidden matching: bits of one, a matching of the other, the parity of an edge."""

    task: Literal["hidden-matching"]
    grid: bool = Field(True, description="the rival that sends about 2 √N bits, which hold an edge of every matching")


class ConsumableSpec(_PlacesRival):
    """Many hidden matchings on the same bits; each copy answers one."""

    task: Literal["consumable"]
    copies: Literal[1] = Field(1, description="of each question")
    questions: int = Field(ge=1, le=1000, description="matchings of an instance, with a copy each")
    raw: bool = Field(True, description="the rival that sends all N bits once")


class FingerprintSpec(Common):
    """Fingerprints: two words are compared by a referee, who gets a message of each."""

    task: Literal["fingerprint"]
    qubits: int = Field(ge=2, le=12, description="n; words of N/4 bits are encoded to N = 2^n")
    first: NodeName = Field("alice", description="the node with the first word")
    second: NodeName = Field("bob", description="the node with the second word")
    referee: NodeName = Field("carol", description="the node that compares")
    square: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        [], description="the rival with private randomness, which sends so many rows and columns of a square"
    )
    shared_hash: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        [], description="the rival with shared randomness, which sends so many parities"
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        refuse_twice("square", self.square)
        refuse_twice("shared_hash", self.shared_hash)
        return self


OneWaySpec = XebSpec | MatchingSpec | FourierSpec | ConsumableSpec


class AdvantageSpec(
    RootModel[
        Annotated[
            XebSpec | MatchingSpec | FourierSpec | FingerprintSpec | ConsumableSpec, Field(discriminator="task")
        ]
    ]
):
    """The kind `advantage`, one of five tasks."""

    model_config = ConfigDict(frozen=True)


def refuse_twice(key: str, values: Sequence[int]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise wrong(f"{key}.{index}", value, "each value once")
