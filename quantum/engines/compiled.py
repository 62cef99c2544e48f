"""Compiling with numba, and keeping the machine code for the next process (imported only by `fused`)."""

import os
from typing import Any

from numba import njit
from numba.core import caching

_caching: Any = caching
_Given: Any = getattr(caching, "UserProvidedCacheLocator", None) or _caching._UserProvidedCacheLocator  # its older name


def jit(function: Any) -> Any:
    """Compile; the code comes from the cache and goes there, as far as there is one that can be read or written."""
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba finds no folder that it may write
        made: Any = njit(nogil=True, error_model="numpy")(function)
    try:
        made._cache = _Kept(function)
    except RuntimeError:  # nor one to read: each process compiles again
        return made
    return made


class _Locator(_Given):  # type: ignore[misc]
    """NUMBA_CACHE_DIR as it is, on a file system that may be mounted read-only."""

    def ensure_cache_path(self) -> None:
        """Raises:
        FileNotFoundError: nothing is kept there for this module.
        """
        os.stat(self.get_cache_path())


class _Implementation(_caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]  # noqa: RUF012 (as numba has it)


class _Kept(_caching.FunctionCache):  # type: ignore[misc]
    """A cache that is only read."""

    _impl_class = _Implementation

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep nothing."""
