"""The octets on the wire: frames, bodies of messages, and the dialogue that checks them. See docs/wire.md.

`nodes` imports it to talk between processes. Programs, links and machines do not know of it.
"""
