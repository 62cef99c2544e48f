"""The kind `training`: its spec, its sessions, its result and the checks beside a run.

No other kind imports it; `benchmarks` does, to choose settings. The table of kinds names `kind`.

- `check`: How far each step's gradient was from the exact one, at the parameters that the step had. With --check
  alone.
- `kind`: The kind `training`: a circuit whose layers belong to many parties, trained on the wire.
- `models`: What a training came to.
- `results`: What a training came to: losses, accuracies, costs by step, overhead, and how its rivals did.
- `spec`: What a scenario says under `protocol` for the kind `training`.
"""
