"""What a scenario says of the kind `gradient`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from ketwire.protocols.numbers import EXACT_BITS
from ketwire.quantum.gradients import shadow_tomography, shadows
from ketwire.scenarios.kinds.inference.spec import DenseState, InferenceSpec
from ketwire.scenarios.kinds.layer_specs import (
    Contraction,
    Gates,
    Givens,
    Hadamards,
    Householder,
    OpenQasm,
    Phases,
    Rotations,
    Signs,
    Unitary,
)
from ketwire.scenarios.kinds.margin import Margin
from ketwire.scenarios.kinds.routes import check_width, flags_of
from ketwire.scenarios.schema.model import Strict, wrong

_Copies = Annotated[int, Field(ge=1, le=10**9, description="of each |Phi>, in place of what the promise asks for")]


class _Estimator(Strict):
    """promised: whether it reads epsilon and delta even where copies are given."""

    promised: ClassVar[bool] = False
    most_qubits: ClassVar[int | None] = None  # of the register, flags included

    copies: _Copies | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What the estimator itself is told."""
        return self.model_dump(mode="json", exclude={"copies", "blocks"})


class Exact(_Estimator):
    """The reference: reads amplitudes, which no laboratory can; of one copy, or of 1,000 where there is noise."""

    name: Literal["exact"]


class Direct(_Estimator):
    """Each parameter from copies of its own."""

    name: Literal["direct"]


class Commuting(_Estimator):
    """All parameters that share a frame from one copy."""

    name: Literal["commuting"]
    blocks: list[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]] | None = Field(
        None, min_length=1, description="parameters that are read together, counted through the circuit"
    )


class RandomCoordinate(_Estimator):
    """Each copy measures a block or a parameter drawn at random."""

    name: Literal["random-coordinate"]
    unit: Literal["block", "parameter"] = "block"


class ClassicalShadows(_Estimator):
    """The uniform measurement of every copy, the same copies for all parameters."""

    promised: ClassVar[bool] = True
    most_qubits: ClassVar[int | None] = shadows.ClassicalShadows.most_qubits
    name: Literal["classical-shadows"]


class Tomography(_Estimator):
    """The whole |Phi>, reconstructed."""

    most_qubits: ClassVar[int | None] = 7  # with more, its copies are beyond every budget
    name: Literal["tomography"]


class ShadowTomography(_Estimator):
    """A hypothesis that learns only where it is wrong, by gentle measurements of batches."""

    promised: ClassVar[bool] = True
    most_qubits: ClassVar[int | None] = shadow_tomography.ShadowTomography.most_qubits
    name: Literal["shadow-tomography"]
    noise: float = Field(2.0, gt=0, le=1e6, description="mean of the exponential noise, over the root of a batch")


class ParameterShift(_Estimator):
    """Two whole inferences for each parameter; `copies` are those of each inference."""

    name: Literal["parameter-shift"]


AnyEstimator = (
    Exact | Direct | Commuting | RandomCoordinate | ClassicalShadows | Tomography | ShadowTomography | ParameterShift
)


def _named(given: Any) -> Any:
    return {"name": given} if isinstance(given, str) else given


class _NamesToo:
    """A name alone will do: said in the JSON Schema, so that editors do not complain."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        members = handler(core)
        return {"anyOf": [{"type": "string", "enum": list(members["discriminator"]["mapping"])}, members]}


EstimatorEntry = Annotated[Annotated[AnyEstimator, Field(discriminator="name")], BeforeValidator(_named), _NamesToo()]


class TrainableRotations(Rotations):
    """Pauli rotations whose angles may move, or not."""

    trainable: bool = Field(True, description="whether the derivatives by its angles are wanted")


class TrainableGivens(Givens):
    """Givens rotations whose angles may move, or not."""

    trainable: bool = Field(True, description="whether the derivatives by its angles are wanted")


class TrainableOpenQasm(OpenQasm):
    """A circuit in OpenQASM 3 whose angles may move, or not."""

    trainable: bool = Field(True, description="whether the derivatives by its angles are wanted")


class TrainableGates(Gates):
    """A callable's gates, whose angles may move, or not."""

    trainable: bool = Field(True, description="whether the derivatives by its angles are wanted")


Layer = Annotated[
    TrainableRotations
    | TrainableGivens
    | Phases
    | Unitary
    | Signs
    | Hadamards
    | Householder
    | Contraction
    | TrainableOpenQasm
    | TrainableGates,
    Field(discriminator="layer"),
]


class DenseGradient(DenseState):
    """The classical rival that sends the forward and the backward state."""

    bits: list[Annotated[int, Field(ge=2, le=EXACT_BITS)]] = Field(
        [8, EXACT_BITS], description="bits for each of the 2 N real numbers of a state; up to 52, or 64"
    )


class GradientSpec(InferenceSpec):
    """All partial derivatives of <phi| Pi |phi> by the angles of the layers, each estimated by its owner."""

    kind: Literal["gradient"]  # type: ignore[assignment]
    layers: list[Layer] = Field(  # type: ignore[assignment]
        min_length=1, max_length=1000, description="in the order of their application"
    )
    estimators: list[EstimatorEntry] = Field(
        min_length=1, max_length=16, description="by name, or with settings: each runs in a session of its own"
    )
    epsilon: float | None = Field(None, gt=0, lt=1, description="accuracy of every derivative")
    delta: float | None = Field(None, gt=0, lt=1, description="probability that any derivative is off by more")
    copies: int | None = Field(
        None, ge=1, le=10**9, description="of each |Phi> and of each shifted inference, instead of epsilon and delta"
    )
    window: int | None = Field(None, ge=1, le=10**9, description="copies under way at once; null for no such limit")
    margin: Margin = "auto"
    representation: Literal["trajectories"] = "trajectories"
    estimation: Literal["sampling"] = "sampling"
    most_power: None = None
    sketch: None = None
    dense_state: DenseGradient | None = Field(DenseGradient(), description="the classical rival; null for none")  # type: ignore[call-arg]

    @model_validator(mode="after")
    def _promised(self) -> Self:
        check_width(self.qubits, self.layers, any(each.name != "parameter-shift" for each in self.estimators))
        for index, each in enumerate(self.estimators):
            if each.promised and self.epsilon is None:
                raise wrong("copies", self.copies, f"epsilon and delta: estimators.{index} ({each.name}) works by them")
            if each.most_qubits is not None and self.total_qubits > each.most_qubits:
                raise wrong(
                    f"estimators.{index}.name",
                    each.name,
                    f"one for a register of {self.total_qubits} qubits: this one takes at most {each.most_qubits}",
                )
        return self

    @property
    def flags(self) -> int:
        """A qubit for each contraction, which stays coherent."""
        return flags_of(self.layers)

    @property
    def total_qubits(self) -> int:
        """Of the register with its flags."""
        return self.qubits + self.flags

    def session_names(self) -> list[str]:
        """One for each estimator: its name, with a number where it comes again."""
        names: list[str] = []
        for each in self.estimators:
            count = sum(other.name == each.name for other in self.estimators[: len(names)])
            names.append(each.name if not count else f"{each.name}-{count + 1}")
        return names
