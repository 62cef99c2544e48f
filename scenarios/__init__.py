"""What is run: typed scenario files, the protocol kinds, the command line, results."""

if __name__ != "ketwire.scenarios":
    raise ImportError("import ketwire.scenarios: the folder 'scenarios' is not a package of its own")
