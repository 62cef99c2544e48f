"""From a name or a file, and what the command line changes in it, to a scenario that can be run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ketwire.errors import KetwireError, LocalProtocolError, ScenarioError, one_line, tell
from ketwire.modules import settle
from ketwire.scenarios.kinds.interface import Kind, Network, find_kind, kind_names
from ketwire.scenarios.schema.changes import Change, change_of, set_value
from ketwire.scenarios.schema.yamltext import dump, parse, read

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ketwire.nodes.session import Run
    from ketwire.scenarios.schema.model import Scenario
    from ketwire.scenarios.schema.topology import Said

PACKAGED = Path(__file__).parent / "packaged"
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Read:
    """A scenario: where it came from and what it says. Its protocol is unchecked where no kind was asked."""

    origin: str
    name: str
    base: str
    scenario: Scenario
    kind_name: str

    def network(self, base: str | None = None) -> Network:
        """What its protocol runs on; data paths start from `base`, else from the scenario's folder."""
        return self._network if base is None else replace(self._network, base=base)

    @cached_property
    def _network(self) -> Network:
        from ketwire.nodes.session import Link  # noqa: PLC0415
        from ketwire.scenarios.schema.chains import joined, line  # noqa: PLC0415

        hardware = {name: node.physics() for name, node in self.scenario.nodes.items()}
        between = joined(self.scenario.links)
        links = tuple(
            Link(
                (a, b),
                line(between, link, hardware, a, b),
                line(between, link, hardware, b, a),
                python=link.interpreter(self.base),
                label=link.name,
                carries=link.carries,
            )
            for link in self.scenario.links
            for a, b in (link.between,)
        )
        said = self.scenario
        return Network(said.seed, tuple(said.nodes), links, self.base, hardware, said.workload_seed)

    def resolved(self) -> str:
        """The scenario as YAML with all defaults and presets filled in; it loads to the same scenario."""
        told = self.scenario.model_dump(mode="json")
        told["name"] = self.name
        told["protocol"]["kind"] = self.kind_name
        return dump(told)

    def unlinked(self) -> list[str]:
        """The nodes that no link leads to. They are allowed, and may well be a mistake."""
        joined = {name for link in self.scenario.links for name in link.between}
        return [name for name in self.scenario.nodes if name not in joined]


@dataclass(frozen=True)
class Loaded(Read):
    """A valid scenario, and the kind of its protocol, which has checked that."""

    kind: Kind

    def run(self, by_hand: bool = False) -> Run:
        """What a runtime is asked to run.

        Args:
            by_hand: parties are started by hand and keep their data in folders of their own, from
                which relative paths then start.

        Raises:
            ScenarioError: the protocol does not fit the network.
        """
        from ketwire.nodes import session  # noqa: PLC0415
        from ketwire.scenarios.kinds.compiled import check_compiled  # noqa: PLC0415

        network, spec = self.network("" if by_hand else None), self.scenario.protocol
        with from_file(self.origin), asked(self.kind, self.kind_name, "sessions"):
            sessions = tuple(self.kind.sessions(spec, network))

        def check(session: session.Session, public: Any) -> None:
            with asked(self.kind, self.kind_name, "check"):
                self.kind.check(spec, network, session, public)
            check_compiled(spec, network, session, public)

        return session.Run(
            network.seed, network.parties, network.links, sessions, check, network.hardware, network.workload_seed
        )

    def check_foreseen(self, run: Run) -> list[str]:
        """Look at the budgets of sessions whose public shapes the scenario alone tells.

        Returns:
            The quantum sessions whose shapes are those of data, which nothing here reads.

        Raises:
            ScenarioError: a session would be refused as soon as it is to start.
        """
        unseen = []
        for session in run.sessions:
            with from_file(self.origin):
                with asked(self.kind, self.kind_name, "foreseen"):
                    public = self.kind.foreseen(self.scenario.protocol, session)
                if public is not None:
                    run.check(session, public)
            if public is None and session.role == "quantum":
                unseen.append(session.name)
        return unseen


@contextmanager
def from_file(origin: str) -> Iterator[None]:
    """Puts the file's name before what a ScenarioError says, unless it is there."""
    try:
        yield
    except ScenarioError as error:
        if str(error).startswith(origin):
            raise
        raise ScenarioError(f"{origin}: {error}") from error


