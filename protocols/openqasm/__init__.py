"""OpenQASM 3 as layers: the text, its syntax, its gates.

`protocols.layers` imports `reader` where a layer holds a program; the other modules serve it. `syntax` alone needs
the library openqasm3, which is optional.
"""
