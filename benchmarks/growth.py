"""How many copies of |Phi> the estimators of gradients need as the number of parameters grows.

    python -m benchmarks.growth [--epsilon 0.1] [--delta 0.1] [--instances 4] [--qubits 3 4 5] [--noise 2]

One unitary of P parameters on n qubits (R_y, R_z and a chain of CZ, over and over; random angles) between a
random input and a random V. `claimed` is what `copies` asks for. `needed` is measured: the copies at which the
largest error of all P derivatives stays below epsilon in all but a share delta of runs, from the quantile of
RUNS runs at some number of copies, whose errors fall with its square root. Shadow tomography decides by itself:
`needed` is what it used, and its largest error and ledger are shown. Exponents are least-squares slopes of log
copies over log P; intervals are 95% of bootstrap resamples of the instances at each P.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.estimation import Held, Promise, half_ranges
from ketwire.quantum.estimators import FROM_FEATURES
from ketwire.quantum.features import blocks_of, contributions, phi
from ketwire.quantum.segments import Segment
from ketwire.quantum.shadow_tomography import ShadowTomography, means, operators

PARAMETERS = (10, 30, 100, 300, 1000)
FURTHER = {3: (3000, 10000), 4: (3000,), 5: (3000,)}  # for shadow tomography alone
RUNS = {"direct": 60, "commuting": 60, "classical-shadows": 16, "tomography": 16}
MOST_COPIES = 60_000  # a run of shadows or tomography measures; errors are scaled from there
RESAMPLES = 2000


@dataclass(frozen=True)
class Point:
    """One instance of one estimator. error, ledger: of shadow tomography."""

    estimator: str
    qubits: int
    parameters: int
    claimed: float
    needed: float
    error: float = 0.0
    ledger: float = 0.0


@dataclass(frozen=True)
class Instance:
    """|Phi> of a random unitary, and its exact derivatives."""

    segment: Segment
    phi: np.ndarray
    exact: np.ndarray


def instance(qubits: int, parameters: int, seed: int) -> Instance:
    rng = np.random.default_rng([seed, qubits, parameters])
    whole = layers.hardware_efficient(qubits, -(-parameters // (2 * qubits)), "yz", "cz-chain")
    gates = tuple(gate for gate in whole.gates if not gate.slots or gate.slots[0] < parameters)
    U = Segment(Circuit(qubits, gates, parameters), rng.uniform(0, 2 * np.pi, parameters))
    V = Segment(layers.dense(layers.random_unitary(qubits, rng)))
    made = phi(layers.haar_state(qubits, rng), U, [V])
    return Instance(U, made, contributions(U, made)[0])


def sampled(name: str, case: Instance, promise: Promise, rng: np.random.Generator) -> Point:
    """Claimed and needed copies of an estimator that measures however many copies it is given."""
    tool, blocks = FROM_FEATURES[name](), blocks_of(case.segment.circuit)
    claimed = tool.copies(blocks, promise)
    copies = claimed if name in ("direct", "commuting") else min(claimed, MOST_COPIES)
    held = Held.pure(np.repeat(case.phi, RUNS[name], axis=0), copies)
    found = tool.estimate(held, case.segment, promise, rng).values
    error = np.quantile(np.abs(found - case.exact).max(axis=1), 1 - promise.delta)
    needed = copies * float(error / promise.epsilon) ** 2
    return Point(name, case.segment.qubits, promise.parameters, claimed, needed)


def shadow(case: Instance, promise: Promise, tool: ShadowTomography, rng: np.random.Generator) -> Point:
    blocks = blocks_of(case.segment.circuit)
    claimed = tool.copies(blocks, promise)
    sums, _ = half_ranges(blocks)
    _, ops = operators(case.segment)
    run = tool.learn(ops, sums, case.phi, np.array([claimed]), promise, rng)
    assert run.converged
    error = float(np.abs(means(ops, run.hypothesis[None])[0] - case.exact).max())
    return Point(tool.name, case.segment.qubits, promise.parameters, claimed, run.used, error, run.disturbance)


def points(qubits: int, options: argparse.Namespace) -> Iterator[Point]:
    for parameters in (*PARAMETERS, *FURTHER.get(qubits, ())):
        promise = Promise(options.epsilon, options.delta, parameters)
        for seed in range(options.instances):
            case, rng = instance(qubits, parameters, seed), np.random.default_rng([seed, parameters, 1])
            if parameters in PARAMETERS:
                yield from (sampled(name, case, promise, rng) for name in RUNS)
            yield shadow(case, promise, ShadowTomography(options.noise), rng)


def slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def exponent(found: list[Point], rng: np.random.Generator, least: int = 0) -> tuple[float, float, float]:
    """Slope of log needed over log P from P = `least` on, and its bootstrap interval."""
    groups = {p: [point.needed for point in found if point.parameters == p]
              for p in sorted({point.parameters for point in found if point.parameters >= least})}  # fmt: skip
    x = np.repeat(list(groups), [len(group) for group in groups.values()])
    slopes = []
    for _ in range(RESAMPLES):
        y = np.concatenate([rng.choice(group, len(group)) for group in groups.values()])
        slopes.append(slope(x, y))
    low, high = np.quantile(slopes, [0.025, 0.975])
    return slope(x, np.concatenate([np.array(group) for group in groups.values()])), float(low), float(high)


def misfits(found: list[Point]) -> tuple[float, float, float]:
    """Root mean square misfit, in log copies, of A P^b and of A (ln P)^b, and the latter's b."""
    p = np.array([point.parameters for point in found], dtype=float)
    y = np.log([point.needed for point in found])
    result = []
    for x in (np.log(p), np.log(np.log(p))):
        fit = np.polyfit(x, y, 1)
        result.append((float(np.sqrt(np.mean((np.polyval(fit, x) - y) ** 2))), float(fit[0])))
    return result[0][0], result[1][0], result[1][1]


def report(found: list[Point]) -> None:
    rng = np.random.default_rng(1)
    print("estimator            n      P      claimed      needed   error  ledger")
    keys = sorted({(point.estimator, point.qubits, point.parameters) for point in found})
    for name, qubits, parameters in keys:
        same = [p for p in found if (p.estimator, p.qubits, p.parameters) == (name, qubits, parameters)]
        needed = np.exp(np.mean(np.log([point.needed for point in same])))
        error, ledger = max(point.error for point in same), np.mean([point.ledger for point in same])
        extra = f"  {error:.3f}   {ledger:.2f}" if name == ShadowTomography.name else ""
        print(f"{name:18s} {qubits:3d} {parameters:6d} {same[0].claimed:12.3g} {needed:11.3g}{extra}")
    print()
    for name, qubits in sorted({(point.estimator, point.qubits) for point in found}):
        same = [p for p in found if (p.estimator, p.qubits) == (name, qubits)]
        told = "P^{:.2f} ({:.2f} to {:.2f})".format(*exponent(same, rng))
        if name == ShadowTomography.name:
            told += "; from P = 300 on P^{:.2f} ({:.2f} to {:.2f})".format(*exponent(same, rng, 300))
            told += "; misfit {:.2f} against {:.2f} of (ln P)^{:.1f}".format(*misfits(same))
        print(f"{name:18s} n = {qubits}: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("\n")[0])
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--delta", type=float, default=0.1)
    parser.add_argument("--instances", type=int, default=4)
    parser.add_argument("--qubits", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--noise", type=float, default=ShadowTomography.noise, help="of shadow tomography")
    options = parser.parse_args()
    found = [point for qubits in options.qubits for point in points(qubits, options)]
    report(found)


if __name__ == "__main__":
    main()
