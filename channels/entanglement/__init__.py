"""Heralded pairs: how they are made, distilled, extended by chains of repeaters, and kept.

The rest of `channels` imports it where a link makes pairs, and `nodes` and `scenarios` may as well. `protocols`
imports `held` alone, the messages about pairs.

- `chain`: A link whose pairs come from a chain of repeaters, as a description (see `channels.line`).
- `cutoff`: Halves that are given up: a pair at a repeater that has waited too long for the other one is thrown away.
- `delivery`: Pairs at deadlines: every so often a pair is handed over, and another state where none was made in time.
- `distill`: Entanglement distillation: fewer pairs, better ones.
- `extension`: What a fiber does to pairs that are sent over it: each of them reaches one node further.
- `generation`: Pairs in time: when each pair is there that a scheme makes in the memory slots of a link.
- `given`: Pairs that are known by what was measured of them: their rate and their state.
- `held`: Pairs between a far node and their holder, and the notice that memories are free again.
- `heralding`: How entangled pairs are made over a fiber: attempts and heralds. `channels.entanglement.generation` has
  their times.
- `laboratory`: What a laboratory adds to click schemes: how attempts follow each other, where the station is, what
  emitters do.
- `local`: Operations on halves of pairs at the nodes that hold them: what their errors do to pairs.
- `pairs`: Pairs of entangled qubits: what they are and what becomes of them, as functions on arrays.
- `rounds`: One round of distillation: what two pairs become, with the errors of the gates and readouts at their ends.
- `stock`: The end-to-end link of a chain at work: a stock of finished pairs, and registers that use them up.
- `teleporting`: The machine of the transport `teleport`: memory slots that make pairs, and registers that use them
  up.
"""
