"""The kinds of protocol: their interface, what several of them need, and a folder for each larger kind.

`scenarios.load` and `scenarios.runs` know kinds by `interface` alone, and import of the rest only what serves every
kind (`bias`, `verdict`). A kind is imported when a scenario names it.

- `bias`: What an estimate is an estimate of: the noisy expectation, and the bias of that against the ideal value.
- `compiled`: Whether a session needs the extra `fast`: told before it starts, and by `ketwire validate`.
- `decoys`: The kind `decoys`: inference over one crossing, with decoy copies that look for an eavesdropper.
- `descriptions`: The rival that sends angles (`description`): where it can run, who collects, and what each party is
  told.
- `imperfect`: What nodes that err or take time mean for estimates of gradients: who can read there, and what is
  noisy.
- `interface`: The interface of protocol kinds, which the built-in ones implement too.
- `layer_specs`: Layers as a scenario says them: what each needs, and which node owns and applies it.
- `margin`: The key `margin` of all kinds that stream copies, and what results say of copies that were emitted again.
- `paths`: The way of a register through the parties, by the layers of a spec, and what each party is told of it.
- `result`: What a run came to, as types: the part of ketwire, which counts, and the part of a kind.
- `routes`: What the way of a register over a network is made of: its crossings, its flags, and how wide it may
  become.
- `verdict`: Who wins: accuracy first, then what was sent, and no more than what ran.
"""
