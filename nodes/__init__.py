"""Who runs programs: two runtimes, virtual clocks, data of the parties, processes, supervision, security.

It knows no physics of its own. Of the folders `scenarios` alone imports it.
"""

if __name__ != "ketwire.nodes":
    raise ImportError("import ketwire.nodes: the folder 'nodes' is not a package of its own")
