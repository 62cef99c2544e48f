"""Errors of links, gates, memories and readouts: channels, drawn copy by copy or averaged over density matrices.

`channels` and `nodes` import it where something errs; a quiet link loads none of it.
"""
