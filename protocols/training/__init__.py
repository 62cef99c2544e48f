"""Training a distributed circuit: the program of each step, its data and optimisers, and the rivals.

The kind `training` imports it, and `nodes.traced`, which runs a training once more for `--check`. No other protocol
does.
"""
