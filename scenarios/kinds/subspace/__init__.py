"""The kind `subspace`: its spec, and its two tasks.

No other kind imports it; `benchmarks` does, to measure measurements. The table of kinds names `kind`.

- `classify`: The task `classify` of the kind `subspace`: vectors of the sender, training data of the receiver,
  labels.
- `kind`: The kind `subspace`: one crossing of log2 N qubits, and the classical messages that would do the same.
- `models`: What a run of the kind `subspace` came to, by task.
- `promise`: The task `promise` of the kind `subspace`: the judge deals a half space and vectors inside or outside of
  it.
- `spec`: What a scenario says under `protocol` for the kind `subspace`: one of two tasks, told apart by `task`.
- `tasks`: What both tasks of the kind `subspace` need: the line, their sessions, and figures of their results.
"""
