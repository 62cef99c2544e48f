"""The commands for parties that are started by hand: keys, coordinator, node, fiber."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ketwire.modules import settle
from ketwire.scenarios.options import (
    Advertise,
    Bind,
    Checkpoints,
    Coordinator,
    Json,
    Keys,
    Name,
    Out,
    Progress,
    Seed,
    Set,
    Wait,
    load_scenario,
    look_at,
    report,
    shown,
)
from ketwire.scenarios.runs.output import aside, say


def keys(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the key files.")],
    scenario: Name,
) -> None:
    """Write a key pair for every party, fiber and the coordinator: NAME.key (secret) and NAME.pub."""
    from ketwire.nodes.processes.security import write_keys  # noqa: PLC0415

    network = look_at(scenario, None, None).network()
    names = [*network.parties, *(link.name for link in network.links), "coordinator"]
    write_keys(directory, names)
    say(f"{directory}: keys of {', '.join(names)}")


def coordinator(
    scenario: Name,
    *,
    keys: Keys,
    bind: Bind,
    advertise: Advertise = None,
    sets: Set = None,
    seed: Seed = None,
    out: Out = None,
    as_json: Json = False,
    progress: Progress = None,
    checkpoints: Checkpoints = None,
    rejoin_s: Annotated[
        float | None,
        typer.Option("--rejoin-s", metavar="S", help="How long to wait for a party that died, 60; 0: not at all."),
    ] = None,
) -> None:
    """Coordinate a run whose parties and fibers are started by hand, on any machines."""
    from ketwire.nodes.processes.by_hand import serve_coordinator  # noqa: PLC0415
    from ketwire.scenarios.runs.launch import Options  # noqa: PLC0415

    loaded = load_scenario(scenario, sets, seed)

    def runtime(run: Any, progress: Any, ledger: bool, base: str, out: Path | None) -> Any:
        return serve_coordinator(run, keys, bind, advertise, progress, None, checkpoints, rejoin_s)

    options = Options(out, progress=shown(progress, as_json), by_hand=True)
    report(loaded, runtime, options, as_json)


def node(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    keys: Keys,
    coordinator: Coordinator,
    base: Annotated[str, typer.Option("--base", metavar="DIR", help="Where its data paths and modules start.")] = ".",
    checkpoints: Checkpoints = None,
    wait_s: Wait = 60.0,
) -> None:
    """Be one party of a run: `ketwire node alice`."""
    from ketwire.nodes.processes.by_hand import serve_node  # noqa: PLC0415

    settle(base)
    with aside():
        serve_node(name, keys, coordinator, base, checkpoints, wait_s)


def fiber(
    link: Annotated[str, typer.Argument(metavar="A-B")],
    keys: Keys,
    coordinator: Coordinator,
    bind: Bind = "127.0.0.1:0",
    advertise: Advertise = None,
    checkpoints: Checkpoints = None,
    wait_s: Wait = 60.0,
) -> None:
    """Be one fiber of a run: `ketwire fiber alice-bob`."""
    from ketwire.nodes.processes.by_hand import serve_fiber  # noqa: PLC0415

    with aside():
        serve_fiber(link, keys, coordinator, bind, advertise, checkpoints=checkpoints, wait_s=wait_s)
