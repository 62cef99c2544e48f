"""The trace keeps Perfetto's rules, for every packaged scenario and for messages at random."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels.records import Record
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import SessionResult, merge_records
from ketwire.nodes.times.timeline import run_timed
from ketwire.scenarios.load import load
from ketwire.scenarios.runs.trace import write_trace
from tests.test_packaged import NAMES, SHORT, SLOW, TRAININGS

Events = list[dict[str, Any]]
Track = tuple[int, int]


def traced(results: list[SessionResult]) -> Events:
    file = io.StringIO()
    write_trace(results, file)
    events: Events = json.loads(file.getvalue())["traceEvents"]
    return events


def slices(events: Events) -> dict[Track, list[tuple[int, int, dict[str, Any]]]]:
    """Begin and end of each track's slices, as a reader has them that cuts microseconds to nanoseconds."""
    found = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            begin_ns, ns = int(event["ts"] * 1000), int(event["dur"] * 1000)
            found[event["pid"], event["tid"]].append((begin_ns, begin_ns + ns, event))
    return found


def check(events: Events, results: list[SessionResult]) -> None:
    """The rules that Perfetto holds a trace to, and that it tells each message once."""
    check_names(events)
    tracks = slices(events)
    for told in tracks.values():
        assert all(0 <= begin < end for begin, end, _ in told)
        for (_, end, _), (begin, _, _) in pairwise(told):
            assert end < begin, "slices of a track lie apart, in the order of their times"
    for told in tracks.values():
        assert len({event["cat"] == "busy" for _, _, event in told}) == 1, "work has tracks of its own"
    tracks = {track: told for track, told in tracks.items() if told[0][2]["cat"] != "busy"}
    check_flows(events, tracks)
    wanted = [record._asdict() for result in results for record in result.records]
    sent = [event["args"] for event in events if event["ph"] == "X" and "args" in event]
    assert sorted(map(json.dumps, sent)) == sorted(map(json.dumps, wanted))
    assert sum(map(len, tracks.values())) == 2 * len(wanted)


def check_names(events: Events) -> None:
    processes, threads = {}, {}
    for event in events:
        if event["name"] == "process_name":
            assert processes.setdefault(event["pid"], event["args"]["name"]) is event["args"]["name"]
        elif event["name"] == "thread_name":
            assert threads.setdefault(event["tid"], (event["pid"], event["args"]["name"]))[0] == event["pid"]
        else:
            assert event["ph"] in "Xsf" and threads[event["tid"]][0] == event["pid"] and event["pid"] in processes
    metadata = [event for event in events if event["ph"] == "M"]
    assert len(metadata) == len(processes) + len(threads), "each is named once"
    assert len(set(processes.values())) == len(processes) and len(set(threads.values())) == len(threads)
    assert not processes.keys() & threads.keys()


def check_flows(events: Events, tracks: dict[Track, list[tuple[int, int, dict[str, Any]]]]) -> None:
    beginnings = {(track, begin): event for track, told in tracks.items() for begin, _, event in told}
    flows: dict[str, dict[int, tuple[int, dict[str, Any]]]] = {"s": {}, "f": {}}
    for event in events:
        if event["ph"] in flows:
            at_ns = int(event["ts"] * 1000)
            held = beginnings[(event["pid"], event["tid"]), at_ns]  # in a slice: at its beginning
            assert event["id"] not in flows[event["ph"]]
            flows[event["ph"]][event["id"]] = at_ns, held
    assert flows["s"].keys() == flows["f"].keys() and len(flows["s"]) == len(beginnings) / 2
    for number, (sent_ns, sent) in flows["s"].items():
        arrived_ns, arrived = flows["f"][number]
        assert sent_ns <= arrived_ns and sent["name"] == arrived["name"] and sent["pid"] != arrived["pid"]
        assert abs(arrived_ns - sent["args"]["arrival_ps"] // 1000) <= 1
        assert abs(sent_ns - sent["args"]["sent_ps"] // 1000) <= 1


LONG = (*SLOW, "breast-cancer", "repeater-chain-100km")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in NAMES])
def test_packaged_scenarios_keep_perfetto_s_rules(name: str) -> None:
    loaded = load(name, SHORT if name in TRAININGS else ())
    results = run_inline(loaded.run(), ledger=True, base=loaded.base)
    check(traced(results), results)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("metro-25km-teleport", {"alice": ("processor", "memory", "pairs to bob"), "bob": ("processor", "memory")}),
        ("ring-of-three", {"alice": ("emitter to bob", "memory"), "bob": ("emitter to carol",)}),
    ],
)
def test_a_run_with_notes_has_tracks_of_processor_memory_and_emitters(name: str, wanted: dict[str, Any]) -> None:
    results = run_timed(load(name, ["protocol.copies=50"]).run(), ledger=True)
    events = traced(results)
    check(events, results)
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    tracks = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"}
    busy = {track: told for track, told in slices(events).items() if told[0][2]["cat"] == "busy"}
    parties = {(names[pid].split(": ")[1], tracks[pid, tid]) for pid, tid in busy}
    assert {(party, track) for party, listed in wanted.items() for track in listed} <= parties
    last_ns = max(result.links_idle_ps for result in results) // 1000
    assert all(end - 1 <= last_ns for told in busy.values() for _, end, _ in told)


