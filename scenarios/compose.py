"""A Compose file for a scenario: a container for each party and fiber, and a network for each pair that must meet.

Networks: one between a party and each of its fibers, and one between the coordinator and each of the others. Each is a
/29 of its own, because an engine's default pools end at some 31 networks, and has no way out. Keys: one container
writes them all, into a volume for each, and ends. Data: a file is mounted into the container of the party that
reads it, and into no other. A run with checkpoints, which may take long, has a container more: it serves the run's
page, from a second image with matplotlib, at a port of the loopback interface.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ketwire.errors import ScenarioError
from ketwire.nodes.models import model_file
from ketwire.nodes.processes.interpreters import refuse_interpreters
from ketwire.nodes.session import COORDINATOR
from ketwire.scenarios.load import is_packaged

if TYPE_CHECKING:
    from ketwire.nodes.session import Run
    from ketwire.scenarios.load import Loaded

USER = 10001
COORDINATOR_PORT, FIBER_PORT = 5600, 5601
FIRST = 2  # of a network's addresses for containers: the coordinator's where it is on one
MOST_NETWORKS = 1 << 13  # of eight addresses each, in a /16
SCENARIO, DATA, KEYS, CHECKPOINTS, READY = "/scenario", "/data", "/keys", "/checkpoints", "/tmp/ready"
RUNS, PAGE_PORT = "/runs", 8000
KEYS_SERVICE, PAGE_SERVICE = "keys", "page"

HEAD = """\
# Written by: ketwire compose {given}
# docs/containers.md says how to run it, and what KETWIRE_SOURCE, KETWIRE_IMAGE, KETWIRE_FAST, KETWIRE_WHEELS,
# KETWIRE_MEMORY, KETWIRE_SUBNET and KETWIRE_PORT change.
name: {project}

x-service: &service
  image: ${{KETWIRE_IMAGE:-ketwire}}
  pull_policy: never
  init: true
  read_only: true
  user: "{user}:{user}"
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  tmpfs: ["/tmp:mode=1777,size=64m"]
  mem_limit: ${{KETWIRE_MEMORY:-2g}}

x-running: &running
  <<: *service
  sysctls: {{net.ipv4.ip_forward: "0"}}
  healthcheck: {{test: [CMD, test, -e, {ready}], interval: 10s, timeout: 5s, retries: 3, start_period: 60s}}
