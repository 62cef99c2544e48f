"""Freed memory stays with the process: batches come and go, and new pages would be cleared each time."""

from __future__ import annotations

import ctypes
from functools import cache

_LARGEST = 1 << 25  # octets of a block that is used again, the most that glibc takes; larger ones go back when freed
_KEPT = 1 << 27  # octets that are kept free at most
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as glibc numbers them


@cache
def keep_freed_memory() -> None:
    """Tell the allocator, where it is glibc's, to use freed memory again rather than hand it back at once."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, _KEPT)
