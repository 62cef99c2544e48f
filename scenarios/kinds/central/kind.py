"""The kind `central`: the accuracy of networks that `ketwire gnn train` has kept.

A training in one place takes minutes to hours and sends nothing, so it is no run of a network. A run of this kind reads
what trainings have kept, and refuses where something is missing; so a study puts their accuracies into a table as it
does with any other runs, and states what ran. Its parties do nothing, and whatever ketwire counts of them is 0.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.nodes.central.accuracies import Accuracies, accuracies
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.graph.central import CentralSlice
from ketwire.quantum.means import deviation, half_width
from ketwire.scenarios.kinds.central.models import CentralResult, CentralSummary
from ketwire.scenarios.kinds.central.published import BARS, PUBLISHED
from ketwire.scenarios.kinds.central.spec import CentralSpec
from ketwire.scenarios.kinds.interface import Judge, Kind, Network

CONFIDENCE = 0.95


class Central(Kind):
    """See `ketwire.scenarios.kinds.interface.Kind`."""

    Spec = CentralSpec
    Result = CentralResult

    def sessions(self, spec: CentralSpec, network: Network) -> Sequence[Session]:
        if spec.beside == spec.activation:
            raise ScenarioError(f"protocol.beside: {spec.beside} given, expected another activation, or null")
        slices = {party: CentralSlice() for party in network.parties}
        return [Session("central", "quantum", "central", slices)]

    def reads(self, spec: CentralSpec, base: str) -> Sequence[str]:
        kept = [_folder(spec, activation, base) for activation in _activations(spec)]
        names = [f"*seed-{seed}.npz" for seed in range(spec.seeds)]
        return [str(file) for folder in kept for name in names for file in sorted(folder.glob(name))]

    def check(self, spec: CentralSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        for activation in _activations(spec):
            _read(spec, activation, network.base)

    def summarise(self, spec: CentralSpec, results: Sequence[SessionResult], judge: Judge) -> CentralSummary:
        found = _read(spec, spec.activation, judge.network.base)
        means = [float(mean) for mean in found.last.mean(axis=1)]
        told: dict[str, Any] = {"difference": None, "difference_half_width": None}
        if spec.beside is not None:
            others = _read(spec, spec.beside, judge.network.base).last.mean(axis=1)
            pairs = [mean - float(other) for mean, other in zip(means, others, strict=True)]
            told["difference"] = math.fsum(pairs) / len(pairs)
            told["difference_half_width"] = half_width(pairs, CONFIDENCE) if len(pairs) > 1 else None
        published = PUBLISHED.get((spec.set, spec.activation))
        best = found.best
        return CentralSummary(
            accuracy=math.fsum(means) / len(means),
            deviation=_deviation(found, means),
            trained=found.last.size,
            best_epoch_accuracy=None if best is None else float(best.mean()),
            best_epoch_deviation=None if best is None else float(best.std(axis=1).mean()),
            published=None if published is None else published.accuracy,
            published_deviation=None if published is None else published.deviation,
            bar=BARS.get(spec.set) if spec.activation == "degree-2" else None,
            verdict="nothing was sent: these networks were trained in one place.",
            **told,
        )


def _deviation(found: Accuracies, means: list[float]) -> float | None:
    """Between folds, the mean over seeds of the deviation of all folds; between seeds where there are no folds."""
    if found.best is not None:
        return float(found.last.std(axis=1).mean())
    return deviation(means) if len(means) > 1 else None


def _activations(spec: CentralSpec) -> list[str]:
    return [spec.activation, *([] if spec.beside is None else [spec.beside])]


def _folder(spec: CentralSpec, activation: str, base: str) -> Path:
    return Path(base, os.path.expanduser(spec.models), spec.set, spec.settings, activation)


def _read(spec: CentralSpec, activation: str, base: str) -> Accuracies:
    try:
        return accuracies(_folder(spec, activation, base), range(spec.seeds))
    except ScenarioError as error:
        raise ScenarioError(f"protocol.models: {error}") from None
