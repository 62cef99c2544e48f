"""How notebooks show scenarios and results: small tables in HTML, without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ketwire.scenarios.reports.elements import element, lines, table
from ketwire.scenarios.reports.network import link_text

if TYPE_CHECKING:
    from ketwire.scenarios.schema.model import Scenario

HEADS = ("", "qubits sent", "ebits", "payload bits", "control bits", "virtual time", "estimate or accuracy")
PS_PER_US = 1_000_000


def scenario_html(summary: str, scenario: Scenario) -> str:
    """A scenario's summary and a row for each link."""
    rows = [(" - ".join(link.between), link_text(link).replace("\n", ", ")) for link in scenario.links]
    return element("p", summary) + table(("link", "length and transport"), rows)


def result_html(result: Mapping[str, Any]) -> str:
    """A row for the protocol and one for each rival, and who wins."""
    rows = [_row(name, told) for name, told in {"quantum": result, **result["rivals"]}.items()]
    head = f"{result['scenario']} ({result['protocol']}), seed {result['seed']}"
    return element("p", head) + table(HEADS, rows) + element("p", lines(result["verdict"]))


def _row(name: str, told: Mapping[str, Any]) -> tuple[str, ...]:
    found = next((told[key] for key in ("test_accuracy", "accuracy", "estimate") if told.get(key) is not None), None)
    shown = f"{found:.4g}" if isinstance(found, int | float) else "" if found is None else f"{len(found)} numbers"
    counts = (told[key] for key in ("qubits_sent", "ebits", "payload_bits", "control_bits"))
    return (name, *(f"{count:,}" for count in counts), f"{told['virtual_time_ps'] / PS_PER_US:,.3f} us", shown)
