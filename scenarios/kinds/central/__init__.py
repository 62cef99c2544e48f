"""The kind `central`: how accurate graph networks are that were trained in one place, as runs of a study.

No other kind imports it. The table of kinds names `kind`.

- `kind`: The kind `central`: the accuracy of networks that `ketwire gnn train` has kept.
- `models`: What a run of the kind `central` comes to.
- `published`: Published accuracies of graph networks, and what is asked of ours.
- `spec`: What a scenario says under `protocol` for the kind `central`.
"""
