"""The kind `gradient`: its spec, what it makes of a network, its sessions, and its report.

No other kind imports it. The table of kinds names `kind`.
"""
