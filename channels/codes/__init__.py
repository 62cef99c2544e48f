"""Codes that registers travel in: stabilizer codes, erasure codes by name, parity codes.

The transport `coded` imports it, and so does `planning`, which works a line out without running it. Nothing above
`channels` but `scenarios` may import it.
"""
