"""The kind `gradient`: its spec, what it makes of a network, its sessions, and its report.

Only the entry point names it.
"""
