"""Errors of links, gates, memories and readouts: channels, drawn copy by copy or averaged over density matrices.

`channels`, `nodes` and `scenarios` import it where something errs. A quiet link loads none of it.
"""
