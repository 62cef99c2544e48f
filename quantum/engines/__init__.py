"""How circuits are applied to batches of states: one plan, and two engines that carry it out.

The rest of `quantum` and all folders above may import `dispatch`; the others serve it.
"""
