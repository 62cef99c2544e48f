"""What is worked out without a run: budgets, fidelities, bounds, and how states are represented.

`scenarios` imports it before a run starts. No machine and no program does.

- `budget`: What a run would cost, told before it starts.
- `fidelity`: How well a register arrives, and what its crossing takes: a line's description worked out, not run.
- `limits`: What no link may exceed with any equipment at its ends: capacities of lossy fibers and of erasures.
- `making`: How a link makes pairs, worked out of its description: how good, how likely and how often.
- `representation`: Which representation the copies of a run take, decided by its plan alone, before it starts.
"""
