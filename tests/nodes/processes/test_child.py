"""What of an error leaves the process of a party: where it is and what was expected, and nothing that data say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.channels.wire.codec import decode
from ketwire.channels.wire.frames import Failed
from ketwire.errors import KetwireError
from ketwire.nodes.processes import node as node_process
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Run, Session
from ketwire.protocols.layers import build_layers
from ketwire.protocols.node import Json, Loader, Node, Outcome
from tests.kit import Threads, place, recording, scripted

SECRET = "made-up-marker-77"
HERE = __file__


@dataclass(frozen=True)
class Mistake:
    """What goes wrong, and over which data."""

    how: str
    source: Json


class Careless:
    """A party whose mistakes quote what it holds."""

    Slice, Outcome = Mistake, Outcome

    def __init__(self, slice: Mistake, load: Loader) -> None:
        self.how = slice.how
        if self.how == "table":
            load("protocol.data", {"path": "private.csv", **slice.source})
        if self.how == "layer":
            spec = {"key": "protocol.layers.0", "layer": "openqasm", "program": {"path": "private.qasm"}}
            build_layers([spec], 1, load)
        if self.how == "building":
            int(SECRET)  # while it is built
        self.shapes: Any = {SECRET: 3} if self.how == "shapes" else {}

    async def run(self, node: Node) -> None:
        if self.how == "running":
            raise KeyError(SECRET)  # while it runs
        if self.how == "array":
            np.array([SECRET]).astype(np.float64)  # in a library
        if self.how == "awaited":
            await Thing(SECRET)
        if self.how == "wrapped":
            try:
                int(SECRET)
            except ValueError as error:
                raise RuntimeError(f"no number in {SECRET}") from error  # quotes another


class Thing(str):
    def __await__(self) -> Any:
        yield self


def careless(how: str, source: dict[str, Any]) -> Run:
    run = scripted({"alice": [], "bob": []})
    slices = {"alice": Mistake(how, source), "bob": Mistake("well", {})}
    return Run(run.seed, run.parties, run.links, (Session("s0", "quantum", f"{__name__}:Careless", slices),))


def failed(recorded: list[tuple[str, list[bytes]]]) -> list[Failed]:
    """The FAILED frames among the messages that were sent."""
    found = []
    for _, frames in recorded:
        if len(frames[0]) >= 36 and frames[0][5] == 0x48:  # sent by a party, which has no route to name first
            found.append(decode(frames)[1])
    return [frame for frame in found if isinstance(frame, Failed)]


def alone(run: Threads) -> None:
    """Alice as far as she comes before everybody is ready."""
    run.threads[0].start()
    try:
        run.coordinator._until(lambda: False)
    finally:
        run.coordinator.stop("over")
        run.threads[0].join(10)
        run.context.destroy(linger=0)


CASES: list[tuple[str, str, dict[str, Any], str]] = [
    ("table", f"age,marker\n41,{SECRET}\n", {}, "line 2, column 1: a gap or a text given, expected a number"),
    ("table", f"1,2,0\n3,4,{SECRET}\n", {"label_column": 2}, "line 2, column 2: a gap or a text given as a label"),
    ("table", f"1,2,{SECRET}\n3,4,5\n", {}, "line 1, column 2: words beside numbers; a first row"),
    ("table", f"1,{SECRET}\n3,4\n", {"label_column": "x"}, "label_column 'x' given, expected a column from 0 to 1"),
    ("table", f"a,b\n1,{SECRET}\n", {"label_column": "b", "label_names": ["u", "v"]}, "line 2, column 1: a label that"),
    ("layer", f"OPENQASM 3.0;\nqubit[1] q;\n{SECRET.replace('-', '_')} q[0];\n", {}, "protocol.layers.0: line 3"),
    ("building", "", {}, f"{place(HERE, 'while it is built')}: ValueError"),
    ("running", "", {}, f"{place(HERE, 'while it runs')}: KeyError"),
    ("array", "", {}, f"{place(HERE, 'in a library')}: ValueError"),
    ("wrapped", "", {}, f"{place(HERE, 'quotes another')}: RuntimeError"),
    ("shapes", "", {}, f"{__name__}:Careless: shapes: dict given, expected a dict of Shape(value, origin)"),
    ("awaited", "", {}, "a program awaited something of type Thing; it may await only"),
]


@pytest.mark.parametrize(("how", "text", "source", "told"), CASES)
def test_what_data_say_is_not_in_what_crosses(
    how: str, text: str, source: dict[str, Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ("private.qasm" if how == "layer" else "private.csv")).write_text(text)
    recorded = recording(monkeypatch)
    run = Threads(careless(how, source), str(tmp_path))
    with pytest.raises(KetwireError) as caught:
        alone(run) if how in ("table", "layer", "building", "shapes") else run.conduct()
    (frame,) = failed(recorded)
    assert told in frame.message and told in str(caught.value)
    secrets = {SECRET, SECRET.replace("-", "_")}
    for _, frames in recorded:
        assert not any(secret.encode() in part for secret in secrets for part in frames)


def test_a_mistake_of_ketwire_itself_crosses_by_type_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_process, "keeper_of", int)  # which three arguments are too many for
    recorded = recording(monkeypatch)
    with pytest.raises(KetwireError):
        alone(Threads(careless("well", {})))
    (frame,) = failed(recorded)
    assert frame.kind == "PartyFailed" and re.search(r"nodes/processes/node\.py:\d+: TypeError$", frame.message)


def test_whoever_owns_all_parties_is_told_all() -> None:
    """As in a run on one machine."""
    with pytest.raises(KetwireError, match=rf"{place(HERE, 'while it runs')}: KeyError: '{SECRET}'"):
        run_processes(careless("running", {}))