"""


@dataclass(frozen=True)
class Files:
    """The files of a scenario, each as (its path here, its path in a container).

    every: what all services that read the scenario are given. own: what a party alone is given.
    """

    every: Sequence[tuple[str, str]] = ()
    modules: Sequence[tuple[str, str]] = ()
    public: Sequence[tuple[str, str]] = ()
    own: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


class Composed:
    """The text of a Compose file, one scenario after another.

    Args:
        given: the arguments that it is made with, for its first line.
    """

    def __init__(self, given: str, project: str) -> None:
        self._head = HEAD.format(given=given, project=project, user=USER, ready=READY)
        self._services: list[str] = []
        self._networks: list[str] = []
        self._volumes: list[str] = []

    def add(self, loaded: Loaded, named: str, profile: str | None) -> None:
        """One more scenario.

        Args:
            named: as its user names it: a packaged scenario's name, or a file's path.
            profile: whose services have this name before theirs; None where there is one scenario alone.

        Raises:
            ScenarioError: its run cannot be composed.
        """
        run = loaded.run(by_hand=True)
        refuse_interpreters(run)
        _Network(self, run, loaded, named, profile).compose()

    def text(self) -> str:
        networks, volumes = ["networks:", *self._networks, ""], ["volumes:", *self._volumes, ""]
        return "\n".join([self._head, "services:", *self._services, *networks, *volumes])

    def service(self, name: str, lines: Iterable[str]) -> None:
        self._services += [f"  {name}:", *(f"    {line}" for line in lines), ""]

    def network(self, name: str, internal: bool = True) -> Callable[[int], str]:
        """One more network of eight addresses, of which the engine takes the first for itself.

        Args:
            internal: it has no way out, and none in.

        Returns:
            Its addresses by their number, from 2 to 6 for containers.

        Raises:
            ScenarioError: there is no room for it.
        """
        number = len(self._networks)
        if number == MOST_NETWORKS:
            raise ScenarioError(f"compose: more than {MOST_NETWORKS} networks, expected as many /29 as fit a /16")

        def address(host: int) -> str:
            return f"${{KETWIRE_SUBNET:-10.213}}.{number >> 5}.{number % 32 * 8 + host}"

        told = f'internal: {str(internal).lower()}, ipam: {{config: [{{subnet: "{address(0)}/29"}}]}}'
        self._networks.append(f"  {name}: {{{told}}}")
        return address

    def volume(self, name: str) -> None:
        self._volumes.append(f"  {name}: {{}}")


class _Network:
    """The services of one scenario."""

    def __init__(self, into: Composed, run: Run, loaded: Loaded, named: str, profile: str | None) -> None:
        self.into, self.run, self.profile = into, run, profile
        self.control: dict[str, Callable[[int], str]] = {}
        self.prefix = "" if profile is None else f"{profile}-"
        self.parties = run.parties
        self.fibers = [link.name for link in run.links]
        self.kept = any(session.restartable for session in run.sessions)
        is_file = not is_packaged(named)
        self.files = _files(loaded, run, named) if is_file else Files()
        self.scenario = f"{SCENARIO}/{os.path.basename(named)}" if is_file else named
        self.keys = KEYS_SERVICE if KEYS_SERVICE not in self.parties else f"{KEYS_SERVICE}.once"
        self.page = PAGE_SERVICE if PAGE_SERVICE not in self.parties else f"{PAGE_SERVICE}.served"
        self.runs = f"{self.prefix}runs"

    def compose(self) -> None:
        self._keys()
        names = [*self.parties, *self.fibers]
        for name in names:
            self.control[name] = self.into.network(f"{self.prefix}{name}.control")
        for link in self.run.links:
            for end in link.ends:
                self.into.network(f"{self.prefix}{end}.{link.name}")
        self._coordinator(names)
        at = ["--coordinator", f"{COORDINATOR}:{COORDINATOR_PORT}"]
        modules = [(path, _below(DATA, os.path.relpath(there, SCENARIO))) for path, there in self.files.modules]
        for party in self.parties:
            between = [f"{party}.{link.name}" for link in self.run.links if party in link.ends]
            own = self.files.own.get(party, ())
            self._member(party, ["node", party, *at, "--base", DATA], between, [*own, *modules])
        for link in self.run.links:
            between = [f"{end}.{link.name}" for end in link.ends]
            told = ["--bind", f"0.0.0.0:{FIBER_PORT}", "--advertise", f"{link.name}:{FIBER_PORT}"]
            self._member(link.name, ["fiber", link.name, *at, *told], between, ())
        for name in (*names, COORDINATOR):
            self.into.volume(f"{self.prefix}keys.{name}")
            if self.kept:
                self.into.volume(f"{self.prefix}checkpoints.{name}")
        if self.kept:
            self._served()

    def _keys(self) -> None:
        """It is root, to give secrets to the user of the others, with no other privilege and without a network."""
        names = [*self.parties, *self.fibers, COORDINATOR]
        self.into.service(f"{self.prefix}{self.keys}", [
            "<<: *service",
            _build('FAST: "${KETWIRE_FAST:-0}"'),
            *self._profiles(),
            'user: "0:0"',
            "cap_add: [CHOWN]",
            "network_mode: none",
            f"command: {_flow(['keys', KEYS, self.scenario, '--split', '--owner', str(USER)])}",
            "volumes:",
            *(f"  - {self.prefix}keys.{name}:{KEYS}/{name}" for name in names),
            *_mounts([*self.files.every]),
        ])  # fmt: skip

    def _served(self) -> None:
        """The run's page as it grows. Without a profile of its own it is not started by `docker compose up` alone."""
        name = f"{self.prefix}{self.page}"
        self.into.network(name, internal=False)
        self.into.volume(self.runs)
        bind, told = f"0.0.0.0:{PAGE_PORT}", f"127.0.0.1:${{KETWIRE_PORT:-{PAGE_PORT}}}"
        self.into.service(name, [
            "<<: *service",
            "image: ${KETWIRE_IMAGE:-ketwire}-plots",
            _build('PLOTS: "1"'),
            *(self._profiles() or [f"profiles: [{PAGE_SERVICE}]"]),
            "hostname: page",
            f"depends_on: {{{self.prefix}{COORDINATOR}: {{condition: service_started}}}}",
            f"command: {json.dumps(['serve', RUNS, '--bind', bind, '--advertise', told])}",
            f'ports: ["{told}:{PAGE_PORT}"]',
            f"networks: [{name}]",
            f'volumes: ["{self.runs}:{RUNS}:ro"]',
        ])  # fmt: skip

    def _coordinator(self, names: Sequence[str]) -> None:
        told = ["--bind", f"0.0.0.0:{COORDINATOR_PORT}", "--advertise", f"{COORDINATOR}:{COORDINATOR_PORT}"]
        networks = [
            f'{self.prefix}{name}.control: {{aliases: [{COORDINATOR}], ipv4_address: "{self.control[name](FIRST)}"}}'
            for name in names
        ]
        files = [*self.files.every, *self.files.modules, *self.files.public]
        if self.kept:
            told += ["--out", f"{RUNS}/{self.run.sessions[0].name}"]
        self._running(COORDINATOR, [COORDINATOR, self.scenario, *told], [], networks, files)

    def _member(
        self, name: str, command: Sequence[str], between: Sequence[str], files: Iterable[tuple[str, str]]
    ) -> None:
        """A party or a fiber. It is told where the coordinator is, and need not ask the engine's resolver.

        For a name that is not known yet that takes seconds, and as long again where the container stops meanwhile.
        """
        address = self.control[name]
        more = ['restart: "on-failure:3"', f'extra_hosts: ["{COORDINATOR}:{address(FIRST)}"]']
        networks = [f'{self.prefix}{name}.control: {{aliases: [{name}], ipv4_address: "{address(FIRST + 1)}"}}']
        networks += [f"{self.prefix}{each}: {{aliases: [{name}]}}" for each in between]
        self._running(name, command, more, networks, files)

    def _running(
        self, name: str, command: Sequence[str], more: Sequence[str], networks: Sequence[str],
        files: Iterable[tuple[str, str]],
    ) -> None:  # fmt: skip
        options = ["--keys", KEYS, "--ready", READY, *(["--checkpoints", CHECKPOINTS] if self.kept else [])]
        self.into.service(f"{self.prefix}{name}", [
            "<<: *running",
            *self._profiles(),
            f"hostname: {name.replace('_', '-')}",
            f"depends_on: {{{self.prefix}{self.keys}: {{condition: service_completed_successfully}}}}",
            *more,
            f"command: {_flow([*command, *options])}",
            "networks:",
            *(f"  {each}" for each in networks),
            "volumes:",
            f"  - {self.prefix}keys.{name}:{KEYS}:ro",
            *([f"  - {self.prefix}checkpoints.{name}:{CHECKPOINTS}"] if self.kept else []),
            *([f"  - {self.runs}:{RUNS}"] if self.kept and name == COORDINATOR else []),
            *_mounts(files),
        ])  # fmt: skip

    def _profiles(self) -> list[str]:
        return [] if self.profile is None else [f"profiles: [{self.profile}]"]


