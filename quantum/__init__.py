"""Mathematics on arrays: gates, circuits, layers, encodings, observables, sampling, subspaces.

It knows no time, no input and no output. All other folders may import it; it imports none of them.
"""

if __name__ != "ketwire.quantum":
    raise ImportError("import ketwire.quantum: the folder 'quantum' is not a package of its own")
