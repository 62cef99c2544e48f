"""What tests have counted is printed below their results, also by several workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ketwire import modules


@pytest.fixture(autouse=True)
def unsettled() -> Iterator[None]:
    """No test takes modules from the folder of a scenario that an earlier one loaded."""
    yield
    modules.settle(None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    told = [
        (report.nodeid.rpartition("/")[2], value)
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "counts"
    ]
    if told:
        terminalreporter.section("counts")
    for test, value in told:
        terminalreporter.write_line(f"{test}: {value}")
