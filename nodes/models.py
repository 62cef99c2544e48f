"""Trained models as their owners keep them: the angles of one party's layers in a file that it alone reads.

    RUN/models/NAME.npz     of a run with a folder, 0600; a party started by hand writes where `--model` says

An archive (`ketwire.nodes.checkpoints.archive`) of its own format. Its values: owner, training (SHA-256 of what was
trained: the protocol, its seeds and the network), and for each layer by its number how it looks (its keys without
angles, and the register's qubits). Its arrays: the angles of each layer in radians, by the same numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import PartyFailed, ScenarioError
from ketwire.nodes.checkpoints.archive import Broken, Content, Format, pack, read, unpack, write
from ketwire.protocols.node import State

MODELS = "models"
FORMAT = Format("ketwire-model", 1)
MAX_OCTETS = 1 << 26


def write_model(path: Path, owner: str, model: State) -> None:
    """Keep what a party has trained.

    Raises:
        PartyFailed: it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write(path, pack({"owner": owner, **model.values}, model.arrays, FORMAT))
    except OSError as error:
        told = f"model: {path}: {error.strerror or error}; expected a folder with room for it"
        raise PartyFailed(owner, told) from None


def model_file(trained: str, owner: str) -> Path:
    """Where a party's model is: a file is one itself, a folder is that of a run."""
    path = Path(trained)
    return path if path.suffix == ".npz" else path / MODELS / f"{owner}.npz"


def model_files(trained: str) -> list[Path]:
    """All models that a run has kept, or the one that a file is, in the order of their names."""
    path = Path(trained)
    return [path] if path.suffix == ".npz" else sorted((path / MODELS).glob("*.npz"))


def read_layer(where: str, trained: str, owner: str, layer: int) -> dict[str, NDArray[Any]]:
    """The angles of one layer of a model, how it looks, and of which training it is.

    Args:
        where: the scenario's key, for errors.
        trained: the folder of a run, or a file.
        owner: who reads; it must be who trained.
        layer: its number in the training's list of layers.

    Returns:
        values: radians, float64, shape (angles,); looks: JSON as octets; training: uint8, shape (32,).

    Raises:
        ScenarioError: there is no such model, or it is another party's.
    """
    path = model_file(trained, owner)
    try:
        values, arrays = _of(unpack(read(path, MAX_OCTETS), FORMAT))
    except Broken as error:
        raise ScenarioError(f"{where}: {str(error).replace('a file of a checkpoint', _EXPECTED)}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise ScenarioError(f"{where}: {path}: {error}, expected {_EXPECTED}") from None
    if values["owner"] != owner:
        raise ScenarioError(f"{where}: {path}: trained by {values['owner']}, expected a model of {owner}")
    name = str(layer)
    if name not in arrays:
        known = ", ".join(arrays)
        raise ScenarioError(f"{where}: {path}: no layer {layer}, expected one with angles of {owner}: {known}")
    looks = json.dumps(values["layers"][name], sort_keys=True).encode()
    training = np.frombuffer(bytes.fromhex(values["training"]), np.uint8)
    return {"values": arrays[name], "looks": np.frombuffer(looks, np.uint8), "training": training}


_EXPECTED = "a model that a training has kept"


def _of(content: Content) -> Content:
    """A model's content.

    Raises:
        ValueError: it does not hold what a model does.
    """
    values, arrays = content
    named = values.keys() == {"owner", "training", "layers"} and values["layers"].keys() == arrays.keys()
    if not named or len(bytes.fromhex(values["training"])) != 32:
        raise ValueError("a head without owner, training and layers")
    for angles in arrays.values():
        if angles.dtype != np.float64 or angles.ndim != 1 or not np.isfinite(angles).all():
            raise ValueError("angles that are no list of finite numbers")
    return content
