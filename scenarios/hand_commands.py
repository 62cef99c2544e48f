"""The commands for parties that are started by hand or in containers: keys, coordinator, node, fiber, compose."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
from ketwire.scenarios.schema.strict import some


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
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="NAME=DIR", help="A party's data folder, for scores that need its inputs."),
    ] = None,
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

    folders = _folders(data or [], loaded.network().parties)
    options = Options(out, progress=shown(progress, as_json), by_hand=True, data=folders)
    report(loaded, runtime, options, as_json)


def _folders(given: list[str], parties: Sequence[str]) -> dict[str, str]:
    """By party the folder that the judge is given."""
    found: dict[str, str] = {}
    for each in given:
        party, _, folder = each.partition("=")
        if party not in parties or not folder or party in found:
            raise ScenarioError(f"--data: {each!r} given, expected NAME=DIR, once for a node: {some(parties)}")
        if not Path(folder).is_dir():
            raise ScenarioError(f"--data: {folder}: no such folder, expected that of {party}")
        found[party] = folder
    return found


def node(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    keys: Keys,
    coordinator: Coordinator,
    base: Annotated[str, typer.Option("--base", metavar="DIR", help="Where its data paths and modules start.")] = ".",
    checkpoints: Checkpoints = None,
    mounted_keys: MountedKeys = False,
    ready: Ready = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="FILE", help="Where to keep what it trains, a .npz file.")
    ] = None,
    log: Log = "text",
    wait_s: Wait = 60.0,
) -> None:
    """Be one party of a run: `ketwire node alice`."""
    from ketwire.nodes.processes.by_hand import serve_node  # noqa: PLC0415
    from ketwire.nodes.processes.given import Given  # noqa: PLC0415

    begin_log(log, name)
    settle(base)
    with aside():
        serve_node(name, Given(keys, mounted_keys, checkpoints, ready, model), coordinator, base, wait_s)


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


def compose(
    scenarios: Annotated[
        list[str], typer.Argument(metavar="SCENARIO...", help="One, or several PROFILE=SCENARIO for one file.")
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Instead of standard output.")
    ] = None,
) -> None:
    """Write a Compose file that runs a scenario with a container for each party and fiber."""
    from ketwire.scenarios.compose import Composed  # noqa: PLC0415

    pairs = [(None, each) if "=" not in each else tuple(each.split("=", 1)) for each in scenarios]
    if len(scenarios) > 1 and not all(profile for profile, _ in pairs):
        raise ScenarioError("compose: several scenarios given, expected PROFILE=SCENARIO for each")
    project = "ketwire" if pairs[0][0] is not None else f"ketwire-{Path(scenarios[0]).stem}"
    composed = Composed(" ".join(scenarios), _project(project))
    for profile, scenario in pairs:
        composed.add(load_scenario(scenario, None, None), scenario, _profile(profile))
    if out is None:
        say(composed.text(), end="")
        return
    try:
        out.write_text(composed.text(), encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"-o: {out}: {error.strerror}, expected a file that can be written") from None


def _project(name: str) -> str:
    """A name as Compose has it for projects: small letters, digits, - and _."""
    return re.sub("[^a-z0-9_-]", "-", name.lower())


def _profile(name: str | None) -> str | None:
    if name is not None and not re.fullmatch("[a-z][a-z0-9]{0,30}", name):
        raise ScenarioError(f"compose: profile {name!r} given, expected small letters and digits")
    return name
