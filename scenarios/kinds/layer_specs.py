"""Layers as a scenario says them: what each needs, and which node owns and applies it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ketwire.scenarios.schema.sources import Angles, ProgramSource, Source
from ketwire.scenarios.schema.strict import NodeName, Strict

Axis = Literal["x", "y", "z"]
Entangler = Literal["none", "cz-chain", "cz-ring", "cnot-chain", "cnot-ring"]


class _Layer(Strict):
    at: NodeName = Field(description="the node that owns this layer and applies it")


class Rotations(_Layer):
    """Pauli rotations on every qubit, then an entangler; `sublayers` times."""

    layer: Literal["rotations"]
    axes: list[Axis] = Field(["y", "z"], min_length=1, max_length=8, description="rotation axes, in order")
    sublayers: int = Field(1, ge=1, le=1000)
    entangle: Entangler = "cz-ring"
    angles: Angles = Field(description="sublayers x axes x qubits angles, in radians")


class Givens(_Layer):
    """Givens rotations of pairs of qubits in a brick pattern, `sublayers` times. The number of ones stays."""

    layer: Literal["givens"]
    first: int | None = Field(None, ge=2, description="on the first so many qubits; null for all")
    sublayers: int = Field(1, ge=1, le=1000, description="two for each distance in turn: even places, odd places")
    distances: list[Annotated[int, Field(ge=1)]] = Field(
        [1], min_length=1, max_length=64, description="in a pair; with [1] alone <Z0> depends on n - 1 numbers"
    )
    angles: Angles = Field(description="an angle for each pair of each sub-layer, in radians")


class Phases(_Layer):
    """The diagonal exp(i values_j) on basis state j: data enter as phases."""

    layer: Literal["phases"]
    values: Source = Field(description="2^qubits phases, in radians")


class Unitary(_Layer):
    """A dense unitary or orthogonal matrix."""

    layer: Literal["unitary"]
    matrix: Source = Field(description="a unitary, 2^qubits rows and columns")


class Signs(_Layer):
    """A diagonal of signs."""

    layer: Literal["signs"]
    signs: Source = Field(description="2^qubits numbers, each 1 or -1")


class Hadamards(_Layer):
    """A Hadamard gate on every qubit."""

    layer: Literal["hadamards"]


class Householder(_Layer):
    """The reflection 1 - 2 v v^T / |v|^2."""

    layer: Literal["householder"]
    vector: Source = Field(description="2^qubits numbers, not all zero")


class Contraction(_Layer):
    """A block-encoded matrix; its flag is measured at once, and a copy whose flag fires is dead."""

    layer: Literal["contraction"]
    matrix: Source = Field(description="2^qubits rows and columns, spectral norm at most 1")


class OpenQasm(_Layer):
    """A circuit in OpenQASM 3; its inputs are the layer's parameters. Needs the extra `qasm`."""

    layer: Literal["openqasm"]
    program: ProgramSource = Field(description="a .qasm file that its owner has")
    angles: Angles | None = Field(None, description="a value for each input, in radians, in their order")


class Gates(_Layer):
    """What a Python callable of the layer's owner returns."""

    layer: Literal["gates"]
    callable: str = Field(pattern=r"^[\w.]+:[\w.]+$", description="module:name of a function of the number of qubits")
    angles: Angles | None = Field(None, description="a value for each parameter that the gates read, in radians")


Layer = Annotated[
    Rotations | Givens | Phases | Unitary | Signs | Hadamards | Householder | Contraction | OpenQasm | Gates,
    Field(discriminator="layer"),
]
