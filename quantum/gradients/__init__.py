"""Derivatives of a circuit that many parties hold: exact ones, and estimators that work on few copies.

`protocols` and `scenarios` import it for gradients and training.
"""
