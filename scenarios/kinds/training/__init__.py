"""The kind `training`: its spec, its sessions, its result and the checks beside a run.

Only the entry point names it.
"""
