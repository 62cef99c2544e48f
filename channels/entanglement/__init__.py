"""Heralded pairs: how they are made, distilled, extended by chains of repeaters, and kept.

The rest of `channels` imports it where a link makes pairs, and `nodes` and `scenarios` may as well. `protocols`
imports `held` alone, the messages about pairs.
"""
