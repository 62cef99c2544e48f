"""The kinds of protocol: their interface, what several of them need, and a folder for each larger kind.

`scenarios.load` and `scenarios.runs` know kinds by `interface` alone, and import of the rest only what serves every
kind (`bias`, `verdict`). A kind is imported when a scenario names it.
"""
