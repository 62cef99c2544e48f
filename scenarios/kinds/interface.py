"""The interface of protocol kinds, which the built-in ones implement too.

A kind turns what a scenario says under `protocol` into sessions, and what came of them into the
protocol's own results. It is found by its name in the entry point group `ketwire.protocols`, or, as
`kind: module:Name`, by where it lives. Only the kind that a scenario names is imported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from ketwire.errors import ScenarioError, one_line
from ketwire.modules import find
from ketwire.scenarios.kinds.result import Reference, RunResult, Summary, result_types

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydantic import BaseModel

    from ketwire.channels.hardware import Hardware
    from ketwire.nodes.session import Link, Run, Session, SessionResult
    from ketwire.protocols.node import Json, Loader

GROUP = "ketwire.protocols"


@dataclass(frozen=True)
class Network:
    """What a protocol runs on: seeds, parties, links, and the folder that data paths start from.

    `base` is empty where each owner has its data in a folder of its own. Parties that `hardware` does
    not name have the perfect one.

    Derive what belongs to the problem (data, parameters, and all else that `exact` depends on) from `workload`, and
    what a protocol draws while it runs from `seed`. `workload_seed` is None where the scenario has none.
    """

    seed: int
    parties: tuple[str, ...]
    links: tuple[Link, ...]
    base: str
    hardware: Mapping[str, Hardware] = field(default_factory=dict)
    workload_seed: int | None = None

    @property
    def workload(self) -> int:
        """The seed of the problem."""
        return self.seed if self.workload_seed is None else self.workload_seed

    def link(self, a: str, b: str) -> Link | None:
        """The link that carries qubits between a and b, in either order; None where there is none."""
        return self._joined.get(frozenset((a, b)))

    def is_hop(self, a: str, b: str) -> bool:
        """Whether a chain of repeaters makes its pairs over the link between a and b."""
        return frozenset((a, b)) in self._hops

    @cached_property
    def _joined(self) -> dict[frozenset[str], Link]:
        """Each link by its two ends. To look through all of them for each crossing would take n^2 steps."""
        return {frozenset(link.ends): link for link in self.links if link.carries != "bits"}

    @cached_property
    def _hops(self) -> frozenset[frozenset[str]]:
        """The ends of the links over which chains of repeaters make pairs."""
        from ketwire.channels.entanglement.chain import Chain  # noqa: PLC0415

        chains = ((link.ends, link.forward.transport) for link in self.links)
        return frozenset(
            frozenset(hop)
            for (first, last), chain in chains
            if isinstance(chain, Chain)
            for hop in pairwise((first, *chain.via, last))
        )

    def loaders(self, folders: Mapping[str, str] | None = None) -> dict[str, Loader]:
        """Every party's own loader, by party. After a run alone, for references and scores: it breaks their privacy.

        folders: where the data paths of each party start, of parties with folders of their own; the others have none.
        """
        from ketwire.nodes.data import make_loader  # noqa: PLC0415
        from ketwire.nodes.session import data_key  # noqa: PLC0415

        bases = dict.fromkeys(self.parties, self.base) if folders is None else folders
        return {party: make_loader(party, data_key(self.workload, party), base) for party, base in bases.items()}


@dataclass(frozen=True)
class Judge:
    """The public: it knows results and labels, and of no party's data but what it was given.

    data: the loaders of parties, for scores that take inputs of several. A run in one place has all of them; where
        parties are started by hand, those whose folders the coordinator is given.
    """

    network: Network
    data: Mapping[str, Loader] = field(default_factory=dict)

    def load(self, key: str, source: dict[str, Json]) -> dict[str, NDArray[Any]]:
        """Public data, labels as a rule; `key` is where the scenario names it.

        Raises:
            ScenarioError: the source cannot be read.
        """
        from ketwire.nodes.data import make_loader  # noqa: PLC0415
        from ketwire.nodes.session import data_key  # noqa: PLC0415

        return make_loader("judge", data_key(self.network.workload, "judge"), self.network.base)(key, source)


class Kind(ABC):
    """What every kind derives from. One instance, made without arguments, serves a run.

    A kind sets `Spec` and has `sessions` and `summarise`; the rest has defaults.

    What a kind raises in `summarise`, `exact`, `compared`, `witness` or `retraced`, ScenarioErrors too, costs the
    result that part alone: it is told beside it (`scenarios.runs.afterwards`).

    Errors in the user's input are ScenarioErrors that begin with the scenario's key, such as
    "protocol.copies: 0 given, expected ..."; the code that loads the scenario puts the file's name before.
    """

    Spec: ClassVar[type[BaseModel]]
    """The type of `protocol`: a frozen model with a field `kind: Literal["its-name"]`."""

    Result: ClassVar[Any] = RunResult
    """The type of a whole result, or a union of types; each derives from RunResult and from what the kind tells."""

    @abstractmethod
    def sessions(self, spec: Any, network: Network) -> Sequence[Session]:
        """Who does what with which slice: the quantum session(s) first, then the classical rivals.

        A slice holds what is public and what its party owns, and no path is relative in it
        (`Source.located`). Session names are unique.

        Raises:
            ScenarioError: the protocol does not fit the network.
        """

    def check(  # noqa: B027 (any shapes are right, unless a kind says otherwise)
        self, spec: Any, network: Network, session: Session, public: Mapping[str, int]
    ) -> None:
        """Look at the agreed public shapes before a session starts. By default, any are right.

        Raises:
            ScenarioError: the session cannot work, or would pass its budget.
        """

    def reads(self, spec: Any, base: str) -> Sequence[str]:
        """The files that results depend on besides the `path` of sources, what is `trained`, and modules.

        Args:
            base: the folder from which paths start. By default none. A file that is missing may be left out.
        """
        return ()

    def foreseen(self, spec: Any, session: Session) -> Mapping[str, int] | None:
        """The public shapes of a session where the spec alone tells them, so that `ketwire validate` can `check` them.

        None where they depend on data, which is the default.
        """
        return None

    @abstractmethod
    def summarise(self, spec: Any, results: Sequence[SessionResult], judge: Judge) -> Summary:
        """The protocol's own results.

        The report shows what `Summary` has. `rivals` is a dict by session name. A rival whose answer is too poor to be
        compared says `comparable=False` (see `ketwire.scenarios.kinds.verdict`). `verdict`, a sentence on who wins,
        replaces ketwire's own; a kind with several quantum sessions needs one, as sums over them
        compare with no single rival. What the wire cost is added by ketwire.
        """

    def exact(self, spec: Any, network: Network, loaders: Mapping[str, Loader]) -> Reference:
        """The dense reference, computed in one place from everybody's data. Runs with --check alone.

        `exact` has the form of `estimate`, a number or a list of them. By default nothing.
        """
        return Reference()

    def witness(self, spec: Any, network: Network, session: Session) -> tuple[Session, bool] | None:
        """The quantum session as --check runs it once more to find the noisy expectation (`scenarios.kinds.bias`).

        For a kind whose estimate is the share of outcome 0 among measured copies, and whose spec has `delta`,
        `epsilon` and `measured_copies`. The flag says whether all copies end in one state, so that the expectation is
        exact. None where the outcomes have another law, which is the default.
        """
        return None

    def retraced(self, spec: Any, network: Network, run: Run, results: Sequence[SessionResult]) -> Reference:
        """What --check learns by running a session of `run` again in one place. By default nothing.

        There the parties show what they keep to themselves in a run.
        """
        return Reference()

    def compared(self, spec: Any, summary: Any, result: Any) -> Summary:
        """The summary once more, when the whole result is known, `exact` being in it if asked for.

        Args:
            summary: what `summarise` answered. By default it stays as it is.
            result: of the type `Result`.
        """
        return summary  # type: ignore[no-any-return]


# As in pyproject.toml, so that they are found without reading what every installed package declares;
# tests/test_startup.py compares.
_BUILT_IN = {
    "advantage": "ketwire.scenarios.kinds.advantage.kind:Advantage",
    "central": "ketwire.scenarios.kinds.central.kind:Central",
    "decoys": "ketwire.scenarios.kinds.decoys:Decoys",
    "gradient": "ketwire.scenarios.kinds.gradient.kind:Gradient",
    "graph": "ketwire.scenarios.kinds.graph.kind:Graph",
    "inference": "ketwire.scenarios.kinds.inference.kind:Inference",
    "subspace": "ketwire.scenarios.kinds.subspace.kind:Subspace",
    "training": "ketwire.scenarios.kinds.training.kind:Training",
}


def kind_names() -> list[str]:
    """The names of all kinds that are installed."""
    return sorted(_installed())


def find_kind(name: str) -> Kind:
    """The kind of this name, or the one at `module:Name`.

    Raises:
        ScenarioError: "protocol.kind: NAME given, expected ...".
    """
    target = name if ":" in name else _BUILT_IN.get(name) or _installed().get(name)
    if target is None:
        raise ScenarioError(
            f"protocol.kind: {name!r} given, expected one of {', '.join(kind_names())}, or module:Name"
        )
    return _import(name, target)


def _installed() -> dict[str, str]:
    from importlib.metadata import entry_points  # noqa: PLC0415

    return {point.name: point.value for point in entry_points(group=GROUP)}


def _import(name: str, target: str) -> Kind:
    try:
        found = find(target)
        made = found() if isinstance(found, type) and issubclass(found, Kind) else found
    except (Exception, SystemExit) as error:
        told = one_line(error, target.partition(":")[0])
        raise ScenarioError(
            f"protocol.kind: {name!r} given, expected module:Name of a kind that can be imported ({told})"
        ) from error
    if not isinstance(made, Kind):
        raise ScenarioError(
            f"protocol.kind: {name!r} given, expected a class derived from Kind of {__name__}, this one is not"
        )
    if not hasattr(made, "Spec"):
        raise ScenarioError(f"protocol.kind: {name!r} given, expected a kind with a Spec, this one has none")
    try:
        result_types(made.Result)
    except TypeError as error:
        raise ScenarioError(f"protocol.kind: {name!r} given: {error}") from None
    return made
