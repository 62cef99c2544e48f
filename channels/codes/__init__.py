"""Codes that registers travel in: stabilizer codes, erasure codes by name, parity codes.

The transport `coded` imports it, and whatever works a line out without running it.
"""
