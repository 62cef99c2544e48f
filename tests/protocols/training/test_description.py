"""The rival of training that sends angles and labels: what it costs, and that it trains the same model."""

from __future__ import annotations

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.protocols.training.objectives import Squared
from ketwire.scenarios.kinds.interface import Judge
from tests.scenarios.kinds.training.test_kind import KIND, LABELS, TEST_LABELS, carried_out, network, reference, spec_of

ONLY = {"backprop": [], "raw": []}


def test_at_full_width_it_takes_the_steps_of_the_reference() -> None:
    """The last party is the start party, which has the labels: Bob's four angles are all that crosses."""
    spec = spec_of(rivals={**ONLY, "description": [64, 8]})
    exact, *rivals = carried_out(spec, telling=False)
    losses, _ = reference(Squared(), [np.arange(12)] * 4, np.ones(12, dtype=bool))
    assert np.abs(rivals[0].outcomes["a"].losses - losses).max() < 1e-10
    assert rivals[0].totals.payload_bits == 4 * 64 and rivals[1].totals.payload_bits == 4 * 8
    assert 0 < np.abs(rivals[1].outcomes["a"].losses - losses).max() < 0.2
    told = KIND.summarise(spec, [exact, *rivals], Judge(network())).told()
    assert told["rivals"]["description-64-bit"]["test_accuracy"] == exact.outcomes["a"].judged["test"][1]
    assert told["rivals"]["description-8-bit"]["training_bits"] == 32


def test_labels_come_to_the_samples_and_decisions_go_back() -> None:
    """A path of two: Bob's eight angles and twelve labels to Alice, five decisions of hers back, a bit each."""
    layers = spec_of().model_dump(mode="json", exclude_none=True)["layers"]
    layers = [{**layer, "at": at} for layer, at in zip(layers, "abb", strict=True)]
    spec = spec_of(layers=layers, rivals={**ONLY, "description": [8, 64]})
    results = carried_out(spec, telling=False)
    bits = 8 * 8 + len(LABELS)
    assert results[1].totals.payload_bits == bits + len(TEST_LABELS)
    told = KIND.summarise(spec, results, Judge(network())).told()
    rival = told["rivals"]["description-8-bit"]
    assert rival["training_bits"] == bits and "description-8-bit comes to" in told["verdict"]
    # The last party knows the same labels, and the exact training the same angles.
    full = told["rivals"]["description-64-bit"]
    assert np.abs(np.subtract(full["losses"], told["losses"])).max() < 1e-10
    assert full["test_accuracy"] == told["test_accuracy"]


def test_what_holds_more_than_angles_is_not_described() -> None:
    layers = spec_of().model_dump(mode="json", exclude_none=True)["layers"]
    matrix = {"at": "b", "layer": "unitary", "matrix": {"values": np.eye(4).tolist()}}
    spec = spec_of(layers=[layers[0], matrix, layers[1], layers[2]], rivals={**ONLY, "description": [8]})
    told = r"^protocol.rivals.description: \[8\] given, expected \[\] or null, as layers.1 holds more than angles"
    with pytest.raises(ScenarioError, match=told):
        carried_out(spec, telling=False)
    spec = spec_of(layers=[layers[0], matrix, layers[1], layers[2]], rivals=ONLY)
    assert [each.name for each in KIND.sessions(spec, network())] == ["training"]
    # The start party's own stay with it.
    own = {**matrix, "at": "a"}
    spec = spec_of(layers=[own, *layers], rivals=ONLY)
    assert [each.name for each in KIND.sessions(spec, network())] == ["training", "description-8-bit"]


def test_no_party_is_told_what_another_holds() -> None:
    """Alice is told how Bob's layers look, and not one of his angles, before he sends them."""
    spec = spec_of(rivals={**ONLY, "description": [8]})
    session = KIND.sessions(spec, network())[1]
    bobs = spec.layers[1].angles.model_dump()["values"]  # type: ignore[union-attr]
    assert all(str(angle) not in repr(session.slices["a"]) for angle in bobs)
    assert "protocol.layers.1" in repr(session.slices["a"])
