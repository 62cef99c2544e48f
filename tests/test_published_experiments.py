"""Published experiments: ketwire equals hand models, and rows of the classes A, B and C keep their rules.

What results say of how links make pairs comes of descriptions (`channels.planning.making`), so no row needs a run for
that; teleported states do.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import pytest

from ketwire.channels.planning.making import Making, making
from ketwire.channels.transports import Teleport
from ketwire.scenarios.api import run
from ketwire.scenarios.kinds.result import Noisy
from ketwire.scenarios.load import Loaded, validate
from ketwire.scenarios.studies.axes import grid
from ketwire.scenarios.studies.files import read_file
from tests.experiments import HANDS

NAME = "published-experiments"
FIELDS = {"hz": "pairs.alice-bob.pairs_hz", "F": "pairs.alice-bob.fidelity"}


class Row(NamedTuple):
    facts: dict[str, Any]
    loaded: Loaded


@cache
def rows() -> dict[str, Row]:
    given = read_file(NAME)
    spanned, found = grid(given.study.axes, NAME), {}
    for cell in spanned.cells:
        facts = dict(zip(spanned.names, cell.labels, strict=True))
        found[str(facts["experiment"])] = Row(facts, validate(*given.base.finished(cell.changes)))
    return found


@cache
def made(name: str) -> Making | None:
    """How the link between alice and bob makes its pairs; None where repeaters do."""
    line = rows()[name].loaded.run().links[-1].forward
    return making(line) if isinstance(line.transport, Teleport) else None


def published(text: str) -> tuple[float, float] | None:
    """A value and its standard deviation, 0 where none is given: 0.60(2), 39, 0.882(+23-60); None for a dash."""
    if text == "-":
        return None
    value, *errors = re.findall(r"[\d.]+", text)
    digits = len(value.partition(".")[2])
    return float(value), max(map(float, errors), default=0.0) / 10**digits


def test_every_row_has_a_hand_model() -> None:
    assert set(rows()) == set(HANDS)
    assert all(re.fullmatch("[-ABCD] [-ABCD]", row.facts["class"]) for row in rows().values())
    assert all(row.facts[name] for row in rows().values() for name in ("read", "formula", "gap"))


@pytest.mark.parametrize("name", HANDS)
def test_ketwire_equals_the_hand_model(name: str) -> None:
    hand, facts, ours = HANDS[name], rows()[name].facts, made(name)
    for told, value in ((facts["hand_hz"], hand.hz), (facts["hand_F"], hand.state)):
        assert (told == "-") == (value is None)
        assert value is None or float(told) == float(f"{value:.4g}")
    if ours is not None and hand.hz is not None:
        assert ours.pairs_hz == pytest.approx(hand.hz, rel=1e-6)
    if facts["of"] == "pair":
        assert ours is not None and ours.fidelity == pytest.approx(hand.state, abs=1e-9)
        return
    found = teleported(name)
    # Light takes time between the nodes, which hand models leave out.
    slack = 1e-9 if found.standard_error == 0.0 else 4.5 * found.standard_error + 5e-4
    assert hand.state is not None and abs(found.expectation - expectation(name, hand.state)) <= slack


@cache
def teleported(name: str) -> Noisy:
    """How likely states come out right that are teleported through the pairs of a row."""
    told = rows()[name].loaded.scenario.model_dump(mode="json")
    result = run(told, {"protocol.copies": 60}, check=True)
    assert result.noisy is not None
    return result.noisy


def expectation(name: str, fidelity: float) -> float:
    """The same for a fidelity of what the row says it is of."""
    return fidelity if rows()[name].facts["of"] == "state" else (2 * fidelity + 1) / 3


def bounds(name: str, what: str) -> tuple[float | None, float | None]:
    """Within which a row's class says that ours must be."""
    facts = rows()[name].facts
    place, column = {"hz": (0, "published_hz"), "F": (2, "published_F")}[what]
    of, told = facts["class"][place], published(facts[column])
    if told is None or of not in "BC":
        return None, None
    value, sigma = told
    if of == "C":
        return value - 2 * sigma, None  # "> 0.5" is a bound itself
    if sigma == 0.0:
        return 0.9 * value, 1.1 * value
    combined = (sigma**2 + HANDS[name].sigma ** 2) ** 0.5
    return value - 2 * combined, value + 2 * combined


@pytest.mark.parametrize("name", HANDS)
def test_rows_keep_the_rule_of_their_class_and_the_study_expects_it(name: str) -> None:
    expected = [
        (each.field, *each.comparison) for each in read_file(NAME).study.expect if each.at == {"experiment": name}
    ]
    ruled = 0
    for what, field in FIELDS.items():
        for comparison, bound in zip(("at_least", "at_most"), bounds(name, what), strict=True):
            if bound is None:
                continue
            ruled += 1
            if what == "F" and rows()[name].facts["of"] != "pair":
                of, most, found = "noisy.expectation", expectation(name, bound), teleported(name).expectation
            else:
                ours, of, most = made(name), field, bound
                assert ours is not None
                found = {"hz": ours.pairs_hz, "F": ours.fidelity}[what]
            assert found >= most if comparison == "at_least" else found <= most
            (told,) = [each[2] for each in expected if each[:2] == (of, comparison)]
            assert told == pytest.approx(most, rel=1e-2)
    assert len(expected) == ruled
