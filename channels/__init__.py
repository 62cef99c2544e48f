"""Copies, messages, and one link as a pure function of what is sent, when, and a random stream."""

if __name__ != "ketwire.channels":
    raise ImportError("import ketwire.channels: the folder 'channels' is not a package of its own")
