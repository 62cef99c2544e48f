"""The kind `subspace`: its spec, and its two tasks.

No other kind imports it; `benchmarks` does, to measure measurements. The table of kinds names `kind`.
"""
