"""A session run once more with a witness: what its outcomes are drawn from, not what is drawn.

A party measures copies and learns counts. How likely each outcome was, only a simulator can tell; averaged
over all copies that were measured it is the *noisy expectation*, the expected value of the estimate with the
network's noise. It has no shot noise of the outcomes. It has that of losses, waiting times and of errors
drawn copy by copy, and the standard error says how much. Inline and with --check alone: no party of
a run is told.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.sums import exact_sum
from ketwire.nodes.inline import InlineSession, load_session
from ketwire.nodes.party import PartyNode
from ketwire.nodes.session import Run, Session, agree
from ketwire.nodes.threads import one_thread


class Expectation(NamedTuple):
    """The mean probability of outcome 0, over all measured copies, and its standard error."""

    mean: float
    standard_error: float
    copies: int


class WitnessNode(PartyNode):
    """A party's machine that notes down how likely outcome 0 was, of each copy that it measures."""

    copies, total, squares = 0, 0.0, 0.0

    def _outcomes(
        self, probabilities: NDArray[np.float64], copies: NDArray[np.int64], items: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        likely = probabilities[:, 0]
        self.copies += int(copies.sum())
        self.total += float(copies @ likely)
        self.squares += float(copies @ likely**2)
        return super()._outcomes(probabilities, copies, items)


class _WitnessSession(InlineSession):
    node_class = WitnessNode


def expectation(run: Run, session: Session, base: str = ".") -> Expectation:
    """Run `session` of `run` inline; where copies are drawn from the same streams, they meet the same fate.

    Raises:
        ScenarioError: bad data. LocalProtocolError: nothing was measured.
    """
    with one_thread():
        _, programs = load_session(run, session, base)
        public = agree({party: program.shapes for party, program in programs.items()})
        held = _WitnessSession(run, session, programs, public)
        held.finish()
    nodes = [node for node in held.nodes.values() if isinstance(node, WitnessNode)]
    copies = sum(node.copies for node in nodes)
    total, squares = exact_sum(node.total for node in nodes), exact_sum(node.squares for node in nodes)
    assert copies > 0
    mean = total / copies
    # Rounding leaves a variance of some 1e-16 where all copies are alike.
    variance = max(squares / copies - mean**2, 0.0)
    return Expectation(mean, math.sqrt(variance / copies), copies)