def _build(argument: str) -> str:
    """How an image is built, with one more argument."""
    return f'build: {{context: "${{KETWIRE_SOURCE:-.}}", args: {{{argument}, WHEELS: "${{KETWIRE_WHEELS:-index}}"}}}}'


def _flow(values: Sequence[str]) -> str:
    """A list in one line; a dollar sign, which Compose would take for a variable's, doubled."""
    return json.dumps(values, ensure_ascii=False).replace("$", "$$")


def _mounts(files: Iterable[tuple[str, str]]) -> Iterator[str]:
    for path, there in dict.fromkeys(files):
        told = json.dumps({"type": "bind", "source": path, "target": there, "read_only": True}, ensure_ascii=False)
        yield f"  - {told.replace('$', '$$')}"


def _below(folder: str, path: str) -> str:
    """Where a path of a scenario leads if that lies in `folder`."""
    return os.path.normpath(os.path.join(folder, path))


def _files(loaded: Loaded, run: Run, named: str) -> Files:
    """Who is given which file of a scenario that is one itself.

    Raises:
        ScenarioError: a path leads where no container has it.
    """
    from ketwire.scenarios.foreign import modules  # noqa: PLC0415

    here = os.path.abspath(named)
    every = [(here, f"{SCENARIO}/{os.path.basename(here)}")]
    told = loaded.scenario.protocol.model_dump(mode="json")
    told["kind"] = loaded.kind_name
    own = {
        party: [
            _given(loaded, path, DATA)
            for session in run.sessions
            for path in (_paths(session.told[party].values, party) if party in session.told else ())
        ]
        for party in run.parties
    }
    public = [_given(loaded, path, SCENARIO) for path in _labels(told)]
    return Files(every, [_module(loaded, path) for path in modules(told, loaded.base)], public, own)


def _given(loaded: Loaded, path: str, folder: str) -> tuple[str, str]:
    if path.startswith("~"):
        raise ScenarioError(f"{loaded.origin}: path {path!r} given, expected one that does not begin with ~")
    found = os.path.abspath(os.path.join(loaded.base, path))
    if not os.path.isfile(found):
        raise ScenarioError(f"{loaded.origin}: path {path!r} given, expected a file: {found}")
    return found, _below(folder, path)


def _module(loaded: Loaded, path: str) -> tuple[str, str]:
    """A module's file, or for a package its folder."""
    inside = os.path.relpath(path, loaded.base)
    if inside.startswith(".."):
        raise ScenarioError(f"{loaded.origin}: {path} is executed, expected modules of the scenario's folder")
    top = inside.split(os.sep)[0]
    return os.path.join(os.path.abspath(loaded.base), top), _below(SCENARIO, top)


def _paths(value: Any, owner: str) -> Iterator[str]:
    """Every `path` below a slice's values, and of each model that is `trained` the owner's file."""
    if isinstance(value, Mapping):
        if isinstance(value.get("path"), str):
            yield value["path"]
        if isinstance(value.get("trained"), str):
            yield str(model_file(value["trained"], owner))
        for below in value.values():
            yield from _paths(below, owner)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _paths(below, owner)


def _labels(told: Any) -> Iterator[str]:
    """The public files, which the coordinator reads to judge results."""
    if isinstance(told, Mapping):
        for key, below in told.items():
            yield from _paths(below, "") if key == "labels" else _labels(below)
    elif isinstance(told, list):
        for below in told:
            yield from _labels(below)
