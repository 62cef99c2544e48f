"""What the page of a run says, section by section."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ketwire.scenarios.reports.again import command, file_stem, files_of
from ketwire.scenarios.reports.columns import MOST_ROWS, column
from ketwire.scenarios.reports.elements import data, element, lines, table
from ketwire.scenarios.reports.figures import causes, costs, critical_path, panels_of
from ketwire.scenarios.reports.intervals import found_text
from ketwire.scenarios.reports.network import draw_network, link_text, places_of
from ketwire.scenarios.reports.page import Section, copied, figure, scrolled, section, without_script
from ketwire.scenarios.reports.units import time_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ketwire.scenarios.load import Read
    from ketwire.scenarios.schema.links import Link
    from ketwire.scenarios.schema.model import Scenario

Told = Mapping[str, Any]
COST_HEADS = ("", "qubits sent", "ebits", "payload bits", "control bits", "virtual time", "result")
TIMES = (causes, critical_path)
HARDWARE = ("t1_s", "t2_s", "p_prepare", "p_gate1", "p_gate2", "p_readout")
MOST_LISTED = 200
"""Nodes and links up to which each has a row."""


def sections_of(result: Told, read: Read, ledger: tuple[list[dict[str, Any]], int] | None) -> list[Section]:
    """All sections of a run's page.

    Args:
        result: its JSON view. read: its scenario.
        ledger: its columns and the number of rows in the file (`reports.columns`).
    """
    found = [
        found_section(result),
        network_section(read.scenario),
        rivals_section(result),
        figures_section(result),
        latency_section(result),
        *ledger_sections(ledger, list(read.scenario.nodes)),
        again_section(result, read),
        details_section(result),
    ]
    return [each for each in found if each.inner]


def found_section(result: Told) -> Section:
    """The result in large letters, and who wins."""
    told = found_text(result, result.get("decisions")) or "see the figures below"
    facts = {
        "Result": told,
        "Exact value": _exact(result),
        "Baseline": _share(result.get("baseline_accuracy")),
        "Virtual time": time_text(result["virtual_time_ps"]),
        "Links idle after": time_text(result["links_idle_ps"]),
        "Copies measured": f"{result['copies']:,}",
    }
    cards = (
        element("div", element("dt", name), element("dd", value), class_="card")
        for name, value in facts.items()
        if value
    )
    failed = (
        element("p", f"After the run, {each['step']} failed: {each['message']}", class_="warning")
        for each in result.get("afterwards_failed", ())
    )
    verdict = result.get("verdict") or ""
    return section("result", "Result", element("dl", *cards), *failed, element("p", lines(verdict), class_="verdict"))


def _exact(result: Told) -> str:
    exact = result.get("exact")
    if isinstance(exact, list):
        return f"{len(exact)} values"
    return "" if exact is None else f"{exact:.5g}"


def _share(share: float | None) -> str:
    return "" if share is None else f"accuracy {share:.3f}"


def network_section(scenario: Scenario) -> Section:
    """The network as a figure, with rows for links and nodes."""
    drawn = figure("network", lambda axes: draw_network(axes, scenario), "network", _height_inches(scenario))
    links = [
        (" - ".join(link.between), link_text(link).replace("\n", ", "), _fiber(link))
        for link in scenario.links[:MOST_LISTED]
    ]
    nodes = [(name, _hardware(node)) for name, node in list(scenario.nodes.items())[:MOST_LISTED]]
    tables = (
        scrolled(table(("link", "length and transport", "fiber"), links)),
        scrolled(table(("node", "hardware"), nodes)),
    )
    left = max(len(scenario.links), len(scenario.nodes)) - MOST_LISTED
    return section(
        "network",
        "Network",
        element("div", drawn, element("div", *tables), class_="beside"),
        element("p", f"The first {MOST_LISTED} are listed.") if left > 0 else "",
    )


def _fiber(link: Link) -> str:
    """The preset, and who listens in."""
    return link.fiber if link.eve is None else f"{link.fiber}, eavesdropper ({link.eve.attack})"


def _height_inches(scenario: Scenario) -> float:
    """A chain is flat."""
    flat = len({y for _, y in places_of(scenario).values()}) == 1
    return 3.4 if not flat else 2.2 if any(link.via is not None for link in scenario.links) else 1.3


def _hardware(node: Any) -> str:
    """What a node's hardware is called, and what of it is not ideal."""
    numbers = {key: getattr(node, key, None) for key in HARDWARE}
    told = (f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in numbers.items()
            if value)  # fmt: skip
    return ", ".join([str(getattr(node, "hardware", "ideal")), *told])


def rivals_section(result: Told) -> Section:
    """The protocol and each rival: what they sent, how long it took, what they found."""
    decisions = result.get("decisions")
    quantum = [each for each in result["sessions"] if each["role"] == "quantum"]
    several = len(quantum) > 1
    found = result.get("estimators") or {}
    parts = {each["name"]: {**found.get(each["name"], {}), **each, "copies": 0} for each in quantum * several}
    told = {**parts, "quantum, all" if several else "quantum": result, **result["rivals"]}
    rows = [_cost_row(name, each, decisions) for name, each in told.items()]
    drawn = figure("costs", _bound(costs, result), "cost beside the rivals") if costs in panels_of(result) else ""
    assumed = result.get("assumption")
    return section(
        "rivals",
        "Quantum beside classical rivals",
        scrolled(table(COST_HEADS, rows, class_="numbers")),
        element("p", f"Assumption: {assumed}.") if assumed else "",
        drawn,
    )


