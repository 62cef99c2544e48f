"""Errors of links, gates, memories and readouts: channels, drawn copy by copy or averaged over density matrices.

`channels`, `nodes` and `scenarios` import it where something errs. A quiet link loads none of it.

- `density`: Density matrices: exact mixed states of small registers, and the oracle for sampled trajectories.
- `events`: At which of many copies errors happen: cost is that of the errors, hardly that of the copies.
- `kraus`: Noise on one qubit, as Kraus operators: ρ -> Σ_k K_k ρ K_k†, with Σ_k K_k† K_k = 1.
- `lifetimes`: How coherences fade in a memory: exponentially, or as a Gaussian, as where slow noise shifts a
  frequency.
- `mixtures`: Exact mixed states of a batch of copies: what trajectories draw, averaged.
- `noisy`: Circuits whose gates take time and make errors: how long they last, and one trajectory for each copy.
- `readout`: Readouts that err: what is reported, given what was measured.
- `representations`: One interface to both representations: pure rows (rows, 2**n) and density matrices (rows, 2**n,
  2**n).
- `shared_rows`: Rows of states that copies share: which copies stay together, and new rows made in runs that fit the
  cache.
- `trajectories`: Noise on a batch of copies that share their states: one trajectory drawn for each copy.
"""
