"""Small JSON files that carry their own digest: their last key is the SHA-256 of the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ketwire.nodes.checkpoints.archive import VERSION, Broken, read, sha256

MAX_OCTETS = 1 << 20


def seal(value: Mapping[str, Any]) -> bytes:
    """A JSON object and its seal, as the octets of a file."""
    whole = {"version": VERSION, **value}
    digest = sha256(json.dumps(whole, sort_keys=True).encode())
    return json.dumps({**whole, "seal": digest}, sort_keys=True).encode() + b"\n"


def unseal(path: Path, types: Mapping[str, type]) -> dict[str, Any]:
    """The JSON object at `path`, with just these keys, each of its type.

    Raises:
        Broken: it is missing, of another format, or not as it was written.
    """
    octets = read(path, MAX_OCTETS)
    try:
        value = json.loads(octets)
        version = value.pop("version")
        value.pop("seal")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise Broken(f"{path}: no JSON with version and seal, expected a file as it was written") from None
    if version != VERSION:
        told = "go on with the ketwire that wrote it, or run the scenario again into a new folder"
        raise Broken(f"{path}: format {version!r} given, expected {VERSION}; {told}")
    if octets != seal(value):
        raise Broken(f"{path}: differs from its seal, expected a file as it was written")
    if value.keys() != types.keys() or any(type(value[key]) is not types[key] for key in types):
        raise Broken(f"{path}: other keys than {', '.join(types)}, expected a file of a checkpoint")
    return dict(value)
