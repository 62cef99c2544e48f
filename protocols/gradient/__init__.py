"""Estimating all derivatives of a distributed circuit: what parties agree on, their programs, and the rivals.

Training builds on it.
"""
