"""How many copies of |Phi> the estimators of gradients need as the number of parameters grows.

    python -m benchmarks.growth [--out FILE] [--qubits 3 4 5 6] [--most 10000] [--instances 3]
                                [--epsilon 0.1] [--delta 0.1] [--noise 2]

One unitary of P parameters on n qubits (R_y, R_z and a chain of CZ, over and over; random angles) between a
random input and a random V. `claimed` is what `copies` asks for. `needed` is measured: the copies at which the
largest error of all P derivatives stays below epsilon in all but a share delta of runs. Errors fall with the
root of the copies, so it follows from the quantile of RUNS runs at `at` copies, which is moved until it is no more
than NEAR times off. Shadow tomography decides by itself: `needed` is what it used, and its largest error, its
ledger, its updates, the number of derivatives that it could not have passed over (`large`, above 3/4 epsilon) and
the share of the relative entropy of |Phi> to its hypothesis that the updates took away (`spent`: what theory bounds
them by) are kept; as its runs differ most, it has twice the instances.

Each point has random streams of its own, so the order does not matter. With --out every point is added to FILE
as a line of JSON when it is done, and what stands there is not measured again. `benchmarks.growth_fits` tells
what the points say.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Self

import numpy as np

from benchmarks import points
from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gradients.estimation import Demand, Held, Promise, half_ranges
from ketwire.quantum.gradients.estimators import FROM_FEATURES
from ketwire.quantum.gradients.features import Block, blocks_of, contributions
from ketwire.quantum.gradients.shadow_tomography import ShadowTomography
from ketwire.quantum.gradients.shadows import MOST_GROUPS
from ketwire.quantum.gradients.tangents import Tangents
from ketwire.quantum.segments import Segment

PARAMETERS = (10, 30, 100, 300, 1000, 3000, 10000)
RUNS = {"direct": 40, "commuting": 40, "classical-shadows": 16, "tomography": 40}
GUESS = {"direct": 1.4, "commuting": 1.4, "classical-shadows": 6.0, "tomography": 400.0}  # see `_guess`
ESTIMATORS = (*RUNS, ShadowTomography.name)
NEAR = 1.5
LOOKS = 6
SHORT = {"qubits": "n", "parameters": "P"}  # in the file

Job = tuple[str, int, int, int]  # an estimator, qubits, parameters and a seed


@dataclass(frozen=True)
class Settings:
    """What all points of a file have in common: its first line."""

    epsilon: float = 0.1
    delta: float = 0.1
    noise: float = ShadowTomography.noise

    def promise(self, parameters: int) -> Promise:
        return Promise(self.epsilon, self.delta, parameters)


@dataclass(frozen=True)
class Point(points.Point):
    """One instance of one estimator. at: of all but shadow tomography. error and what follows: of that alone."""

    estimator: str
    qubits: int
    parameters: int
    seed: int
    claimed: int
    needed: int
    at: int = 0
    error: float = 0.0
    ledger: float = 0.0
    updates: int = 0
    large: int = 0
    spent: float = 0.0

    @property
    def key(self) -> Job:
        return self.estimator, self.qubits, self.parameters, self.seed

    def line(self) -> str:
        """What differs from nothing, as JSON."""
        told = {SHORT.get(name, name): value for name, value in asdict(self).items() if value or name == "seed"}
        return json.dumps(told, separators=(",", ":"))

    @classmethod
    def of(cls, line: str) -> Self:
        long = {short: name for name, short in SHORT.items()}
        return cls(**{long.get(name, name): value for name, value in json.loads(line).items()})


@dataclass(frozen=True, eq=False)
class Instance:
    """|Phi> of a random unitary."""

    segment: Segment
    phi: np.ndarray

    @classmethod
    @lru_cache(maxsize=1)  # all estimators of an instance come one after the other
    def drawn(cls, qubits: int, parameters: int, seed: int) -> Instance:
        rng = np.random.default_rng([seed, qubits, parameters])
        whole = layers.hardware_efficient(qubits, -(-parameters // (2 * qubits)), "yz", "cz-chain")
        gates = tuple(gate for gate in whole.gates if not gate.slots or gate.slots[0] < parameters)
        U = Segment(Circuit(qubits, gates, parameters), rng.uniform(0, 2 * np.pi, parameters))
        V = layers.random_unitary(qubits, rng)
        mu = layers.haar_state(qubits, rng)
        after = U.apply(mu) @ V.T
        after[:, 1 << (qubits - 1) :] *= -1  # 2Π - 1, with Π = P0 of the first qubit
        return cls(U, np.concatenate([mu, after @ V.conj()], axis=1) / np.sqrt(2))

    @property
    def blocks(self) -> tuple[Block, ...]:
        return blocks_of(self.segment.circuit)

    @cached_property
    def exact(self) -> np.ndarray:
        """All derivatives, (P,)."""
        return np.asarray(contributions(self.segment, self.phi)[0])

    @cached_property
    def tangents(self) -> Tangents:
        return Tangents.of(self.segment)


def sampled(name: str, case: Instance, promise: Promise, rng: np.random.Generator) -> tuple[int, int, int]:
    """(claimed, needed, at) of an estimator that measures however many copies it is given."""
    tool = FROM_FEATURES[name]()
    claimed = tool.copies(case.blocks, promise)
    least = {"direct": len(case.exact), "commuting": len(case.blocks)}.get(name, MOST_GROUPS)

    def scaled(copies: int) -> int:
        """Copies at which the quantile would be epsilon."""
        held = Held.pure(np.repeat(case.phi, RUNS[name], axis=0), copies)
        found = tool.estimate(held, case.segment, promise, rng).values
        error = np.quantile(np.abs(found - case.exact).max(axis=1), 1 - promise.delta)
        return max(least, round(copies * float(error / promise.epsilon) ** 2))

    at = max(least, round(_guess(name, case, promise, claimed)))
    for _ in range(LOOKS):
        needed = scaled(at)
        if at / NEAR <= needed <= at * NEAR:
            return claimed, needed, at
        at = needed
    raise RuntimeError(f"{name}: no number of copies found at which the error is near {promise.epsilon}")


def _guess(name: str, case: Instance, promise: Promise, claimed: int) -> float:
    """Where to look first: a share of what is claimed, or of what Hoeffding's inequality asks for."""
    if name in ("direct", "commuting"):
        asked = Demand.of(case.blocks)
        parts = asked.readings if name == "direct" else asked.blocks
        claimed = parts * math.ceil(2 * promise.log_term * asked.squares / promise.epsilon**2)
    return claimed / GUESS[name]