@contextmanager
def asked(kind: Kind, name: str, what: str) -> Iterator[None]:
    """For asking a kind of a user's own, which may raise anything.

    Raises:
        ScenarioError: it did; names the kind's file and line.
    """
    module = type(kind).__module__
    try:
        yield
    except (Exception, SystemExit) as error:
        on_purpose = isinstance(error, KetwireError) and not isinstance(error, LocalProtocolError)
        if on_purpose or module.partition(".")[0] == "ketwire":
            raise  # on purpose, or a fault of ours, which shows where it is
        told = f"protocol.kind: {name!r} given, expected a kind whose {what} works ({one_line(error, module)})"
        raise ScenarioError(told) from error


def load(name_or_file: str, sets: Sequence[str] = (), seed: int | None = None) -> Loaded:
    """Load a packaged scenario by name, or one from a file, to run it.

    A kind of its own is executed, which is told before. Until another scenario is loaded, this process takes modules
    from this scenario's folder first.

    Args:
        name_or_file: a packaged name, or a path that ends in .yaml, .yml or .json or holds a slash.
        sets: changes, each `dotted.key=value`, the value in YAML.
        seed: instead of the scenario's own.

    Raises:
        ScenarioError: one line with file, key, value and what was expected.
    """
    return admit(*_data(name_or_file, sets, seed))


def admit(data: dict[str, Any], origin: str, stem: str, base: str, said: Said | None = None) -> Loaded:
    """As `validate`, for a scenario that is to run: tells first what it executes that is not of this installation."""
    from ketwire.scenarios.foreign import foreign  # noqa: PLC0415

    found = looked(data, origin, stem, base, said)
    if executed := foreign(data, base):
        tell(f"ketwire: {origin} executes what is not of this installation: {', '.join(executed)}")
    settle(base)
    return found if isinstance(found, Loaded) else validate(data, origin, stem, base, said)


def look(name_or_file: str, sets: Sequence[str] = (), seed: int | None = None) -> Read:
    """The same, but nothing of the scenario's is executed.

    Returns:
        A Loaded, or, where the kind is `module:Name`, a Read whose protocol is unchecked.

    Raises:
        ScenarioError: as `load`.
    """
    return looked(*_data(name_or_file, sets, seed))


def looked(data: dict[str, Any], origin: str, stem: str, base: str, said: Said | None) -> Read:
    """As `look`, for data."""
    kind_name = _kind_name(data, origin)
    if ":" not in kind_name:
        return validate(data, origin, stem, base, said)
    from ketwire.scenarios.schema.model import UncheckedSpec  # noqa: PLC0415

    scenario = _parsed(data, origin, base, kind_name, UncheckedSpec, said)
    return Read(origin, scenario.name or stem, base, scenario, kind_name)


@dataclass(frozen=True)
class Draft:
    """What a scenario says, unchecked; how errors call it; its name, if it has none of its own; its folder."""

    data: dict[str, Any]
    origin: str
    stem: str
    base: str

    def finished(self, changes: Sequence[Change] = ()) -> tuple[dict[str, Any], str, str, str, Said]:
        """The arguments of `admit` and `looked`: what it says with changes, of a copy.

        A topology is expanded: changes of it come before, all others after. Last: where nodes and links then come
        from.
        """
        from ketwire.scenarios.schema.topology import expanded  # noqa: PLC0415

        data = deepcopy(self.data)
        of_shape = [change for change in changes if change.key.partition(".")[0] == "topology"]
        for change in of_shape:
            set_value(data, change)
        data, said = expanded(data, self.origin, self.base)
        for change in changes:
            if change not in of_shape:
                set_value(data, change)
                said.set(change.key)
        return data, self.origin, self.stem, self.base, said


def draft(name_or_file: str) -> Draft:
    """A packaged scenario by name, or one from a file.

    Relative paths start from the file's folder. A packaged scenario has none; those that are added to one start from
    the working directory.

    Raises:
        ScenarioError: there is none, or its text is no mapping.
    """
    path, origin = find(name_or_file)
    data = parse(read(path, origin), origin)
    if not isinstance(data, dict):
        raise ScenarioError(f"{origin}: a {type(data).__name__} given, expected a mapping (seed, nodes, ...)")
    return Draft(data, origin, path.stem, os.getcwd() if is_packaged(name_or_file) else str(path.resolve().parent))


