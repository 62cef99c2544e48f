"""Heralded pairs: how they are made, distilled, extended by chains of repeaters, and kept.

The transports that teleport import it, and `channels.link` for pairs that are sent on.
"""
