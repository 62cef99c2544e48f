"""Tasks whose classical cost has a proved lower bound: one message, or two to a referee, and thousands of instances.

The kind `advantage` imports it; `nodes` imports `bases`, which is part of what a node may be asked.

- `bases`: Measurements in bases that differ from copy to copy: what a node is told of them.
- `bounds`: What is proved of classical protocols: least messages in bits, and what a protocol that is known achieves.
- `consumable`: Consumable data: many hidden matchings on the bits of one Alice, each of which uses up a copy.
- `fingerprint`: Quantum fingerprints: Alice and Bob each send some copies of n qubits to a referee, who says whether
  x = y.
- `fourier_sampling`: Fourier sampling: Alice has f, Bob g, both N signs; z is wanted with probability ĥ(z)², h = f g.
- `hidden_matching`: Hidden matching: Alice has N bits, Bob a perfect matching of their places, and answers with the
  parity of one edge.
- `inputs`: Private inputs of thousands of instances: drawn by their owner, block by block, when they are needed.
- `program`: The program of tasks of one message: the sender's state of each instance crosses once, the receiver
  measures it.
- `rivals`: Classical rivals of tasks of one message, on the same inputs over the same links. Shared randomness is a
  public key.
- `task`: What a task of one message is: what both owners draw, the state that is sent, how it is measured, and the
  score.
- `xeb`: Distributed linear cross-entropy: Alice sends a Haar-random state, Bob turns it by a random Clifford and
  measures.
"""
