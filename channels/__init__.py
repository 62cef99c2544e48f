"""Copies, messages, and one link as a pure function of what is sent, when, and a random stream.

It knows no sockets and no programs. `nodes` and `scenarios` may import all of it; `protocols` may import copies,
messages and named random streams alone (`make check`).
"""

if __name__ != "ketwire.channels":
    raise ImportError("import ketwire.channels: the folder 'channels' is not a package of its own")
