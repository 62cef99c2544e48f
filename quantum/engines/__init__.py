"""How circuits are applied to batches of states: one plan, and two engines that carry it out.

`dispatch` chooses the engine. `quantum`, `protocols` and `benchmarks` import `dispatch` and `plan`; the other modules
serve these two. The fused engine is imported when it is chosen, since it needs numba.

- `blas`: The NumPy engine: small matrix products and elementwise phases on batches (rows, 2**n).
- `compiled`: Compiling with numba, and keeping the machine code for the next process (imported only by `fused`).
- `dispatch`: Applying circuits to batches of registers, by one of two engines with one interface.
- `fused`: The fused engine: whole stretches of a circuit in one compiled sweep over the register.
- `lanes`: Vector instructions for the fused engine, as numba intrinsics (imported only by `fused`).
- `plan`: How an engine will run a circuit: found once per circuit, used for every set of angles.
"""
