"""The commands for parties that are started by hand: keys, coordinator, node, fiber."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ketwire.errors import ScenarioError
from ketwire.modules import settle
from ketwire.scenarios.options import (
    Advertise,
    Bind,
    Checkpoints,
    Coordinator,
    Json,
    Keys,
    Log,
    MountedKeys,
    Name,
    Out,
    Progress,
    Ready,
    Seed,
    Set,
    Wait,
    begin_log,
    load_scenario,
    look_at,
    report,
    shown,
)
from ketwire.scenarios.runs.output import aside, say


def keys(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the key files.")],
    scenario: Name,
    *,
    split: Annotated[bool, typer.Option("--split", help="A folder for each, DIR/NAME, with what it needs.")] = False,
    owner: Annotated[
        int | None, typer.Option("--owner", metavar="UID", min=0, help="With --split: the user that is given secrets.")
    ] = None,
) -> None:
    """Write a key pair for every party, fiber and the coordinator: NAME.key (secret) and NAME.pub."""
    from ketwire.nodes.processes.security import write_keys, write_split_keys  # noqa: PLC0415
    from ketwire.nodes.session import COORDINATOR  # noqa: PLC0415

    if owner is not None and not split:
        raise ScenarioError(f"--owner: {owner} given without --split, expected both")
    network = look_at(scenario, None, None).network()
    parties = [*network.parties, *(link.name for link in network.links)]
    names = ", ".join([*parties, COORDINATOR])
    if not split:
        write_keys(directory, [*parties, COORDINATOR])
        say(f"{directory}: keys of {names}")
    elif write_split_keys(directory, parties, COORDINATOR, owner):
        say(f"{directory}: a folder for each of {names}")
    else:
        say(f"{directory}: has the keys of {names} already; they stay")


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
    mounted_keys: MountedKeys = False,
    ready: Ready = None,
    log: Log = "text",
    rejoin_s: Annotated[
        float | None,
        typer.Option("--rejoin-s", metavar="S", help="How long to wait for a party that died, 60; 0: not at all."),
    ] = None,
) -> None:
    """Coordinate a run whose parties and fibers are started by hand, on any machines."""
    from ketwire.nodes.processes.by_hand import serve_coordinator  # noqa: PLC0415
    from ketwire.nodes.processes.given import Given  # noqa: PLC0415
    from ketwire.nodes.session import COORDINATOR  # noqa: PLC0415
    from ketwire.scenarios.runs.launch import Options  # noqa: PLC0415

    begin_log(log, COORDINATOR)
    loaded = load_scenario(scenario, sets, seed)
    given = Given(keys, mounted_keys, checkpoints, ready)

    def runtime(run: Any, progress: Any, ledger: bool, base: str, out: Path | None) -> Any:
        return serve_coordinator(run, given, bind, advertise, progress, rejoin_s)

    options = Options(out, progress=shown(progress, as_json), by_hand=True)
    report(loaded, runtime, options, as_json)


def node(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    keys: Keys,
    coordinator: Coordinator,
    base: Annotated[str, typer.Option("--base", metavar="DIR", help="Where its data paths and modules start.")] = ".",
    checkpoints: Checkpoints = None,
    mounted_keys: MountedKeys = False,
    ready: Ready = None,
    log: Log = "text",
    wait_s: Wait = 60.0,
) -> None:
    """Be one party of a run: `ketwire node alice`."""
    from ketwire.nodes.processes.by_hand import serve_node  # noqa: PLC0415
    from ketwire.nodes.processes.given import Given  # noqa: PLC0415

    begin_log(log, name)
    settle(base)
    with aside():
        serve_node(name, Given(keys, mounted_keys, checkpoints, ready), coordinator, base, wait_s)


def fiber(
    link: Annotated[str, typer.Argument(metavar="A-B")],
    keys: Keys,
    coordinator: Coordinator,
    bind: Bind = "127.0.0.1:0",
    advertise: Advertise = None,
    checkpoints: Checkpoints = None,
    mounted_keys: MountedKeys = False,
    ready: Ready = None,
    log: Log = "text",
    wait_s: Wait = 60.0,
) -> None:
    """Be one fiber of a run: `ketwire fiber alice-bob`."""
    from ketwire.nodes.processes.by_hand import serve_fiber  # noqa: PLC0415
    from ketwire.nodes.processes.given import Given  # noqa: PLC0415

    begin_log(log, link)
    with aside():
        given = Given(keys, mounted_keys, checkpoints, ready)
        serve_fiber(link, given, coordinator, bind, advertise, wait_s)
