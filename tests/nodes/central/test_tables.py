"""Products with the rows of training, whole and sparse, beside numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (the extra gnn)")
pytestmark = pytest.mark.gnn


@pytest.mark.parametrize("density", [0.05, 0.6])
def test_products_are_those_of_numpy(density: float) -> None:
    from ketwire.nodes.central.tables import DenseTable, SparseTable, table_of

    random = np.random.default_rng(3)
    values = random.normal(size=(40, 7)) * (random.random((40, 7)) < density)
    centre, picks = random.normal(size=7), random.integers(0, 40, (3, 5))
    table = table_of(values, centre)
    assert isinstance(table, SparseTable if density < 0.1 else DenseTable)
    picked, wanted = table.pick(picks), (values - centre)[picks]
    weight, grad = (random.normal(size=shape).astype(np.float32) for shape in ((3, 7, 4), (3, 5, 4)))
    learnt: Any = torch.from_numpy(weight).requires_grad_()
    assert np.allclose(picked.times(learnt).detach().numpy(), wanted @ weight, atol=1e-5)
    found = picked.along(torch.from_numpy(grad)).numpy()
    assert np.allclose(found, wanted.transpose(0, 2, 1) @ grad, atol=1e-5)


def test_no_rows_make_products_of_no_rows() -> None:
    from ketwire.nodes.central.tables import table_of

    for values in (np.eye(12), np.ones((12, 12))):
        picked = table_of(values, np.zeros(12)).pick(np.zeros((2, 0), np.int64))
        assert picked.times(torch.ones(2, 12, 3)).shape == (2, 0, 3)
        assert not picked.along(torch.zeros(2, 0, 3)).any()
