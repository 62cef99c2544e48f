"""The kind `subspace`: its spec, and its two tasks.

Only the entry point names it, and the benchmarks of measurements.
"""
