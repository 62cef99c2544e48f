"""Carrying a scenario out: launching, progress, run folders that go on, results and tables.

The command line imports it. Kinds import `table` alone, for texts of their own.
"""
