"""The kind `training`: its spec, its sessions, its result and the checks beside a run.

No other kind imports it; `benchmarks` does, to choose settings. The table of kinds names `kind`.
"""