def _cost_row(name: str, told: Told, decisions: int | None) -> tuple[str, ...]:
    counts = (told[key] for key in ("qubits_sent", "ebits", "payload_bits", "control_bits"))
    return (name, *(f"{count:,}" for count in counts), time_text(told["virtual_time_ps"]), found_text(told, decisions))


def figures_section(result: Told) -> Section:
    """What was found, as figures: losses, accuracies, estimates, derivatives, growth."""
    panels = [panel for panel in panels_of(result) if panel not in (costs, *TIMES)]
    drawn = (figure(panel.__name__, _bound(panel, result), panel.__name__) for panel in panels)
    return section("figures", "What was found", *(element("div", *drawn, class_="figures"),) if panels else ())


def latency_section(result: Told) -> Section:
    """The critical path of the run: by cause, as a figure, and stretch by stretch."""
    told = result.get("latency") or {}
    if not told.get("path"):
        return section("latency", "Where the time goes")
    drawn = (figure(panel.__name__, _bound(panel, result), panel.__name__) for panel in TIMES)
    rows = [
        (session, f"{each['copies']:,}", *(time_text(each[f"{key}_ps"]) for key in ("p50", "p95", "p99", "first")))
        for session, each in told["copies"].items()
    ]
    heads = ("session", "copies measured", "half within", "95 % within", "99 % within", "first one read at")
    return section(
        "latency",
        "Where the time goes",
        element("p", "What the end of the run waited for, followed back to its beginning."),
        element("div", *drawn, class_="figures"),
        scrolled(table(heads, rows, class_="numbers")) if rows else "",
        element("div", class_="table", data_table="path-data"),
        data("path-data", {"columns": _path_columns(told["path"][:MOST_ROWS])}),
    )


def _path_columns(path: Sequence[Told]) -> list[dict[str, Any]]:
    counts = [", ".join(f"{count:,} {what}" for what, count in each["counts"].items()) for each in path]
    names = [column(name, name, "name", [each[name] for each in path]) for name in ("session", "cause", "where")]
    begins, ends = ([each[key] for each in path] for key in ("from_ps", "to_ps"))
    took = [end - begin for begin, end in zip(begins, ends, strict=True)]
    times = [column("from_ps", "from", "time", begins), column("took_ps", "took", "time", took)]
    return [*names, *times, column("counts", "counts", "name", counts)]


def ledger_sections(ledger: tuple[list[dict[str, Any]], int] | None, parties: Sequence[str]) -> Iterator[Section]:
    """The messages, as a diagram on virtual time and as a table; the page's script draws both."""
    if ledger is None:
        yield section("ledger", "Messages", element("p", "The run folder has no ledger."))
        return
    columns, count = ledger
    rows = len(columns[0]["values"])
    left = f" The page shows the first {rows:,} of {count:,}; ledger.jsonl in the run folder has all." * (count > rows)
    if rows:
        yield section(
            "sequence", "Message sequence",
            element("p", "Time goes down. A thick arrow carries copies of registers, a thin one classical messages."),
            element("div", class_="sequence", data_table="ledger-data"),
        )  # fmt: skip
    yield section(
        "ledger", "Messages",
        element("p", f"{count:,} messages.{left}"),
        element("div", class_="table", data_table="ledger-data"),
        data("ledger-data", {"columns": columns, "parties": list(parties)}),
        without_script(),
    )  # fmt: skip


def again_section(result: Told, read: Read) -> Section:
    """The command that runs it again, and the scenario that it takes."""
    text = read.resolved()
    checked = ("--check",) if result.get("exact") is not None else ()
    timed = ("--inline", "--latency") if result.get("latency") is not None else ()
    told, from_file = command(read, (*timed, *checked))
    name = f"{file_stem(read.name)}.yaml"
    needed = [*files_of(read.scenario.model_dump(mode="json")), *([read.kind_name] if ":" in read.kind_name else [])]
    return section(
        "again",
        "Run it again",
        copied(told),
        element("p", f"It takes the scenario below, saved as {name}.") if from_file else "",
        element("p", f"The scenario reads, from its own folder: {', '.join(needed)}.") if needed else "",
        element("details", element("summary", "Scenario with all defaults"), copied(text, name)),
    )


def details_section(result: Told) -> Section:
    """Each session with its transcript, and what an eavesdropper got."""
    rows = [
        (each["name"], each["role"], f"{each['messages']:,}", time_text(each["virtual_time_ps"]),
         each["transcript_sha256"])
        for each in result["sessions"]
    ]  # fmt: skip
    listened = [
        (session, direction, got["attack"], f"{got['copies']:,}", f"{got['photons']:,}", f"{got['bits']:,}")
        for session, directions in result.get("eve", {}).items()
        for direction, got in directions.items()
    ]
    heads = ("session", "direction", "attack", "copies", "photons", "bits read")
    return section(
        "sessions",
        "Sessions",
        scrolled(table(("session", "role", "messages", "virtual time", "transcript (SHA-256)"), rows)),
        *((element("h3", "Eavesdropper"), scrolled(table(heads, listened))) if listened else ()),
        element("p", f"Transcript of the quantum sessions: {result['transcript_sha256']}"),
    )


def _bound(panel: Callable[[Axes, Told], None], result: Told) -> Callable[[Axes], None]:
    return lambda axes: panel(axes, result)
