"""What a run came to, as types: the part of ketwire, which counts, and the part of a kind.

A kind answers with models of its own part alone: a `Summary`, a `Reference` with --check. What ketwire counts is in
neither. The model of a whole result derives from both and from `RunResult`:

    class CoinSummary(Summary): ...
    class CoinResult(RunResult, CoinSummary): ...

`told()` is the JSON view of any of them. It has the fields that were set: a key is missing where a step that would
have set it was not asked for, or failed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, TypeAdapter

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ketwire.channels.records import Record


def plain(value: Any) -> Any:
    """Numbers as JSON has them: arrays as lists, numbers as Python's, what is not finite as None."""
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [plain(below) for below in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


Numbers = Annotated[list[int | float | None], BeforeValidator(plain)]
"""A list of numbers, made of an array too."""
Rows = Annotated[list[list[int | float | None]], BeforeValidator(plain)]
"""The same, of lists of numbers."""
Value = Annotated[int | float | list[int | float | None] | None, BeforeValidator(plain)]
"""What a protocol finds: a number or a list of them; None where it finds neither."""


class Part(BaseModel):
    """Base of everything in a result: frozen, and with no keys but those it names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    def told(self) -> dict[str, Any]:
        """As JSON has it: the fields that were set."""
        return self.model_dump(exclude_unset=True)

    def given(self) -> dict[str, Any]:
        """The fields that were set, by name."""
        return {name: getattr(self, name) for name in self.__class__.model_fields if name in self.model_fields_set}

    def with_more(self, **more: Any) -> Self:
        """The same with other values in some fields, checked like these."""
        return type(self)(**{**self.given(), **more})


# ---------------------------------------------------------------- what ketwire counts


class Counts(Part):
    """What the wire counted."""

    qubits_sent: int = Field(description="qubits put on fibers, photons of pairs included")
    qubits_delivered: int = Field(description="qubits that arrived")
    ebits: int = Field(description="entangled pairs that were used up")
    payload_bits: int = Field(description="classical bits that parties sent each other")
    control_bits: int = Field(description="classical bits of heralds, reports and outcomes of Bell measurements")


class Figures(Counts):
    """What the wire counted of a session, with times and the hash over what was delivered."""

    virtual_time_ps: int = Field(description="when the last party that has a result knew it")
    links_idle_ps: int = Field(description="when the last copy, report and herald had arrived")
    transcript_sha256: str = Field(description="over what was delivered; of several sessions over their hashes")


class Direction(Counts):
    """What one direction of a link carried in a session."""

    messages: int = Field(description="messages that were delivered")
    copies: int = Field(description="copies of registers that were put on the fiber")
    idle_ps: int = Field(description="when the last of it had arrived, heralds to the sender included")


class SessionFigures(Figures):
    """One session, quantum or classical: its figures, and each direction's."""

    name: str = Field(description="of the session, unique in a run")
    role: Literal["quantum", "rival"] = Field(description="whether it is the protocol's or a classical rival's")
    messages: int = Field(description="messages that were delivered")
    copies: int = Field(description="copies of registers that were put on fibers")
    clocks_ps: dict[str, int] = Field(description="when each party's program ended, by party")
    directions: dict[str, Direction] = Field(description="what each direction carried, by name: alice->bob")


class Intercepted(Part):
    """What an eavesdropper got in one direction of a link."""

    attack: str = Field(description="what she does: intercept-resend or beam-splitter")
    copies: int = Field(description="copies of which she measured or holds at least one photon")
    whole_copies: int = Field(description="copies of which she measured or holds every photon")
    photons: int = Field(description="photons that she measured or holds")
    bits: int = Field(description="classical bits that went by, all of which she read")
    strings: dict[str, int] = Field(
        default={}, description="how often bases:outcomes came up among measured whole copies"
    )
    strings_beyond: int = Field(default=0, description="measured whole copies beyond the strings that are told apart")


class PairFigures(Part):
    """How a link makes pairs, before any distillation, as its description says."""

    fidelity: float = Field(
        description="of a pair when its herald is there, after the decay in both memories; with deliver the mean of "
        "what is handed over"
    )  # fmt: skip
    success_probability: float = Field(description="of one attempt, false heralds included")
    pairs_hz: float = Field(description="pairs a second of all memory slots together, where none waits to be used")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the critical path: the end of the run waited for this."""

    # No model, as a path has hundreds of them, and a model takes ten times as long to make.
    __pydantic_config__ = Part.model_config

    session: Annotated[str, Field(description="in which quantum session")]
    cause: Annotated[str, Field(description="what the time went into: emission, flight, gates, pair attempts, ...")]
    where: Annotated[str, Field(description="a party, or a direction of a link: alice->bob")]
    from_ps: Annotated[int, Field(description="when it began, counted from the begin of the first quantum session")]
    to_ps: Annotated[int, Field(description="when it ended, which is when the next one begins")]
    counts: Annotated[dict[str, int], Field(
        description="how often each duration is in it: bins, crossings, attempts, outcomes, rounds, bits, equipment, "
        "messages, preparations, gates1, gates2, readouts, layers"
    )]  # fmt: skip


class CopyTimes(Part):
    """How long measured copies of a session took, from preparation to readout."""

    p50_ps: int = Field(description="half of the copies took at most this long")
    p95_ps: int = Field(description="95 % of the copies took at most this long")
    p99_ps: int = Field(description="99 % of the copies took at most this long")
    copies: int = Field(description="copies that were measured")
    first_ps: int = Field(description="when the first of them was read, counted from the begin of its session")


class Latency(Part):
    """Where the virtual time went: the end of the run, followed backwards through what it waited for."""

    path: list[Stretch] = Field(description="the critical path in the order of time, from 0 to virtual_time_ps")
    causes: dict[str, int] = Field(description="ps by cause; they add up to virtual_time_ps")
    copies: dict[str, CopyTimes] = Field(description="by quantum session, where copies were measured")


class FailedStep(Part):
    """A step after the run that failed."""

    step: str = Field(
        description="its name: latency, summarise, exact, witness, retraced, compared, table, ledger, trace, out"
    )
    kind: str = Field(description="the exception's type")
    message: str = Field(description="what it said, in one line")


# ---------------------------------------------------------------- what a kind tells


class Finding(Part):
    """What a session came to, the protocol's or a rival's. What a kind tells of its rivals derives from it."""

    estimate: Value = Field(default=None, description="what was found: a number, a list of them, or null")
    error: float | None = Field(
        default=None, description="largest distance of the estimate from the exact value, if known"
    )
    test_accuracy: float | None = Field(default=None, description="share of right decisions on the test part")
    accuracy: float | None = Field(default=None, description="share of right decisions")
    comparable: bool | None = Field(
        default=None, description="false where the answer is too poor to compare costs with"
    )


class Summary(Finding):
    """What a kind tells of a run."""

    copies: int = Field(
        default=0, description="copies that were measured; if the kind does not say, those put on fibers"
    )
    baseline_accuracy: float | None = Field(
        default=None, description="what an ordinary classifier comes to on the same data"
    )
    decisions: int | None = Field(
        default=None, description="how many the accuracy was measured on, which gives its interval"
    )
    assumption: str = Field(default="", description="what the costs of rivals assume")
    verdict: str = Field(default="", description="who wins; if the kind does not say, ketwire does")
    rivals: Mapping[str, Finding] = Field(default={}, description="the classical rivals, by session")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Raises:
        TypeError: a field is one that ketwire counts, or is called like what results have.
        """
        if issubclass(cls, Figures):
            return
        fields = cls.model_fields.keys()
        if forged := fields & _COUNTED[RunResult]:
            raise TypeError(f"a kind may not give {', '.join(sorted(forged))}: ketwire counts these")
        if taken := fields & {*dir(RunResult)} - Summary.model_fields.keys():
            told = ", ".join(sorted(taken))
            raise TypeError(f"{told} given as a field, expected a name that no method of results has")


class Noisy(Part):
    """The expected value of an estimate with noise, beside the ideal value."""

    expectation: float = Field(description="expected value of the estimate, including noise")
    standard_error: float = Field(description="of the expectation; 0 where it is exact")
    bias: float = Field(description="expectation minus the ideal value")
    epsilon: float = Field(description="an estimate is within this of the expectation")
    delta: float = Field(description="the promise fails with this probability at most")


class Reference(Part):
    """What --check adds; a kind adds fields of its own, each with a default, as each step fills in some."""

    exact: Value = Field(default=None, description="the exact value, in the form of the estimate")
    noisy: Noisy | None = Field(
        default=None, description="the noisy expectation and its bias, where there is a witness"
    )


# ---------------------------------------------------------------- the whole


class Rival(Figures, Finding):
    """A classical rival: its session's figures, and what the kind tells of it."""

    estimate: Value = Field(description="what the rival found, in the form of the protocol's estimate, or null")
    error: float | None = Field(description="largest distance of the estimate from the exact value, if known")
    bits: int = Field(description="payload and control bits")


class RunResult(Summary, Reference, Figures):
    """What a run came to. Sums over the quantum sessions stand at the top, as if they had run one after another."""

    scenario: str = Field(description="name of the scenario")
    seed: int = Field(description="names everything random")
    workload_seed: int | None = Field(None, description="names random data and parameters, where the scenario has one")
    protocol: str = Field(description="kind of the protocol")
    estimate: Value = Field(description="what the protocol found: a number, a list of them, or null")
    exact: Value = Field(description="the exact value, in the form of the estimate; null without --check")
    error: float | None = Field(description="largest distance of the estimate from the exact value, if known")
    copies: int = Field(description="copies that were measured, as far as the kind says, else those put on fibers")
    verdict: str = Field(description="who wins, in words")
    wall_s: float = Field(description="how long the run took on this machine")
    rivals: Mapping[str, Rival] = Field(description="the classical rivals, by session")
    sessions: list[SessionFigures] = Field(description="all sessions, the quantum ones first")
    eve: dict[str, dict[str, Intercepted]] = Field(
        default={}, description="what an eavesdropper got, by session and direction"
    )
    pairs: dict[str, PairFigures] = Field(
        default={}, description="how links make pairs, by link, of those that make their own"
    )
    latency: Latency | None = Field(
        default=None, description="where the virtual time went; null or missing where it was not asked for"
    )
    afterwards_failed: list[FailedStep] = Field(default=[], description="steps after the run whose part is missing")
    outcomes: dict[str, dict[str, Any]] = Field(
        default={}, description="what each program returned, by session and party, where the kind's summary failed"
    )

    _records: tuple[tuple[str, Record], ...] | None = PrivateAttr(default=None)

    def ledger(self) -> DataFrame:
        """A row for each message of the run: session, direction, kind, times in ps, and what it cost.

        Raises:
            ScenarioError: nothing was recorded, or the extra `frames` is not installed.
        """
        from ketwire.scenarios.reports.frames import ledger_frame  # noqa: PLC0415

        return ledger_frame(self._records)

    def step_frame(self) -> DataFrame:
        """A row for each step of a training: its loss, and what it cost.

        Raises:
            ScenarioError: this is no training, or the extra `frames` is not installed.
        """
        from ketwire.scenarios.reports.frames import step_frame  # noqa: PLC0415

        return step_frame(self.told())

    def rival_frame(self) -> DataFrame:
        """A row for the protocol and one for each rival: what it cost and what it found.

        Raises:
            ScenarioError: the extra `frames` is not installed.
        """
        from ketwire.scenarios.reports.frames import rival_frame  # noqa: PLC0415

        return rival_frame(self.told())

    def plot(self) -> Figure:
        """A figure of matplotlib: what was found, and its cost beside the rivals'.

        Raises:
            ScenarioError: the extra `plots` is not installed.
        """
        from ketwire.scenarios.reports.figures import draw  # noqa: PLC0415

        return draw(self.told())

    def _repr_html_(self) -> str:
        from ketwire.scenarios.reports.html import result_html  # noqa: PLC0415

        return result_html(self.told())

    def keep_records(self, records: Sequence[tuple[str, Record]]) -> None:
        """What `ledger` shows: each message with the name of its session."""
        self._records = tuple(records)

    @classmethod
    def rival_type(cls) -> type[Rival]:
        """The model of its rivals."""
        found: type[Rival] = get_args(cls.model_fields["rivals"].annotation)[1]
        return found

    def counted(self) -> RunResult:
        """What ketwire itself counted of it, in the form of a whole one."""
        nothing: dict[str, Any] = {"estimate": None, "exact": None, "error": None, "copies": 0, "verdict": ""}
        rivals = {
            name: Rival.model_construct(**_counted(rival, Rival), estimate=None, error=None)
            for name, rival in self.rivals.items()
        }
        return RunResult.model_construct(**_counted(self, RunResult), **nothing, rivals=rivals)

    def failed_steps(self) -> list[str]:
        """The names of the steps that failed."""
        return [each.step for each in self.afterwards_failed]

    def of_session(self, name: str) -> Finding | None:
        """What one quantum session came to, where a kind tells it of each."""
        return None

    def remarks(self) -> list[str]:
        """Lines of the kind's own between the table and its verdict."""
        return []


def result_types(declared: Any) -> tuple[type[RunResult], ...]:
    """The types that a kind declares for its results, one or a union (`Kind.Result`).

    Raises:
        TypeError: one does not derive from RunResult, or not first.
    """
    types = get_args(declared) or (declared,)
    for each in types:
        if not (isinstance(each, type) and issubclass(each, RunResult) and issubclass(each.rival_type(), Rival)):
            raise TypeError(f"Result: {each!r} given, expected models that derive from RunResult first")
    return types


def result_schema(declared: Any) -> dict[str, Any]:
    """The JSON Schema of what a kind declares, as `told` has it."""
    return TypeAdapter(declared).json_schema()


_COUNTED: dict[type[Part], set[str]] = {
    RunResult: RunResult.model_fields.keys() - Summary.model_fields.keys() - Reference.model_fields.keys(),
    Rival: Rival.model_fields.keys() - Finding.model_fields.keys(),
}
"""Of whole models, the fields that ketwire counts and no kind may give."""


def _counted(part: Part, whole: type[Part]) -> dict[str, Any]:
    return {name: value for name, value in part.given().items() if name in _COUNTED[whole]}
