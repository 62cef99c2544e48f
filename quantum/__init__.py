"""Pure mathematics on arrays: registers, gates, circuits, observables, measurement. No I/O, no time."""

if __name__ != "ketwire.quantum":
    raise ImportError("import ketwire.quantum: the folder 'quantum' is not a package of its own")
