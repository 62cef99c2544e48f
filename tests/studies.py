"""Small studies for tests: what a study file would say, and how commands answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ketwire.scenarios import cli

SMALL: dict[str, Any] = {
    "seed": 4,
    "nodes": {"alice": {}, "bob": {}},
    "links": [{"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": 1}],
    "protocol": {
        "kind": "inference", "qubits": 2, "start": "alice", "copies": 20, "dense_state": None, "sketch": False,
        "layers": [{"at": "bob", "layer": "hadamards"}],
    },
}  # fmt: skip
LENGTHS: dict[str, Any] = {"key": "links.0.length_km", "values": [1, 5]}


def study_of(**keys: Any) -> dict[str, Any]:
    """A study of SMALL over two lengths, with other keys."""
    return {"base": SMALL, "axes": [LENGTHS], **keys}


def written(folder: Path, **keys: Any) -> str:
    """The path of a study file of that."""
    path = folder / "small.yaml"
    path.write_text(json.dumps(study_of(**keys)))
    return str(path)


def refused(capfd: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that a command is refused with, exit code 2."""
    assert cli.execute(["study", *argv]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("ketwire: ")
    return err.removeprefix("ketwire: ").strip()
