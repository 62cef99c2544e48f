"""The scenario files that ship with ketwire.

It has no modules, so nothing imports it. `scenarios.load` reads its files.
"""