def test_the_slice_of_an_emitter_is_the_bins_of_its_batch() -> None:
    """Without losses and with a lone batch, all in whole nanoseconds."""
    run = load("two-layer-inference", ["links.0.detector_efficiency=1", "links.0.loss_db_per_km=0"]).run()
    [result] = run_timed(replace(run, sessions=run.sessions[:1]), ledger=True)
    events = traced([result])
    emitters = [event for event in events if event["ph"] == "X" and event["cat"] == "busy"]
    bin_ps = run.links[0].forward.fiber.bin_ps
    first = min(emitters, key=lambda event: event["ts"])
    assert first["ts"] == 0 and round(first["dur"] * 1e6) == bin_ps * result.records[0].qubits_sent


def session(name: str, records: list[Record]) -> SessionResult:
    directions: Any = dict.fromkeys(record.direction for record in records)
    return SessionResult(name, "quantum", {}, {"a": 0, "b": 0, "c": 0}, directions, (), merge_records(records))


TIMES_PS = st.integers(0, 20_000) | st.integers(0, 10**17)
MESSAGES = st.lists(
    st.tuples(st.sampled_from(["a->b", "b->a", "b->c"]), TIMES_PS, st.sampled_from([0, 1, 999, 1000, 10**4, 10**13])),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(MESSAGES, max_size=3))
def test_messages_at_random_keep_the_rules(sessions: list[list[tuple[str, int, int]]]) -> None:
    results = [
        session(f"s{index}", [
            Record(direction, number, "copies", sent_ps, sent_ps + ps, 3, 3, 3, 0, 0, 3)
            for number, (direction, sent_ps, ps) in enumerate(messages)
        ])
        for index, messages in enumerate(sessions)
    ]  # fmt: skip
    check(traced(results), results)


def test_a_message_is_named_by_what_it_is_and_a_track_by_where_it_leads() -> None:
    records = [
        Record("a->b", 0, "copies", 0, 9_000_000, 15_549, 1, 1, 0, 0, 0),
        Record("a->b", 1, "copies", 1_000_000, 10_000_000, 7, 1, 1, 0, 0, 0),
        Record("a->b", 2, "answers", 9_500_000, 12_000_000, 0, 0, 0, 0, 8, 0),
    ]
    events = traced([session("echo", records)])
    named = {e["args"]["name"]: (e["pid"], e["tid"]) for e in events if e["ph"] == "M"}
    assert set(named) == {
        "echo (quantum): a", "echo (quantum): b", "echo (quantum): c", "to b", "to b (2)", "from a"
    }  # fmt: skip
    at = {e["name"]: (e["pid"], e["tid"], e["ts"], e["dur"]) for e in events if e["ph"] == "X" and "args" in e}
    assert at == {
        "a->b, 15,549 copies": (*named["to b"], 0.0, 9.0),
        "a->b, 7 copies": (*named["to b (2)"], 1.0, 9.0),
        "a->b, answers 2": (*named["to b"], 9.5, 2.5),
    }
