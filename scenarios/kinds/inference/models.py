"""What an inference came to, by either way to estimate."""

from __future__ import annotations

from pydantic import Field

from ketwire.scenarios.kinds.margin import Emitted
from ketwire.scenarios.kinds.result import Part, RunResult, Summary


class Promise(Part):
    """What copies keep: with probability 1 - delta at least, the estimate is off by epsilon at most."""

    epsilon: float = Field(description="accuracy of the estimate")
    delta: float = Field(description="probability that the estimate is off by more")


class SamplingSummary(Emitted, Summary):
    """Every copy that arrived was measured."""

    representation: str = Field(description="of noisy states: trajectories or density")
    epsilon: float | None = Field(description="accuracy that the scenario asks for")
    delta: float | None = Field(description="probability that the estimate is off by more, as the scenario has it")
    promise: Promise | None = Field(default=None, description="what the copies keep, by which rivals are compared")


class SamplingResult(RunResult, SamplingSummary):
    """The kind `inference`, `estimation: sampling`."""


class AmplitudeSummary(Emitted, Summary):
    """Copies took Grover steps before they were measured."""

    interval: list[float] = Field(description="lower and upper end of where the value is, by the promise")
    largest_power: int = Field(description="Grover steps of a copy, at most")
    uses: int = Field(description="uses of the layers' circuit or its inverse, over all copies")
    requests: list[list[int]] = Field(description="what was measured: Grover steps, copies, copies with outcome 0")
    noisy_shots: float = Field(description="copies that met an error on their way, in the mean")
    promise_holds: bool = Field(description="whether so few did that epsilon and delta are kept")
    epsilon: float = Field(description="accuracy of the estimate")
    delta: float = Field(description="probability that the estimate is off by more")


class AmplitudeResult(RunResult, AmplitudeSummary):
    """The kind `inference`, `estimation: amplitude`."""
