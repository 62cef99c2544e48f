"""Long vectors go in several messages: the same numbers, and each message within the wire's limits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from ketwire.channels.copies import MAX_QUBITS
from ketwire.channels.wire.frames import DEFAULT_LIMITS
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import SessionResult
from ketwire.protocols import numbers
from ketwire.protocols.numbers import MESSAGE_NUMBERS, messages_of
from tests.kit import shown
from tests.scenarios.kinds.gradient.test_kind import scenario
from tests.scenarios.kinds.training.test_kind import carried_out, spec_of


def test_a_message_is_within_the_limits_of_the_wire_where_a_state_is_not() -> None:
    """The classical rival of 26 qubits failed in processes when the quantum protocol was over, and ran inline."""
    assert 2 << MAX_QUBITS > DEFAULT_LIMITS.max_entries >= MESSAGE_NUMBERS
    parts = list(messages_of(2 << MAX_QUBITS))
    assert parts[0].start == 0 and parts[-1].stop == 2 << MAX_QUBITS
    assert all(before.stop == after.start for before, after in pairwise(parts))
    assert max(part.stop - part.start for part in parts) <= MESSAGE_NUMBERS
    assert list(messages_of(0)) == [slice(0, 0)] and list(messages_of(5)) == [slice(0, 5)]


def _bits_and_messages(results: list[SessionResult]) -> dict[str, tuple[int, int]]:
    return {each.name: (each.totals.payload_bits, len(each.records)) for each in results if each.role == "rival"}


def test_a_state_in_parts_is_the_same_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """8 numbers a crossing of 2 qubits; cut to 3, three messages, each with a scale of its own where there is one."""
    loaded = scenario("ba", copies=20, estimators=["commuting"], dense_state={"bits": [8, 64]}, description=[])
    whole = run_inline(loaded.run(), ledger=True)
    monkeypatch.setattr(numbers, "MESSAGE_NUMBERS", 3)
    parts = run_inline(loaded.run(), ledger=True)
    for name, (bits, messages) in _bits_and_messages(whole).items():
        scales = 64 * 2 * messages if name == "dense-state-8-bit" else 0
        assert _bits_and_messages(parts)[name] == (bits + scales, 3 * messages)
    for ours, theirs in zip(whole, parts, strict=True):
        if ours.name == "dense-state-64-bit":
            for party, outcome in ours.outcomes.items():
                assert shown(theirs.outcomes[party]) == shown(outcome)


def test_rivals_of_training_come_to_the_same_angles_whatever_a_message_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(steps=2, rivals={"backprop": [64], "raw": [64]})
    whole = carried_out(spec)[1:]
    monkeypatch.setattr(numbers, "MESSAGE_NUMBERS", 3)
    parts = carried_out(spec)[1:]
    for ours, theirs in zip(whole, parts, strict=True):
        assert ours.totals.payload_bits == theirs.totals.payload_bits
        last: list[Any] = [each.outcomes["a"] for each in (ours, theirs)]
        assert shown(last[0]) == shown(last[1])
        # The others send no numbers that a message could not hold.
        assert (ours.transcript_sha256 == theirs.transcript_sha256) == (not ours.name.startswith("backprop"))
