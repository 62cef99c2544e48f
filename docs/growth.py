"""Draws docs/growth.svg from a measured run:

    ketwire run subspace --json | python docs/growth.py > docs/growth.svg
"""

import json
import math
import sys

LEFT, RIGHT, TOP, BOTTOM = 70, 470, 40, 330
CURVES = (
    # (label, colour, figure of one size, nudge of the label in px)
    ("qubits sent", "#0b6e4f", lambda size: size["qubits_per_decision"], 0),
    ("block code", "#b5541c", lambda size: size["rivals"]["block-code"]["bits_per_decision"], 0),
    ("vector, 1 bit an entry", "#7a1f5c", lambda size: size["rivals"]["raw-1-bit"]["bits_per_decision"], 4),
    ("the subspace described", "#31529c", lambda size: size["rivals"]["description"]["bits_for_one_decision"], 0),
)


def main() -> None:
    sizes = json.load(sys.stdin)["sizes"]
    top = math.ceil(math.log10(max(figure(size) for _, _, figure, _ in CURVES for size in sizes)))

    def x(size: dict) -> float:
        first, last = sizes[0]["n"], sizes[-1]["n"]
        return LEFT + (size["n"] - first) / (last - first) * (RIGHT - LEFT)

    def y(value: float) -> float:
        return BOTTOM - math.log10(value) / top * (BOTTOM - TOP)

    print('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 390" font-family="sans-serif" font-size="13">')
    print('<rect width="740" height="390" fill="white"/>')
    print(f'<text x="{LEFT}" y="22" font-size="14">What one decision costs: is the vector in the subspace?</text>')
    for decade in range(top + 1):
        print(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y(10**decade):.1f}" y2="{y(10**decade):.1f}" stroke="#ddd"/>')
        print(f'<text x="{LEFT - 8}" y="{y(10**decade) + 4:.1f}" text-anchor="end">{10**decade:,}</text>')
    for size in sizes:
        print(f'<text x="{x(size):.1f}" y="{BOTTOM + 20}" text-anchor="middle">{size["N"]:,}</text>')
    print(f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 44}" text-anchor="middle">N, entries of the vector</text>')
    middle = (TOP + BOTTOM) / 2
    print(f'<text x="18" y="{middle}" text-anchor="middle" transform="rotate(-90 18 {middle})">qubits or bits</text>')
    for label, colour, figure, nudge in CURVES:
        points = " ".join(f"{x(size):.1f},{y(figure(size)):.1f}" for size in sizes)
        print(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        for size in sizes:
            print(f'<circle cx="{x(size):.1f}" cy="{y(figure(size)):.1f}" r="3.5" fill="{colour}"/>')
        last = figure(sizes[-1])
        print(
            f'<text x="{RIGHT + 12}" y="{y(last) + 4 + nudge:.1f}" fill="{colour}">{label}: {last:,.0f}</text>'
        )
    print("</svg>")


main()
