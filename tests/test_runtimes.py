"""The two runtimes give the same transcript, name deadlocks alike, and hold no-cloning."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ketwire.errors import Deadlock, KetwireError, LocalProtocolError, RemoteProtocolError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Run, SessionResult
from tests.kit import LOOK, TELECOM, Threads, parallel, receive, scripted, send
from tests.programs import SpyParty

PARTIES = ("alice", "bob", "carol")
RUNTIMES = [run_inline, run_processes]


@st.composite
def random_runs(draw: Any) -> Run:
    """Two or three parties and a list of messages between linked ones, in an order that can be kept.

    The scripts are the list, cut by party, so no deadlock is possible; the runtimes are free to
    interleave them in any other way.
    """
    parties = PARTIES[: draw(st.integers(2, 3))]
    links = list(itertools.combinations(parties, 2))
    events = draw(
        st.lists(
            st.tuples(
                st.sampled_from(links),
                st.booleans(),
                st.sampled_from(["copies", "packed", "answers", "arrivals"]),
                st.integers(1, 40),
                st.booleans(),
            ),
            max_size=12,
        )
    )
    scripts: dict[str, list[dict[str, Any]]] = {party: [] for party in parties}
    for (a, b), swapped, what, size, extra in events:
        sender, receiver = (b, a) if swapped else (a, b)
        scripts[sender].append(send(receiver, what, size, qubits=1 + size % 4))
        if extra:
            scripts[sender].append(LOOK)
        scripts[receiver].append(receive(sender, what, keep=extra))
    physics = replace(TELECOM, length_km=draw(st.sampled_from([0.0, 0.5, 7.0])))
    credit = draw(st.sampled_from([1 << 28, 600]))
    run = scripted(
        scripts, links, physics, seed=draw(st.integers(0, 1 << 40)), credit_octets=credit,
        sessions=draw(st.integers(1, 2)),
    )  # fmt: skip
    return parallel(run) if draw(st.booleans()) else run


def facts(results: list[SessionResult]) -> list[Any]:
    """All that must be equal between two runs of the same scenario, amplitudes aside."""
    return [
        (
            result.transcript_sha256,
            result.chains,
            result.directions,
            result.clocks_ps,
            {party: (told.seen, told.clock, told.again.tolist()) for party, told in result.outcomes.items()},
        )
        for result in results
    ]


def reordered(run: Run) -> Run:
    """The same run, its parties served in the opposite order."""
    sessions = tuple(
        replace(session, slices=dict(reversed(list(session.slices.items())))) for session in run.sessions
    )
    return replace(run, parties=run.parties[::-1], links=run.links[::-1], sessions=sessions)


def run_or_error(runtime: Any, run: Run) -> Any:
    try:
        return facts(runtime(run))
    except KetwireError as error:
        return type(error).__name__, str(error)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(random_runs())
def test_the_order_of_scheduling_changes_nothing(run: Run) -> None:
    assert run_or_error(run_inline, run) == run_or_error(run_inline, reordered(run))


def run_threads(run: Run) -> list[SessionResult]:
    return Threads(run).conduct()


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(random_runs())
def test_sockets_give_the_transcript_of_the_inline_runtime(run: Run) -> None:
    assert run_or_error(run_threads, run) == run_or_error(run_inline, run)


@settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(random_runs())
def test_processes_give_the_transcript_of_the_inline_runtime(run: Run) -> None:
    assert run_or_error(run_processes, run) == run_or_error(run_inline, run)


@pytest.mark.long
@settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(random_runs())
def test_processes_give_the_transcript_of_the_inline_runtime_often(run: Run) -> None:
    assert run_or_error(run_processes, run) == run_or_error(run_inline, run)


def test_another_seed_gives_another_transcript() -> None:
    scripts = {"alice": [send("bob", "copies", 50)], "bob": [receive("alice", "copies")]}
    hashes = {run_inline(scripted(scripts, seed=seed))[0].transcript_sha256 for seed in range(20)}
    assert len(hashes) == 20


def test_sessions_are_independent_of_each_other() -> None:
    """The second session has clocks and streams of its own: not a continuation, not a repetition."""
    scripts = {"alice": [send("bob", "copies", 50)], "bob": [receive("alice", "copies")]}
    first, second = run_inline(scripted(scripts, sessions=2))
    alone = run_inline(scripted(scripts, sessions=1))[0]
    assert first.transcript_sha256 == alone.transcript_sha256 != second.transcript_sha256
    # 75 copies of two qubits in bins of 40 ns, then 2 km at 2e5 km/s.
    assert first.virtual_time_ps <= 75 * 2 * 40_000 + 10_000_000


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_deadlock_says_who_waits_for_whom(runtime: Any) -> None:
    scripts = {
        "alice": [receive("bob", "answers")],
        "bob": [receive("carol", "packed")],
        "carol": [send("alice", "packed"), receive("alice", "arrivals")],
    }
    links = (("alice", "bob"), ("bob", "carol"), ("alice", "carol"))
    with pytest.raises(Deadlock) as caught:
        runtime(scripted(scripts, links))
    assert caught.value.waits == {
        "alice": "Answers from bob",
        "bob": "Packed from carol",
        "carol": "Arrivals from alice",
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_waiting_for_one_who_has_finished_is_a_deadlock(runtime: Any) -> None:
    scripts = {"alice": [receive("bob", "answers")], "bob": []}
    with pytest.raises(Deadlock, match="alice waits for Answers from bob, who has finished"):
        runtime(scripted(scripts))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_credits_bound_what_is_unread(runtime: Any) -> None:
    """Two that only send fill each other's credit and stand; one that reads in between runs on."""
    flood = [send("bob", "answers", 100)] * 3
    stuck = {"alice": flood, "bob": [send("alice", "answers", 100)] * 3 + [receive("alice", "answers")] * 3}
    with pytest.raises(Deadlock, match="alice waits for room to send to bob, who does not read"):
        runtime(scripted(stuck, credit_octets=1000))
    fine = {"alice": flood, "bob": [receive("alice", "answers")] * 3}
    assert facts(runtime(scripted(fine, credit_octets=1000))) == facts(run_inline(scripted(fine)))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_another_kind_of_message_is_the_sender_s_fault(runtime: Any) -> None:
    scripts = {"alice": [send("bob", "packed")], "bob": [receive("alice", "answers")]}
    with pytest.raises(RemoteProtocolError, match="alice sent Packed where bob expected Answers"):
        runtime(scripted(scripts))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("how", ["send twice", "measure twice"])
def test_a_register_cannot_be_used_twice(runtime: Any, how: str) -> None:
    run = scripted({"alice": [], "bob": []}, program="tests.programs:SpyParty")
    slices = {party: SpyParty.Slice(how) for party in run.parties}
    run = replace(run, sessions=(replace(run.sessions[0], slices=slices),))
    with pytest.raises(LocalProtocolError, match="3 copies of 2 qubits were sent, transformed or measured before"):
        runtime(run)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_there_is_no_talking_past_the_links(runtime: Any) -> None:
    scripts = {"alice": [send("carol", "packed")], "bob": [], "carol": []}
    with pytest.raises(LocalProtocolError, match="alice has no link to 'carol'"):
        runtime(scripted(scripts, (("alice", "bob"), ("bob", "carol"))))
