"""Estimating all derivatives of a distributed circuit: what parties agree on, their programs, and the rivals.

`protocols.training` and `protocols.amplitude` build on it. The kinds `gradient` and `training` import what they plan
with.
"""
