"""The kind `inference`: its spec, two ways to estimate the loss, and its rivals.

Other kinds import its spec, which theirs extend, and `decoys` the kind itself. It imports no other kind.

- `amplitude`: Inference with `estimation: amplitude`: what of the kind is different where copies bounce along the
  path.
- `kind`: The kind `inference`: a circuit whose layers belong to many parties, its loss estimated on the wire.
- `models`: What an inference came to, by either way to estimate.
- `rivals`: The classical rivals of an inference: which can run, their sessions, and which were as accurate.
- `sampling`: Inference with `estimation: sampling`: every copy that arrives is measured.
- `spec`: What a scenario says of an inference, and the checks of its promise that gradients and trainings share.
"""
