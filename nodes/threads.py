"""One BLAS thread: with another number BLAS sums in another order, and processes have one each."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> Any:
    """A context in which every BLAS library that is loaded has one thread."""
    return _controller(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _controller(modules: int) -> Any:
    """Finding the libraries takes longer than a small run; another one may have come with a module since."""
    return ThreadpoolController()
