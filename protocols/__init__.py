"""What the parties run: a program per role, written against the three effects of `node`.

Programs know no sockets, wall clocks or shared randomness. `nodes` imports the interface and builds programs by their
ids (`nodes.programs`); kinds in `scenarios` import what they plan with.
"""

if __name__ != "ketwire.protocols":
    raise ImportError("import ketwire.protocols: the folder 'protocols' is not a package of its own")
