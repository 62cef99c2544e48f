"""How often a party tells the coordinator how far it is."""

from __future__ import annotations

from typing import Any

import pytest

from ketwire.nodes.processes import control
from ketwire.nodes.processes.control import Control


def test_each_label_is_told_at_most_five_times_a_second_and_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends often, as the copies of each step do, hides nothing else."""
    clock_s, said = [0.0], []
    monkeypatch.setattr(control.time, "monotonic", lambda: clock_s[0])
    party = Control.__new__(Control)
    party._next_progress = {}
    monkeypatch.setattr(party, "say", lambda frame: said.append((frame.label, frame.done)))

    def told(label: str, done: int, at_s: float) -> list[Any]:
        said.clear()
        clock_s[0] = at_s
        party.progress(0, done, 100, label, 0, "")
        return [*said]

    assert told("copies", 100, 1.0) == [("copies", 100)] and told("steps", 1, 1.0) == [("steps", 1)]
    assert told("copies", 100, 1.1) == [("copies", 100)], "its end"
    assert told("steps", 2, 1.1) == [] and told("copies", 3, 1.2) == []
    assert told("steps", 3, 1.3) == [("steps", 3)] and told("steps", 100, 1.3) == [("steps", 100)]
