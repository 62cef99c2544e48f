"""OpenQASM 3 as layers: the text, its syntax, its gates.

`protocols.layers` imports `reader` where a layer holds a program; the other modules serve it. `syntax` alone needs
the library openqasm3, which is optional.

- `gates`: The gates of OpenQASM 3's stdgates.inc, the built-in U and gphase, and those of their powers that are
  known.
- `reader`: OpenQASM 3 programs as circuits: unitary ones, with `input` parameters as slots.
- `syntax`: The syntax tree of an OpenQASM 3 program, and where in the program something is wrong.
- `unitaries`: What a gate of an OpenQASM 3 program does: gates of a circuit and a phase, and what modifiers make of
  them.
"""
