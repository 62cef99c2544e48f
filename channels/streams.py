"""Random streams that no schedule can disturb.

Every draw comes from a Philox generator named by (key of its owner, purpose, sequence number). The
name alone fixes the numbers, so it does not matter who ran first, in which process, or how often
something else was drawn. A party holds its own key, derived from the seed by a one-way function,
never the seed; so it can foretell nobody else's outcomes.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive_key(seed: int, *names: str) -> bytes:
    """The 32-octet key of one owner: SHA-256 of the seed and the owner's names."""
    digest = hashlib.sha256(f"ketwire/1/{seed}".encode())
    for name in names:
        digest.update(len(name.encode()).to_bytes(4, "little") + name.encode())
    return digest.digest()


def stream(key: bytes, purpose: str, number: int = 0) -> np.random.Generator:
    """The generator named (key, purpose, number)."""
    named = hashlib.sha256(key + number.to_bytes(8, "little") + purpose.encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(named[:16], "little")))
