"""What crosses in a training: registers, arrivals, outer derivatives, copies announced, stop bits; nothing else."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ketwire.channels.wire.codec import SIGNATURE
from ketwire.channels.wire.frames import Command
from ketwire.protocols.gradient import features
from ketwire.protocols.numbers import pack_numbers
from ketwire.protocols.training.holding import Holding
from ketwire.scenarios.kinds.training.spec import TrainingSpec
from tests.kit import Threads, recording
from tests.scenarios.kinds.training.test_kind import ANGLES, LOSSY, ROWS, SAMPLED, TESTS, network, run_of, spec_of

Floats = NDArray[np.float64]
Frames = list[tuple[str, list[bytes]]]
TELLING = (Command.PACKED, Command.ANSWERS)
FIELDS = struct.Struct("<qIB")  # time, count, bits: how both bodies begin


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Floats]]:
    """Angles, gradients and single estimates, put down by whoever has them while a training runs."""
    found: dict[str, list[Floats]] = {"angles": [], "gradients": [], "estimates": []}
    moved: Callable[..., None] = Holding.move
    read: Callable[..., Any] = features.FeatureStage.read

    def move(self: Holding, visit: int, gradient: Floats) -> None:
        moved(self, visit, gradient)
        found["angles"].append(self.parameters(visit).copy())
        found["gradients"].append(gradient.copy())

    def reading(*args: Any) -> Any:
        estimate = read(*args)
        found["estimates"] += [*estimate.values, *estimate.values.T]
        return estimate

    monkeypatch.setattr(Holding, "move", move)
    monkeypatch.setattr(features.FeatureStage, "read", reading)
    return found


def private(folder: Path, owners: str = "aba", **changed: Any) -> TrainingSpec:
    """A training whose angles and rows are in files, so that not even a slice says them."""
    folder.joinpath("data").mkdir()
    arrays = {"train": ROWS, "test": TESTS, **{f"angles{index}": part for index, part in enumerate(ANGLES)}}
    for name, array in arrays.items():
        np.save(folder / "data" / f"{name}.npy", array)
    source = {name: {"path": f"data/{name}.npy"} for name in arrays}
    return spec_of(
        **{
            **SAMPLED,
            "loss_copies": 101,  # so that slopes are no small multiples of each other
            "copies": 22,  # eleven for either block: estimates in elevenths are no accuracy or other round number
            "data": {"train": source["train"], "test": source["test"]},
            "layers": [
                {"at": at, "layer": "rotations", "entangle": "cz-chain", "angles": source[f"angles{index}"]}
                for index, at in enumerate(owners)
            ],
            **changed,
        }
    )


def rows_in_every_form() -> list[Floats]:
    """As they are encoded: less the mean, over the spread, with the constant, and with norm one."""
    told: list[Floats] = []
    for rows in (ROWS, TESTS):
        scaled = (rows - ROWS.mean(axis=0)) / ROWS.std(axis=0)
        wide = np.column_stack([scaled, np.ones(len(rows))])
        told += [*rows, *scaled, *wide, *(wide / np.linalg.norm(wide, axis=1)[:, None])]
    return told


def encodings(vector: Floats) -> Iterator[bytes]:
    """A vector in every form that it might be said in; shorter forms only where they are no chance hit."""
    for kind in ("<f8", ">f8"):
        if len(vector) > 1:
            yield vector.astype(kind).tobytes()
        for number in vector:
            # Round numbers, 0.5 or -0.25, are in a frame for other reasons too.
            if np.float64(np.float32(number)) != number:
                yield np.array(number, dtype=kind).tobytes()
                yield f"{number:.8g}".encode()
    if len(vector) > 2 and len(set(np.abs(vector))) > 2:
        for kind in ("<f4", ">f4"):
            yield vector.astype(kind).tobytes()
        yield from (pack_numbers(vector, bits).codes.tobytes() for bits in (16, 20, 32))


def body(frames: list[bytes]) -> list[bytes]:
    """A message without the routing frame that a ROUTER puts before it."""
    return frames if frames[0].startswith(SIGNATURE) else frames[1:]


def tells(recorded: Frames, vectors: list[Floats]) -> int:
    """How many of the vectors are said, whole or in part, in frames other than those of registers."""
    said = b"\0".join(b"\0".join(frames) for _, frames in recorded if body(frames)[0][5] != Command.COPIES)
    return sum(any(form in said for form in encodings(vector) if len(form) > 5) for vector in vectors)


def recorded_run(monkeypatch: pytest.MonkeyPatch, folder: Path, spec: TrainingSpec, session: int) -> Frames:
    """Every frame that any party, fiber or coordinator sends in one session of a training."""
    run = run_of(spec, replace(network(LOSSY), base=str(folder)))
    recorded = recording(monkeypatch)
    Threads(replace(run, sessions=(run.sessions[session],)), str(folder)).conduct()
    assert {sender for sender, _ in recorded} >= {"a", "b", "a-b"}
    return recorded


def test_a_training_tells_no_angle_row_gradient_or_estimate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secrets: dict[str, list[Floats]]
) -> None:
    recorded = recorded_run(monkeypatch, tmp_path, private(tmp_path, steps=3), 0)
    assert len(secrets["gradients"]) == 3 * 3 and len(secrets["estimates"]) == 3 * (6 + 3 + 6) + 9 * 4
    secrets["angles"] += list(ANGLES)
    secrets["rows"] = rows_in_every_form()
    assert {name: tells(recorded, vectors) for name, vectors in secrets.items()} == dict.fromkeys(secrets, 0)


def test_what_is_told_is_slopes_copies_and_stop_bits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three steps of three visits, each step announced, one validation; receipts and arrivals are not data."""
    recorded = recorded_run(monkeypatch, tmp_path, private(tmp_path, steps=3), 0)
    told = [(sender, body(frames)) for sender, frames in recorded if sender in "ab"]
    told = [(sender, frames) for sender, frames in told if frames[0][5] in TELLING]
    widths = [(sender, frames[0][5], *FIELDS.unpack_from(frames[1])[1:]) for sender, frames in told]
    outer = [("a", Command.PACKED, samples, 16) for samples in (6, 3, 6)]  # 16 bits each; nine rows are trained on
    copies = [(sender, Command.ANSWERS, 1, 32) for sender in "aba"] * 3
    assert sorted(widths) == sorted([*outer, *copies, ("a", Command.ANSWERS, 1, 2)])


def test_the_same_search_finds_what_a_rival_sends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Raw data at full width: rows as they are standardised, and nobody's angles."""
    spec = private(tmp_path, "abb", steps=1, rivals={"backprop": [], "raw": [64], "description": []})
    recorded = recorded_run(monkeypatch, tmp_path, spec, 1)
    assert tells(recorded, list(ROWS)) == 0
    assert tells(recorded, rows_in_every_form()) >= 17
    assert tells(recorded, list(ANGLES)) == 0
