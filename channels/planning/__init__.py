"""What is worked out without a run: budgets, fidelities, bounds, and how states are represented.

`scenarios` imports it before a run starts. No machine and no program does.
"""
