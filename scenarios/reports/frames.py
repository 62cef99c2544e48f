"""Results as data frames of pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ketwire.channels.records import Record
from ketwire.errors import ScenarioError
from ketwire.scenarios.reports.extras import extra

if TYPE_CHECKING:
    from pandas import DataFrame

COSTS = ("qubits_sent", "qubits_delivered", "ebits", "payload_bits", "control_bits", "virtual_time_ps")
FOUND = ("estimate", "error", "test_accuracy", "accuracy")


def ledger_frame(records: Sequence[tuple[str, Record]] | None) -> DataFrame:
    """A row for each message: session, direction, number, kind, times in ps, and what it cost.

    Raises:
        ScenarioError: nothing was recorded, or pandas is not installed.
    """
    pandas = extra("pandas", "frames", "ledger")
    if records is None:
        raise ScenarioError("ledger: nothing was recorded, expected a result of ketwire.run")
    rows = [(session, *record) for session, record in records]
    made: DataFrame = pandas.DataFrame(rows, columns=["session", *Record._fields])
    return made


def step_frame(result: Mapping[str, Any]) -> DataFrame:
    """A row for each step of a training, its loss and what it cost.

    Raises:
        ScenarioError: the result has no steps, or pandas is not installed.
    """
    pandas = extra("pandas", "frames", "steps")
    if not result.get("per_step"):
        raise ScenarioError(f"steps: a result of {result['protocol']} given, expected one of training")
    made: DataFrame = pandas.DataFrame(result["per_step"])
    made.index = pandas.RangeIndex(1, len(made) + 1, name="step")
    return made


def rival_frame(result: Mapping[str, Any]) -> DataFrame:
    """A row for the protocol and one for each rival: what it cost and what it found.

    Raises:
        ScenarioError: pandas is not installed.
    """
    pandas = extra("pandas", "frames", "rivals")
    rows = {"quantum": result, **result["rivals"]}
    found = [key for key in FOUND if any(told.get(key) is not None for told in rows.values())]
    made: DataFrame = pandas.DataFrame(
        [[told.get(key) for key in (*COSTS, *found)] for told in rows.values()],
        columns=[*COSTS, *found],
        index=pandas.Index(rows, name="session"),
    )
    return made
