"""How circuits are applied to batches of states: one plan, and two engines that carry it out.

`dispatch` chooses the engine. `quantum`, `protocols` and `benchmarks` import `dispatch` and `plan`; the other modules
serve these two. The fused engine is imported when it is chosen, since it needs numba.
"""
