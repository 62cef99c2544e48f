"""What an estimate is an estimate of: the noisy expectation, and the bias of that against the ideal value.

Measured copies give what the network answers *as it is*, with its noise, memories and imperfect nodes: the
noisy expectation. (epsilon, delta) speak of that alone. How far it is from the answer of a network without
noise, the ideal value, is the bias, and no number of copies reduces it. With --check both are worked out: the
quantum session runs once more, inline, with a witness (`nodes.witness`), on density matrices where they fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ketwire.quantum.binomial import accuracy_of
from ketwire.scenarios.kinds.result import Noisy, Reference, RunResult

if TYPE_CHECKING:
    from ketwire.nodes.session import Run
    from ketwire.scenarios.load import Loaded

CONFIDENCE = 0.95
"""Of the interval around an estimate where the scenario asks for copies and not for epsilon and delta."""

NOTHING = 1e-9
"""A bias that is rounding."""


def bias(loaded: Loaded, run: Run, exact: Any) -> Reference:
    """The entry `noisy` of a result, for kinds with a `witness`; empty for others.

    exact: the ideal value

    epsilon and delta are of the binomial law.
    """
    from ketwire.nodes.witness import expectation  # noqa: PLC0415

    kind, spec = loaded.kind, loaded.scenario.protocol
    witness = kind.witness(spec, loaded.network(), run.sessions[0])
    if witness is None:
        return Reference()
    session, alike = witness
    # The built-in engine models every line, and is the one that is in this interpreter.
    links = tuple(
        replace(link, **{way: replace(getattr(link, way), engine="builtin") for way in ("forward", "backward")})
        for link in run.links
    )
    found = expectation(replace(run, links=links), session, loaded.base)
    delta = 1.0 - CONFIDENCE if spec.delta is None else spec.delta
    noisy = Noisy(
        expectation=found.mean,
        standard_error=0.0 if alike else found.standard_error,
        bias=found.mean - exact,
        epsilon=accuracy_of(spec.measured_copies, delta) if spec.epsilon is None else spec.epsilon,
        delta=delta,
    )
    return Reference(noisy=noisy)


def bias_lines(result: RunResult) -> list[str]:
    """The lines that tell a reader, after the table; none where nothing was worked out."""
    noisy, estimate, exact = result.noisy, result.estimate, result.exact
    # The kind `gradient` says with true or false whether there is noise, and tells its bias itself.
    if not isinstance(noisy, Noisy) or not isinstance(estimate, int | float) or not isinstance(exact, int | float):
        return []
    mean, error, shift = noisy.expectation, noisy.standard_error, noisy.bias
    off = abs(estimate - mean)
    rows = [
        (
            "estimate",
            f"{estimate:.5f}",
            f"from {result.copies:,} copies: off from the noisy expectation by {off:.2g}, and by at most "
            f"{noisy.epsilon:.3g} with probability {1 - noisy.delta:.6g}",
        ),
        (
            "noisy expectation",
            f"{mean:.5f}" + (f" +- {max(error, 1e-5):.5f}" if error else ""),
            "expected value, including noise",
        ),
        ("ideal value", f"{exact:.5f}", "expected value without noise"),
        ("bias", f"{shift:+.5f}" if abs(shift) > NOTHING else "0", _of_bias(shift, error)),
    ]
    width = max(len(figure) for _, figure, _ in rows)
    return [f"{name:<17}  {figure:<{width}}  {told}" for name, figure, told in rows]


def _of_bias(shift: float, error: float) -> str:
    if abs(shift) <= max(NOTHING, 3.0 * error):
        return "noisy expectation minus ideal value: none" + (" beyond statistical error" if error else "")
    return "noisy expectation minus ideal value: more copies do not reduce it, less noise does"
