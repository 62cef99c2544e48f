"""The kind `gradient`: its spec, what it makes of a network, its sessions, and its report.

No other kind imports it. The table of kinds names `kind`.

- `kind`: The kind `gradient`: all partial derivatives of a circuit that many parties hold, estimated on the wire.
- `layout`: What a gradient's scenario alone says of its circuit on its network.
- `models`: What a run of the kind `gradient` came to.
- `report`: What a run of the kind `gradient` came to: each estimator's cost, its error, and whether its promise was
  kept.
- `spec`: What a scenario says of the kind `gradient`.
"""
