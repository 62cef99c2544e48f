"""Derivatives by shifted inferences: streams of n qubits in which an owner runs another circuit at one visit.

The gate's owner shifts its angles; everybody else knows from what the owner told before the start how many
runs there are. The party that measures ends by telling each owner the outcomes of the owner's runs, over the
links of the path. It serves the kind `gradient`, of one input, and training, of a batch of samples.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import States
from ketwire.channels.messages import Answers
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.gradient.features import Share
from ketwire.protocols.gradient.forward import ForwardStage
from ketwire.protocols.node import Node
from ketwire.protocols.stream import Stage, Tally, report_hops
from ketwire.quantum.gradients.parameter_shift import ShiftPlan
from ketwire.quantum.segments import Segment

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Runs = Mapping[int, int]
"""How many runs each visit's unitary has, in the order in which they take place."""


async def run_shifted(
    node: Node,
    share: Share,
    inputs: States | None,
    items: int,
    runs: Runs,
    copies: Mapping[int, int],
    plans: Mapping[int, ShiftPlan],
    stream: Callable[[int, Stage | None], Awaitable[Tally]],
) -> dict[int, Floats]:
    """Every run of every visit, and its outcomes told: this party's derivatives of <Π>, by visit, (items, parameters).

    copies: measured of each item in a run, by visit. plans: this party's own. stream: carries one run of a
    visit; a repeater has no stage.

    Raises:
        RemoteProtocolError: a peer told other numbers than the plan has.
    """
    zeros = {visit: np.zeros((count, items), dtype=np.int64) for visit, count in runs.items()}
    for visit, count in runs.items():
        for index in range(count):
            mine = {visit: _shifted(plans[visit], index)} if visit in plans else {}
            turned = replace(share, segments={**share.segments, **mine})
            tally = await stream(visit, ForwardStage(turned, items, inputs) if node.name in share.path else None)
            if tally.counts is not None:
                zeros[visit][index] = tally.counts[:, 0]
    heard = await share_outcomes(node, share.path, zeros, copies)
    return {visit: plan.gradient(heard[visit] / copies[visit]) for visit, plan in plans.items()}


def _shifted(plan: ShiftPlan, index: int) -> Segment:
    return Segment(plan.circuit, plan.angles[index])


async def share_outcomes(
    node: Node, path: Sequence[str], zeros: Mapping[int, Integers], copies: Mapping[int, int]
) -> dict[int, Integers]:
    """Tell every owner how often each of its runs had the outcome that counts: backwards, over the path's links.

    What passes from party to party is what the listener needs, and those who hear from it. zeros: of each
    visit, (runs, items), right at the last party and of the right shape at all.

    Raises:
        RemoteProtocolError: a peer told other numbers than the plan has.
    """
    known, hops = dict(zeros), report_hops(path)
    needs = {party: {visit for visit in zeros if path[visit] == party} for party in path}
    for listener, teller in reversed(hops):
        if teller != path[-1]:
            needs[teller] |= needs[listener]
    for listener, teller in hops:
        wanted = [visit for visit in zeros if visit in needs[listener]]
        if not wanted or node.name not in (listener, teller):
            continue
        most = np.concatenate([np.full(known[visit].size, copies[visit]) for visit in wanted])
        if teller == node.name:
            told = np.concatenate([known[visit].reshape(-1) for visit in wanted])
            await node.send(listener, Answers(told, max(1, int(most.max()).bit_length())))
            continue
        values = (await node.receive(teller, Answers)).values
        if values.shape != most.shape or ((values < 0) | (values > most)).any():
            raise RemoteProtocolError(f"{teller} told other outcomes than copies of each run can have")
        ends = np.cumsum([known[visit].size for visit in wanted])[:-1]
        for visit, part in zip(wanted, np.split(values, ends), strict=True):
            known[visit] = part.reshape(known[visit].shape)
    return known