def measured(settings: Settings, job: Job) -> Point:
    name, qubits, parameters, seed = job
    case = Instance.drawn(qubits, parameters, seed)
    promise = settings.promise(parameters)
    rng = np.random.default_rng([seed, qubits, parameters, 1 + ESTIMATORS.index(name)])
    if name in RUNS:
        return Point(name, qubits, parameters, seed, *sampled(name, case, promise, rng))
    tool = ShadowTomography(settings.noise)
    radii, _ = half_ranges(case.blocks)
    claimed = tool.copies(case.blocks, promise)
    run = tool.learn(case.tangents, radii, case.phi, np.array([claimed]), promise, rng)
    assert run.converged
    error = float(np.abs(run.means - case.exact).max())
    large = int((np.abs(case.exact) > 0.75 * promise.epsilon).sum())
    told = round(error, 4), round(run.disturbance, 3), run.updates, large, round(spent(case.phi[0], run.hypothesis), 4)
    return Point(name, qubits, parameters, seed, claimed, run.used, 0, *told)


def spent(state: np.ndarray, hypothesis: np.ndarray) -> float:
    """How much of ln D the relative entropy of a pure state to a hypothesis has fallen: from 0 to 1."""
    values, vectors = np.linalg.eigh(hypothesis)
    assert values[0] > 1e-13
    left = -float(np.abs(vectors.conj().T @ state) ** 2 @ np.log(values))
    return 1 - left / np.log(len(state))


def jobs(options: argparse.Namespace) -> list[Job]:
    """What is to be measured, small unitaries first."""
    return [
        (name, qubits, parameters, seed)
        for parameters in PARAMETERS if parameters <= options.most
        for qubits in options.qubits
        for seed in range(2 * options.instances)
        for name in (ESTIMATORS if seed < options.instances else ESTIMATORS[-1:])
    ]  # fmt: skip


def parsed(lines: Sequence[str]) -> tuple[Settings, list[Point]]:
    return Settings(**json.loads(lines[0])), [Point.of(line) for line in lines[1:]]


def read(path: Path) -> tuple[Settings, list[Point]]:
    """The settings and points of a file."""
    return parsed(points.whole_lines(path))


def opened(path: Path, settings: Settings) -> list[Point]:
    """What a file has, which is made if it is not there, and ends with a whole line afterwards.

    ValueError where its points were measured with other settings.
    """
    lines = points.whole_lines(path) or [json.dumps(asdict(settings)) + "\n"]
    before, found = parsed(lines)
    if before != settings:
        raise ValueError(f"{path}: {before} given, expected {settings}")
    path.write_text("".join(lines))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("\n")[0])
    parser.add_argument("--epsilon", type=float, default=Settings.epsilon)
    parser.add_argument("--delta", type=float, default=Settings.delta)
    parser.add_argument("--noise", type=float, default=Settings.noise, help="of shadow tomography")
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--qubits", type=int, nargs="+", default=[3, 4, 5, 6])
    parser.add_argument("--most", type=int, default=PARAMETERS[-1], help="the largest P")
    parser.add_argument("--out", type=Path, help="a file of JSON lines to go on with")
    options = parser.parse_args(arguments)
    settings = Settings(options.epsilon, options.delta, options.noise)
    try:
        found = opened(options.out, settings) if options.out else []
    except ValueError as wrong:
        parser.error(str(wrong))
    points.measure(jobs(options), partial(measured, settings), found, options.out)
    from benchmarks.growth_fits import report

    print(report(found))


if __name__ == "__main__":
    main()
