"""The kind `graph`: its spec, its sessions and results, and what --check adds.

No other kind imports it. The table of kinds names `kind`.

- `frame`: What the judge knows of a question to a graph network: its items, their sizes, and what is right.
- `kind`: The kind `graph`: logits of a graph network, estimated on registers that the owners of nodes load together.
- `models`: What a run of the kind `graph` came to.
- `reference`: What --check adds for the kind `graph`: the central forward pass, and the copies that its decisions
  take.
- `rivals`: The classical rivals of the kind `graph`: which run, and their sessions.
- `spec`: What a scenario says under `protocol` for the kind `graph`.
"""
