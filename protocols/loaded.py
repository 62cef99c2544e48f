"""What programs make of the arrays that a loader answers with: vectors, rows of vectors, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError


def vector_of(values: NDArray[Any]) -> NDArray[Any]:
    """`values`, a table of one row or one column as the vector that it is; other shapes as they are."""
    return values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values


def rows_of(key: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Vectors, one a row, float64, shape (vectors, entries); a flat array is one vector.

    Raises:
        ScenarioError: it has more than two axes, or complex entries.
    """
    rows = np.atleast_2d(values)
    if rows.ndim != 2:
        raise ScenarioError(f"{key}: an array of shape {list(values.shape)} given, expected one vector a row")
    return np.ascontiguousarray(_real(key, rows), dtype=np.float64)


def labels_of(key: str, arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """The labels that a source has, or all that it has; a table of one row or one column is a list of them.

    Raises:
        ScenarioError: the entries are complex.
    """
    return _real(key, arrays["labels"] if "labels" in arrays else vector_of(arrays["values"]))


def _real(key: str, values: NDArray[Any]) -> NDArray[Any]:
    if np.iscomplexobj(values):
        raise ScenarioError(f"{key}: complex numbers given, expected real ones")
    return values
