"""Codes that registers travel in: stabilizer codes, erasure codes by name, parity codes.

The transport `coded` imports it, and so does `planning`, which works a line out without running it. Nothing above
`channels` but `scenarios` may import it.

- `erasure`: Quantum codes that carry qubits over a lossy, noisy fiber, each as the logical channel that it leaves.
- `parity`: Quantum parity codes QPC(n, m): what losses they survive, and what is left of noise when they are decoded.
- `stabilizers`: Pauli strings as bit masks, and the stabilizer codes that they span.
"""
