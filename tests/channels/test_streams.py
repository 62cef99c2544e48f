"""Random streams: named, so that no schedule disturbs them; apart, so that nobody foretells another."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ketwire.channels.streams import derive_key, stream
from ketwire.nodes.party import PartyNode
from ketwire.nodes.session import data_key, direction_key, party_key

KEY = bytes(range(32))
Name = tuple[str, int]
NAMES = list(itertools.product(["loss", "flag", "outcome", "los", ""], [0, 1, 2, 1 << 40]))


def numbers(key: bytes, name: Name) -> list[int]:
    return stream(key, *name).integers(0, 1 << 62, 4).tolist()  # type: ignore[no-any-return]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.permutations(NAMES), st.integers(0, 5))
def test_draws_do_not_depend_on_what_else_was_drawn(order: list[Name], extra: int) -> None:
    drawn = {}
    for name in order:
        generator = stream(KEY, *name)
        drawn[name] = generator.integers(0, 1 << 62, 4).tolist()
        generator.random(extra)
    assert drawn == {name: numbers(KEY, name) for name in NAMES}


def test_every_name_and_every_key_has_numbers_of_its_own() -> None:
    keys = [KEY, bytes(32), KEY[::-1], bytes([KEY[0] ^ 1, *KEY[1:]]), bytes([*KEY[:-1], KEY[-1] ^ 128])]
    firsts = [number for key in keys for name in NAMES for number in numbers(key, name)]
    assert len(set(firsts)) == len(keys) * len(NAMES) * 4


def all_keys(seed: int) -> dict[tuple[str, ...], bytes]:
    parties, sessions = ("alice", "bob", "a", "ali", "ce-bob"), ("s0", "s1", "inference")
    keys: dict[tuple[str, ...], bytes] = {("data", party): data_key(seed, party) for party in parties}
    for session, party in itertools.product(sessions, parties):
        keys["party", session, party] = party_key(seed, session, party)
    for session, (one, other) in itertools.product(sessions, itertools.permutations(parties, 2)):
        keys["fiber", session, one, other] = direction_key(seed, session, one, other)
    return keys


def test_owners_sessions_seeds_and_directions_have_keys_of_their_own() -> None:
    """One-way: keys differ in about half of their bits, also where names and seeds hardly differ."""
    seeds = (0, 1, 10, 11, -1, 1 << 64)
    keys = [key for seed in seeds for key in all_keys(seed).values()]
    assert {len(key) for key in keys} == {32}
    assert len({key[:8] for key in keys}) == len({key[-8:] for key in keys}) == len(keys)
    bits = np.unpackbits(np.frombuffer(b"".join(keys), dtype=np.uint8)).reshape(len(keys), 256)
    signs = 1 - 2 * bits.astype(np.int64)
    differ = (256 - signs @ signs.T) // 2
    pairs = differ[np.triu_indices(len(keys), 1)]
    # Binomial(256, 1/2): the chance of one pair below 70 is about 1e-13, and there are some 10^5.
    assert pairs.min() > 70 and abs(pairs.mean() - 128) < 0.2


def test_names_cannot_be_cut_elsewhere() -> None:
    assert derive_key(1, "ab", "c") != derive_key(1, "a", "bc") != derive_key(1, "abc")
    assert derive_key(1, "", "a") != derive_key(1, "a", "") != derive_key(1, "a")
    assert derive_key(1, "1") != derive_key(11)


def test_the_data_of_a_party_are_the_same_in_every_session_and_its_outcomes_are_not() -> None:
    assert data_key(3, "alice") == data_key(3, "alice")
    assert party_key(3, "a", "alice") != party_key(3, "b", "alice")


def test_the_two_directions_of_a_link_share_nothing() -> None:
    there, back = (direction_key(5, "s", *ends) for ends in (("alice", "bob"), ("bob", "alice")))
    one = stream(there, "loss").random(20_000)
    other = stream(back, "loss").random(20_000)
    assert not set(one.tolist()) & set(other.tolist())
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(20_000)


def test_streams_are_uniform_across_their_numbers() -> None:
    """The first draws of 5,000 consecutive streams, as independent as the draws of one."""
    firsts = np.array([stream(KEY, "outcome", number).random() for number in range(5000)])
    assert stats.kstest(firsts, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(firsts[1:], firsts[:-1])[0, 1]) < 4 / np.sqrt(5000)


def test_a_node_numbers_its_streams_by_purpose() -> None:
    node = PartyNode("alice", KEY, {})
    drawn = [node.random(purpose).integers(0, 1 << 62, 4).tolist() for purpose in ("a", "b", "a", "a")]
    assert drawn == [numbers(KEY, name) for name in (("a", 0), ("b", 0), ("a", 1), ("a", 2))]