def _data(
    name_or_file: str, sets: Sequence[str], seed: int | None
) -> tuple[dict[str, Any], str, str, str, Said]:
    found = draft(name_or_file)
    changes = [change_of(change, found.origin) for change in sets]
    if seed is not None:
        changes.append(Change("seed", seed, f"{found.origin}: seed"))
    return found.finished(changes)


def validate(data: dict[str, Any], origin: str, stem: str, base: str, said: Said | None = None) -> Loaded:
    """Check the data of a scenario; `stem` is its name where it has none of its own. A kind of its own is executed.

    Args:
        said: under which keys the scenario says its nodes and links, where a topology stood for them.

    Raises:
        ScenarioError: as `load`.
    """
    kind_name = _kind_name(data, origin)
    with from_file(origin):
        kind = find_kind(kind_name)
    scenario = _parsed(data, origin, base, _literal(kind, kind_name), kind.Spec, said)
    return Loaded(origin, scenario.name or stem, base, scenario, kind_name, kind)


def _parsed(
    data: dict[str, Any], origin: str, base: str, kind_name: str, spec: type[BaseModel], said: Said | None
) -> Scenario:
    """The data as types, the protocol being a `spec`."""
    from pydantic import ValidationError  # noqa: PLC0415

    from ketwire.scenarios.schema.model import scenario_model  # noqa: PLC0415
    from ketwire.scenarios.schema.ownpresets import known_for  # noqa: PLC0415
    from ketwire.scenarios.schema.validation import one_line as told_of  # noqa: PLC0415

    told = {**data, "protocol": {**data["protocol"], "kind": kind_name}}
    model = scenario_model([spec])
    with from_file(origin):
        known = known_for(data.get("links"), data.get("nodes"), data.get("presets"), base)
    try:
        # As JSON, since only there strict means what a file's author expects: no "3" for 3, yet
        # lists for tuples and whole numbers for real ones.
        return model.model_validate_json(json.dumps(told), strict=True, context=known.context)
    except ValidationError as error:
        told_why = told_of(error, told, model) if said is None else told_of(error, told, model, said.path)
        raise ScenarioError(f"{origin}: {told_why}") from None


def packaged() -> dict[str, Path]:
    """The scenarios that ship with ketwire, by name."""
    return {path.stem: path for path in sorted(PACKAGED.glob("*.yaml"))}


def is_packaged(name_or_file: str) -> bool:
    """Whether this names a scenario that ships with ketwire."""
    return name_or_file in packaged()


def find(name_or_file: str) -> tuple[Path, str]:
    """The path of a scenario, and how errors call it.

    Raises:
        ScenarioError: there is none.
    """
    path = Path(name_or_file).expanduser()
    if "/" in name_or_file or name_or_file.endswith(_SUFFIXES):
        return path, name_or_file
    known = packaged()
    if is_packaged(name_or_file):
        return known[name_or_file], known[name_or_file].name
    if path.is_file():
        return path, name_or_file
    from ketwire.scenarios.schema.validation import meant  # noqa: PLC0415

    names = ", ".join(known) or "(none is packaged)"
    told = f"{name_or_file!r} given, expected a file or one of {names}{meant(name_or_file, tuple(known))}"
    raise ScenarioError(f"scenario: {told}")


def _kind_name(data: dict[str, Any], origin: str) -> str:
    from ketwire.scenarios.schema.validation import shown  # noqa: PLC0415

    protocol = data.get("protocol")
    if not isinstance(protocol, dict):
        given = f"{shown(protocol)} given" if "protocol" in data else "missing required key"
        raise ScenarioError(f"{origin}: protocol: {given}, expected a mapping with kind")
    name = protocol.get("kind")
    if not isinstance(name, str):
        given = f"{shown(name)} given" if "kind" in protocol else "missing required key"
        expected = f"one of {', '.join(kind_names())}, or module:Name"
        raise ScenarioError(f"{origin}: protocol.kind: {given}, expected {expected}")
    return name


def _literal(kind: Kind, name: str) -> str:
    """What the kind's Spec calls itself, where the scenario says where the kind lives."""
    from ketwire.scenarios.schema.validation import constant  # noqa: PLC0415

    return (constant(kind.Spec, "kind") or name) if ":" in name else name
