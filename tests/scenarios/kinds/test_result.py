"""Results as types: their schemas are complete, and every result is one of its kind's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from ketwire.modules import settle
from ketwire.nodes.inline import run_inline
from ketwire.scenarios import cli
from ketwire.scenarios.kinds.interface import find_kind, kind_names
from ketwire.scenarios.kinds.result import RunResult, result_schema, result_types
from ketwire.scenarios.load import load
from ketwire.scenarios.runs.launch import Options, launch

SMALL = {
    "two-layer-inference": ["protocol.copies=10", "protocol.epsilon=null", "protocol.delta=null"],
    "eavesdropper": [],
    "subspace": ["protocol.qubits=[4, 6]", "protocol.trials=20"],
    "gradient-two-parties": ["protocol.copies=10", "protocol.epsilon=null", "protocol.delta=null"],
    "fingerprint-referee": ["protocol.instances=20"],
    "train-digits": ["protocol.steps=1", "protocol.copies=12"],
}


def undescribed(schema: Any, where: str = "") -> Iterator[str]:
    """The properties without a description, anywhere in a schema."""
    if isinstance(schema, list):
        for each in schema:
            yield from undescribed(each, where)
    if not isinstance(schema, dict):
        return
    for name, of in schema.get("properties", {}).items():
        if not of.get("description"):
            yield f"{where}.{name}"
    for key, below in schema.items():
        yield from undescribed(below, f"{where}.{key}")


def accepted(result: dict[str, Any], declared: Any) -> RunResult:
    """A result read by the types that its kind declares, strictly as JSON."""
    read: RunResult = TypeAdapter(declared).validate_json(json.dumps(result), strict=True)
    return read


def test_every_field_of_every_result_is_described() -> None:
    assert list(undescribed({"properties": {"a": {}}, "$defs": {"B": {"properties": {"b": {"type": "null"}}}}})) == [
        ".a", ".$defs.B.b"
    ]  # fmt: skip
    for declared in (RunResult, *(find_kind(name).Result for name in kind_names())):
        schema = result_schema(declared)
        assert list(undescribed(schema)) == [] and "transcript_sha256" in json.dumps(schema)


def test_the_scenarios_below_are_of_all_kinds() -> None:
    of_data = {"central", "graph"}  # of data sets and networks, with tests of their own
    assert {load(name, SMALL[name]).kind_name for name in SMALL} == set(kind_names()) - of_data


@pytest.mark.parametrize("name", SMALL)
def test_results_of_checked_runs_fit_their_schemas(name: str) -> None:
    """No key is undeclared, none that is required is missing, and they are written as they were read."""
    loaded = load(name, SMALL[name])
    result = launch(loaded, lambda run, *_: run_inline(run, base=loaded.base), Options(check=True, progress=False))
    told = result.told()
    read = accepted(told, loaded.kind.Result)
    for wrong in ({**told, "unheard_of": 1}, {key: told[key] for key in told if key != "rivals"}, {**told, "seed": ""}):
        with pytest.raises(ValidationError):
            accepted(wrong, loaded.kind.Result)
    assert type(read) is type(result) and type(result) in result_types(loaded.kind.Result)
    assert read.told() == result.told() and read.afterwards_failed == []
    known = {"exact", "exact_accuracy", "exact_test_accuracy"} & read.model_fields_set
    assert any(getattr(read, name) is not None for name in known)


def test_the_command_prints_the_schema_of_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["schema", "--result", "subspace"]) == 0
    told = json.loads(capsys.readouterr().out)
    dialect = told.pop("$schema")
    assert dialect.startswith("https://json-schema.org/") and told == result_schema(find_kind("subspace").Result)
    assert [each["$ref"].rpartition("/")[2] for each in told["anyOf"]] == ["ClassifyResult", "PromiseResult"]


def test_the_command_prints_the_schema_of_a_kind_in_this_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parents[3] / "docs" / "your-own-protocol.md"
    (tmp_path / "coin.py").write_text(page.read_text().split("```python\n", 1)[1].split("```", 1)[0])
    monkeypatch.chdir(tmp_path)
    try:
        assert cli.execute(["schema", "--result", "coin:Coin"]) == 0
    finally:
        settle(None)
    told = json.loads(capsys.readouterr().out)
    assert told["title"] == "CoinResult" and "heard_ps" in told["required"]


def test_the_schema_of_no_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["schema", "--result", "telepathy"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("ketwire: --result: 'telepathy' given, expected one of advantage, central, ")
    assert told.count("\n") == 1
