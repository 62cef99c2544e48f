"""What the parties run: a program per role, sans-IO."""

if __name__ != "ketwire.protocols":
    raise ImportError("import ketwire.protocols: the folder 'protocols' is not a package of its own")
