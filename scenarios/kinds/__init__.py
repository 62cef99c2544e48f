"""The kinds of protocol: their interface, what several of them need, and a folder for each larger kind.

`scenarios.load` and `scenarios.runs` know kinds by their interface alone.
"""
