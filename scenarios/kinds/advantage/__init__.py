"""The kind `advantage`: its spec, its sessions, and what follows a run.

No other kind imports it. The table of kinds names `kind`.

- `judging`: Scores of a run, its costs, and what both show beside the bounds: all that follows a run, in one place.
- `kind`: The kind `advantage`: tasks whose classical cost has a proved lower bound, over simulated links.
- `models`: What a run of the kind `advantage` came to.
- `sessions`: The sessions of the kind `advantage`: who plays which role in the protocol and in its rivals.
- `spec`: What a scenario says under `protocol` for the kind `advantage`: one of five tasks, told apart by `task`.
"""
