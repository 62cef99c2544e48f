"""Who runs it: the two runtimes, virtual clocks, processes, sockets, supervision, security."""

if __name__ != "ketwire.nodes":
    raise ImportError("import ketwire.nodes: the folder 'nodes' is not a package of its own")
