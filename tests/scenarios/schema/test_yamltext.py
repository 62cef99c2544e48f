"""The strict YAML of scenario files: what it means, what it refuses, and that it round-trips."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.errors import ScenarioError
from ketwire.scenarios.schema.yamltext import dump, parse

SCALARS = [
    ("7", 7), ("-3", -3), ("0x1F", 31), ("1e7", 1e7), ("2.5E-3", 2.5e-3), (".5", 0.5), ("5.", 5.0),
    ("true", True), ("False", False), ("null", None), ("~", None), ("no", "no"), ("on", "on"),
    ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("'7'", "7"), ('"true"', "true"), (".inf", math.inf),
    ("1_000", "1_000"), ("0o17", "0o17"), ("e5", "e5"), ("+", "+"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    parsed = parse(text, "f")
    assert parsed == value and type(parsed) is type(value)


LAUGHS = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 20)
)
REFUSED = [
    ("a: 1\nb:\n  c: 1\n  c: 2\n", "f: line 4: key 'c' given twice, expected once"),
    ("1: 2", "f: line 1: key 1 given, expected a string"),
    ("null: 2", "f: line 1: key None given, expected a string"),
    ("{[1]: 2}", "f: line 1: key list given, expected a string"),
    ("a: 1\nb: *x", "f: line 2: alias *x given, expected &x before it"),
    ("a: &x [1, *x]", "f: line 1: alias *x given, expected &x before it"),
    ("a: &x {b: 1}\nc:\n  <<: *x", "f: line 3: merge key << given, expected the keys that it stands for"),
    ("a: &x [1]\nb: {*x : 1}", "f: line 2: key list given, expected a string"),
    ("a: &x b\nb: 1\n*x : 2", "f: line 3: key 'b' given twice, expected once"),
    (
        "a: &x " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 30 + "*x" + "]" * 30,
        "f: line 2: nested more than 64 levels deep, expected fewer",
    ),
    (LAUGHS, "f: line 6: alias *a4 given, expected aliases that stand for at most 1 MiB of YAML in all"),
    (
        "a: &x " + "x" * 500_000 + "\nb: [*x, *x,\n *x]",
        "f: line 3: alias *x given, expected aliases that stand for at most 1 MiB of YAML in all",
    ),
    ("a: !!python/object/apply:os.system [x]", "apply:os.system given, expected a plain value"),
    ("a: !mine 1", "f: line 1: tag !mine given, expected a plain value"),
    ("a: 1\n---\nb: 2", "f: line 2: a second document, expected one"),
    ("", "f: nothing in it, expected a YAML document"),
    ("# only a comment", "f: nothing in it, expected a YAML document"),
    ("a: [1, 2", "expected YAML"),
    ("a: b: c", "f: line 1: mapping values are not allowed in this context, expected YAML"),
    ("a: \x00", "expected YAML"),
    ("[" * 100_000, "f: line 1: nested more than 64 levels deep, expected fewer"),
    ("- " * 100_000, "f: line 1: nested more than 64 levels deep, expected fewer"),
    ("a: " + "x" * (8 << 20), "f: more than 8388608 octets given, expected at most 8 MiB of YAML"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message[:50] for _, message in REFUSED])
def test_what_is_refused_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        parse(text, "f")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_an_alias_is_a_copy_of_what_its_anchor_names() -> None:
    read = parse("a: &x {n: &y 3, m: [*y, 4]}\nb: *x\nc: [*x, &x z, *x]\n? &k d\n: *y\n", "f")
    x = {"n": 3, "m": [3, 4]}
    assert read == {"a": x, "b": x, "c": [x, "z", "z"], "d": 3}
    read["b"]["m"][0] = 7
    assert read["a"] == read["c"][0] == x


def test_a_quoted_merge_key_is_a_key() -> None:
    assert parse("'<<': 1", "f") == parse(dump({"<<": 1}), "f") == {"<<": 1}


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
    | st.sampled_from([text for text, _ in SCALARS]),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXT, below, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_what_is_dumped_is_read_back(value: Any) -> None:
    read = parse(dump(value), "f")
    assert read == value and repr(read) == repr(value)
