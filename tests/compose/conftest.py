"""The image that all tests in containers run."""

from __future__ import annotations

import pytest

from tests.compose.engine import IMAGE, absent, build


@pytest.fixture(scope="session")
def image() -> str:
    if (why := absent()) is not None:
        pytest.skip(f"needs a Docker engine: {why}")
    build(IMAGE)
    return IMAGE
