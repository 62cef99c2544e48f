"""Random streams that no schedule can disturb.

Every draw comes from a Philox generator named by (key of its owner, purpose, sequence number). The
name alone fixes the numbers, so it does not matter who ran first, in which process, or how often
something else was drawn. A party holds its own key, derived from the seed by a one-way function,
never the seed; so it cannot predict the outcomes of any other party.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def derive_key(seed: int, *names: str) -> bytes:
    """The 32-octet key of one owner: SHA-256 of the seed and the owner's names."""
    digest = hashlib.sha256(f"ketwire/1/{seed}".encode())
    for name in names:
        digest.update(len(name.encode()).to_bytes(4, "little") + name.encode())
    return digest.digest()


def stream(key: bytes, purpose: str, number: int = 0) -> np.random.Generator:
    """The generator named (key, purpose, number)."""
    named = hashlib.sha256(key + number.to_bytes(8, "little") + purpose.encode()).digest()
    words: Any = _Named(np.frombuffer(named, dtype="<u8", count=2))  # NumPy's stubs know no seeds but its own
    return np.random.Generator(np.random.Philox(words))


class _Named(np.random.bit_generator.ISeedSequence):
    """The key of a Philox generator as NumPy asks for it.

    The generator is that of `Philox(key=...)`, which first draws a seed from the system that it then has no use for.
    """

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        assert n_words == len(self._words) and np.dtype(dtype) == np.uint64
        return self._words.astype(np.uint64)
