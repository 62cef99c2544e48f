"""OpenQASM 3 as layers: the text, its syntax, its gates.

`protocols.layers` imports `reader` where a layer holds a program.
"""
