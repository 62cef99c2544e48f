"""Draws docs/graph-network.svg, one logit of a small graph network in three ways, each computed here:

    python docs/graph_network.py > docs/graph-network.svg
"""

import math

import numpy as np

from ketwire.protocols.graph.model import GraphModel, hidden, logits
from ketwire.protocols.graph.operators import Hops

# A ring of six nodes with two more at one of them; two tags, one-hot.
EDGES = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 0], [0, 6], [6, 7]])
TAGS = np.array([0, 0, 0, 0, 0, 0, 1, 1])
PLACES = [(150 + 46 * math.cos(math.pi / 3 * k), 175 + 46 * math.sin(math.pi / 3 * k)) for k in range(6)]
PLACES += [(232, 175), (262, 210)]
TEAL, ORANGE, BLUE, GREY = "#0b6e4f", "#b5541c", "#31529c", "#777777"
FEATURES = np.eye(2)[TAGS]
CONSTANT = 2.0
CELL = 11.0


def network() -> GraphModel:
    """Two hops, three hidden units, one logit."""
    random = np.random.default_rng(4)
    return GraphModel(
        "graph", (Hops("gcn", 2),), random.normal(size=(3, 2, 3)), random.normal(size=3) / 2, "degree-2",
        np.array([[0.1, 0.5, 0.3]]), random.normal(size=(3, 1)), np.array([0.2]),
    )  # fmt: skip


def quadratic_form(model: GraphModel) -> np.ndarray:
    """Q with logit = y Q y, where y is all features and then the constant, shape (V·D + 1, V·D + 1)."""
    nodes, width = FEATURES.shape
    still = hidden(model, nodes, EDGES, np.zeros_like(FEATURES)).ravel()
    columns = [
        hidden(model, nodes, EDGES, unit.reshape(nodes, width)).ravel() - still for unit in np.eye(nodes * width)
    ]
    to_hidden = np.stack([*columns, still / CONSTANT], axis=1)
    head = np.tile(model.head[:, 0], nodes)
    c0, c1, c2 = model.coefficients[0]
    form = c2 * to_hidden.T @ (head[:, None] * to_hidden)
    last = np.eye(len(form))[-1]
    linear = c1 * (head @ to_hidden) / CONSTANT
    form += (np.outer(linear, last) + np.outer(last, linear)) / 2
    return form + np.outer(last, last) * (c0 * head.sum() + model.head_bias[0]) / CONSTANT**2


def text(x: float, y: float, said: str, size: int = 12, anchor: str = "middle", colour: str = "black") -> None:
    print(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{said}</text>')


def arrow(x: float, y: float, length: float, said: str) -> None:
    print(f'<path d="M{x} {y}h{length}m-6 -4l6 4l-6 4" fill="none" stroke="{GREY}" stroke-width="1.5"/>')
    text(x + length / 2, y - 8, said, 11, colour=GREY)


def draw_network(logit: float) -> None:
    text(165, 52, "A graph network", 15)
    text(165, 72, "hops and weights, then a square, then a sum")
    for i, j in EDGES:
        (x, y), (u, v) = PLACES[i], PLACES[j]
        print(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{u:.1f}" y2="{v:.1f}" stroke="{GREY}" stroke-width="2"/>')
    print(f'<line x1="150" y1="105" x2="150" y2="245" stroke="{GREY}" stroke-dasharray="4 4"/>')
    text(118, 112, "Alice", 11, colour=GREY)
    text(178, 112, "Bob", 11, colour=GREY)
    for (x, y), tag in zip(PLACES, TAGS, strict=True):
        print(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="11" fill="{ORANGE if tag else TEAL}" stroke="white"/>')
    text(165, 285, "Z = S₀XW₀ + S₁XW₁ + S₂XW₂ + shift")
    text(165, 305, "logit = Σ R (c₂Z² + c₁Z + c₀) + bias")
    text(165, 338, f"= {logit:.6f}", 15, colour=BLUE)


def draw_form(form: np.ndarray, value: float) -> None:
    text(480, 52, "is a quadratic form of its features", 15)
    text(480, 72, "y: all features, and a constant s")
    side, most = len(form) * CELL, abs(form).max()
    left = 480 - side / 2
    for (row, column), entry in np.ndenumerate(form):
        strength = (abs(entry) / most) ** 0.5
        shade = TEAL if entry > 0 else ORANGE
        print(f'<rect x="{left + column * CELL:.1f}" y="{85 + row * CELL:.1f}" width="{CELL}" height="{CELL}" '
              f'fill="{shade}" fill-opacity="{strength:.2f}"/>')  # fmt: skip
    print(f'<rect x="{left:.1f}" y="85" width="{side:.1f}" height="{side:.1f}" fill="none" stroke="{GREY}"/>')
    text(480, 305, "logit = yᵀ Q y, Q from S, W, R and the c alone")
    text(480, 338, f"= {value:.6f}", 15, colour=BLUE)


def draw_measurement(values: np.ndarray, shares: np.ndarray, norm: float) -> None:
    text(795, 52, "and so an expectation value", 15)
    text(795, 72, "|x′⟩ = y / ‖y‖ on ⌈log₂(VD + 1)⌉ qubits")
    low, high, base, height = values.min(), values.max(), 235, 120

    def x(value: float) -> float:
        return 695 + (value - low) / (high - low) * 200

    print(f'<line x1="685" y1="{base}" x2="905" y2="{base}" stroke="{GREY}"/>')
    print(f'<line x1="{x(0):.1f}" y1="{base}" x2="{x(0):.1f}" y2="{base + 6}" stroke="{GREY}"/>')
    text(x(0), base + 20, "0", 11, colour=GREY)
    for value, share in zip(values, shares, strict=True):
        top = base - height * share / shares.max()
        colour = TEAL if value > 0 else ORANGE
        print(f'<line x1="{x(value):.1f}" y1="{base}" x2="{x(value):.1f}" y2="{top:.1f}" '
              f'stroke="{colour}" stroke-width="4"/>')  # fmt: skip
    text(795, 110, "probability pᵢ of outcome i", 11, colour=GREY)
    text(795, 272, "eigenvalue λᵢ of Q", 11, colour=GREY)
    text(795, 305, "logit = ‖y‖² ⟨x′|Q|x′⟩ = ‖y‖² Σ λᵢ pᵢ")
    text(795, 338, f"= {norm * float(values @ shares):.6f}", 15, colour=BLUE)


def main() -> None:
    model = network()
    logit = float(logits(model, EDGES, FEATURES)[0, 0])
    form = quadratic_form(model)
    y = np.append(FEATURES.ravel(), CONSTANT)
    values, vectors = np.linalg.eigh(form)
    shares = (vectors.T @ y) ** 2 / (y @ y)
    print('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 950 365" font-family="sans-serif">')
    print('<rect width="950" height="365" fill="white"/>')
    text(20, 24, "One logit, three ways, one number", 13, "start", GREY)
    draw_network(logit)
    arrow(318, 175, 40, "collect")
    draw_form(form, float(y @ form @ y))
    arrow(612, 175, 50, "measure")
    draw_measurement(values, shares, float(y @ y))
    print("</svg>")


main()
