"""Derivatives of a circuit that many parties hold: exact ones, and estimators that work on few copies.

Nothing in it knows of links. `protocols`, `nodes` and `scenarios` import it for gradients and training.
"""
