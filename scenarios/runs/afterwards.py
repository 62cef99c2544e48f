"""What follows a run: the kind's summary, the references of --check, the verdict and the files of the folder.

The wire's figures make a result before any of these steps begins. A step adds to that result, or it fails and adds
nothing: then its name and the reason stand in the result under `afterwards_failed`, and the steps that do not need
it go on. So a run that is over is never lost, whatever a kind of a user's own does with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ketwire.errors import LocalProtocolError, one_line
from ketwire.scenarios.kinds.bias import bias
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.load import Loaded, from_file
from ketwire.scenarios.runs.results import FAILED_KEY, plain, result_object
from ketwire.scenarios.runs.results import with_compared as compared_with
from ketwire.scenarios.runs.table import table_text, verdict

if TYPE_CHECKING:
    from ketwire.nodes.session import Run, SessionResult
    from ketwire.protocols.node import Outcome

LISTED = 1000
"""Entries of an outcome's array that are listed where no summary tells of it."""


class Afterwards:
    """The result of a run that is over, and what failed after it.

    failed: a dict for each step that failed: `step`, `kind` (the exception's type) and `message`, one line.
    """

    def __init__(self, loaded: Loaded, run: Run, results: Sequence[SessionResult], wall_s: float) -> None:
        self.failed: list[dict[str, str]] = []
        self._loaded, self._run, self.results, self._wall_s = loaded, run, results, wall_s
        self._kind, self._spec = loaded.kind, loaded.scenario.protocol
        self._summary: Mapping[str, Any] = {}
        self._exact: Mapping[str, Any] | None = None
        self._made_last: dict[str, Any] | None = None

    @property
    def _result(self) -> dict[str, Any]:
        """As the last step that succeeded has made it; before any, the wire's figures alone."""
        if self._made_last is None:
            self._made_last = self._made({}, None)
        return self._made_last

    @_result.setter
    def _result(self, made: dict[str, Any]) -> None:
        self._made_last = made

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Whatever the body raises is noted as the failure of this step; an interrupt is not."""
        try:
            with from_file(self._loaded.origin):
                yield
        except (Exception, SystemExit) as error:
            told = one_line(error, type(self._kind).__module__)
            self.failed.append({"step": name, "kind": type(error).__name__, "message": told})

    def has_failed(self, name: str) -> bool:
        return any(failed["step"] == name for failed in self.failed)

    def told(self) -> dict[str, Any]:
        """The result object as it is by now."""
        if not self.failed:
            return self._result
        told = {**self._result, FAILED_KEY: list(self.failed)}
        if self.has_failed("summarise"):
            told["outcomes"] = outcomes_of(self.results)
        if "verdict" in told and not self.has_failed("table"):
            return told
        return {**told, "verdict": verdict(told)}

    def summarise(self) -> None:
        with self.step("summarise"):
            summary = self._kind.summarise(self._spec, self.results, Judge(self._loaded.network()))
            self._result = self._made(_dict(summary), None)
            self._summary = summary

    def refer(self) -> None:
        """What --check compares with: the ideal value, and what kinds that run once more for it make of that."""
        network = self._loaded.network()
        with self.step("exact"):
            self._add(self._kind.exact(self._spec, network, network.loaders()))
        if self._exact is not None:  # a bias is one from the ideal value
            with self.step("witness"):
                self._add(bias(self._loaded, self._run, self._exact))
        with self.step("retraced"):
            self._add(self._kind.retraced(self._spec, network, self._run, self.results))

    def compare(self) -> None:
        """What the kind says of its own result; nothing where that has no summary."""
        if self.has_failed("summarise"):
            return
        with self.step("compared"):
            told = _dict(self._kind.compared(self._spec, plain(self._result)))  # a copy
            self._result = _written(compared_with(self._result, told))

    def judge(self) -> None:
        """The verdict; the table is tried here, so that a result that it cannot show says so."""
        with self.step("table"):
            told = self.told()
            judged = {**told, "verdict": verdict(told)}
            table_text(judged)
            self._result = {**self._result, "verdict": judged["verdict"]}

    def _add(self, more: Any) -> None:
        exact = {**(self._exact or {}), **_dict(more)}
        self._result = self._made(self._summary, exact)
        self._exact = exact

    def _made(self, summary: Mapping[str, Any], exact: Mapping[str, Any] | None) -> dict[str, Any]:
        loaded = self._loaded
        head: dict[str, Any] = {"scenario": loaded.name, "seed": self._run.seed}
        if self._run.workload_seed is not None:
            head["workload_seed"] = self._run.workload_seed
        head["protocol"] = loaded.kind_name
        return _written(result_object(head, self.results, summary, exact, self._wall_s))


def outcomes_of(results: Sequence[SessionResult]) -> dict[str, dict[str, Any]]:
    """By session and party what the programs returned, as far as JSON has it; for results that nobody summarised."""
    return {
        result.name: {
            party: told for party, outcome in result.outcomes.items() if (told := _shown(outcome)) is not None
        }
        for result in results
    }


def _shown(outcome: Outcome) -> dict[str, Any] | None:
    try:
        return _written(plain(_listed(vars(outcome))))
    except Exception:  # of a type whose text cannot be had
        return None


def _listed(value: Any) -> Any:
    """A value with its dataclasses as dicts, and with what they are in the place of long arrays."""
    if isinstance(value, np.ndarray) and value.size > LISTED:
        return {"dtype": str(value.dtype), "shape": value.shape}
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {str(key): _listed(each) for key, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value


def _dict(told: Any) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        raise LocalProtocolError(f"{type(told).__name__} returned, expected a dict")
    return told


def _written(result: dict[str, Any]) -> dict[str, Any]:
    """A result that can be written as JSON; raises where it cannot."""
    json.dumps(result, ensure_ascii=False, allow_nan=False).encode()
    return result
