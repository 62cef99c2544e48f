"""How often iterative amplitude estimation uses the circuit, over random amplitudes.

    python -m benchmarks.amplitude

Each shot is drawn from its closed form. `over` is the share of estimates off by more than epsilon, and delta
what was promised.
"""

from __future__ import annotations

import math

import numpy as np

from ketwire.quantum.amplitude import AmplitudeEstimation, success_probability
from ketwire.quantum.binomial import count_for

DELTA, AMPLITUDES = 0.05, 100
EPSILONS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0001)
LEAST_CAPPED = 0.003  # below it, capped runs take long


def measure(setting: AmplitudeEstimation, rng: np.random.Generator) -> tuple[float, float]:
    """Mean uses of the circuit, and the share of estimates that are off."""
    uses, over = [], 0
    for a in rng.random(AMPLITUDES):
        theta, progress = math.asin(math.sqrt(a)), setting.start()
        while not progress.done:
            shots = progress.request
            progress = progress.told(int(rng.binomial(shots.count, success_probability(theta, shots.power))))
        uses.append(progress.uses)
        over += abs(progress.estimate - a) > setting.epsilon
    return float(np.mean(uses)), over / AMPLITUDES


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"most steps  epsilon        uses  over (delta {DELTA})    sampling")
    for most_power in (None, 5, 0):
        for epsilon in EPSILONS:
            if most_power is None or epsilon >= LEAST_CAPPED:
                uses, over = measure(AmplitudeEstimation(epsilon, DELTA, most_power), rng)
                sampling = count_for(epsilon, DELTA)
                print(f"{most_power!s:>10} {epsilon:8g} {uses:11.4g} {over:6.2f} {sampling:22,d}")


if __name__ == "__main__":
    main()
