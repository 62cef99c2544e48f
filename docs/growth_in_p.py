"""Draws docs/growth-in-p.svg from the points of `python -m benchmarks.growth`:

python docs/growth_in_p.py < benchmarks/results/growth.jsonl > docs/growth-in-p.svg
"""

import json
import math
import sys
from collections import defaultdict

TOP, BOTTOM, WIDTH = 46, 330, 300
LEFTS = (64, 566)
SPACING = 15
FIRST, LAST = 1, 4  # decades of P
COLOURS = ("#0b6e4f", "#31529c", "#b5541c", "#7a1f5c", "#444444")
ESTIMATORS = ("shadow-tomography", "direct", "classical-shadows", "commuting", "tomography")


class Panel:
    """One pair of logarithmic axes: P, and copies from 10**low to 10**high."""

    def __init__(self, left: int, title: str, low: int, high: float) -> None:
        self.left, self.low, self.high = left, low, high
        self.labels: list[tuple[float, str, str]] = []
        middle = left + WIDTH / 2
        print(f'<text x="{left - 40}" y="22" font-size="14">{title}</text>')
        for decade in range(low, math.floor(high) + 1):
            y = self.y(10**decade)
            print(f'<line x1="{left}" x2="{left + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
            print(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{power(decade)}</text>')
        for decade in range(FIRST, LAST + 1):
            print(f'<text x="{self.x(10**decade):.1f}" y="{BOTTOM + 20}" text-anchor="middle">{power(decade)}</text>')
        print(f'<text x="{middle}" y="{BOTTOM + 42}" text-anchor="middle">P, parameters of the unitary</text>')

    def x(self, P: float) -> float:
        return self.left + (math.log10(P) - FIRST) / (LAST - FIRST) * WIDTH

    def y(self, copies: float) -> float:
        return BOTTOM - (math.log10(copies) - self.low) / (self.high - self.low) * (BOTTOM - TOP)

    def curve(self, needed: dict[int, float], colour: str, label: str) -> None:
        points = " ".join(f"{self.x(P):.1f},{self.y(needed[P]):.1f}" for P in sorted(needed))
        print(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.2"/>')
        for P, copies in needed.items():
            print(f'<circle cx="{self.x(P):.1f}" cy="{self.y(copies):.1f}" r="3" fill="{colour}"/>')
        self.labels.append((self.y(needed[max(needed)]) + 4, colour, label))

    def write_labels(self) -> None:
        """From the top down, none on another."""
        above = 0.0
        for wanted, colour, label in sorted(self.labels):
            above = max(wanted, above + SPACING)
            print(f'<text x="{self.left + WIDTH + 10}" y="{above:.1f}" fill="{colour}">{label}</text>')

    def mark(self, P: float, copies: float, colour: str) -> None:
        """Where a curve of this colour passes P: a short upright line."""
        x, y = self.x(P), self.y(copies)
        line = f'x1="{x:.1f}" x2="{x:.1f}" y1="{y - 16:.1f}" y2="{y + 16:.1f}"'
        print(f'<line {line} stroke="{colour}" stroke-width="2" stroke-dasharray="4 2"/>')


def power(decade: int) -> str:
    return str(10**decade) if decade < 4 else f'10<tspan dy="-5" font-size="9">{decade}</tspan>'


def between(needed: dict[int, float], P: float) -> float:
    """The curve's height at P, straight between its points."""
    below = max(each for each in needed if each <= P)
    above = min(each for each in needed if each > P)
    share = math.log(P / below) / math.log(above / below)
    return math.exp((1 - share) * math.log(needed[below]) + share * math.log(needed[above]))


def main() -> None:
    logs: dict[tuple[str, int], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in sys.stdin.read().splitlines()[1:]:
        point = json.loads(line)
        logs[point["estimator"], point["n"]][point["P"]].append(math.log(point["needed"]))
    needed = {key: {P: math.exp(sum(each) / len(each)) for P, each in of.items()} for key, of in logs.items()}
    qubits = sorted({n for _, n in needed})
    print('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 385" font-family="sans-serif" font-size="13">')
    print('<rect width="940" height="385" fill="white"/>')
    left = Panel(LEFTS[0], f"Copies of |Φ⟩ needed, n = {qubits[-1]}", 2, 8.3)
    for name, colour in zip(ESTIMATORS, COLOURS, strict=True):
        left.curve(needed[name, qubits[-1]], colour, name)
    left.write_labels()
    right = Panel(LEFTS[1], "shadow-tomography alone; dashes at P = 4ⁿ − 1", 5, 8.3)
    for n, colour in zip(qubits, COLOURS, strict=False):
        of = needed[ESTIMATORS[0], n]
        right.curve(of, colour, f"n = {n}")
        right.mark(4**n - 1, between(of, 4**n - 1), colour)
    right.write_labels()
    print("</svg>")


main()
