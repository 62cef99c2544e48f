"""What tests have counted is printed below their results, also by several workers."""

from __future__ import annotations

from typing import Any


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
