"""What the parties run: a program per role, written against the three effects of `node`.

Programs know no sockets, wall clocks or shared randomness. `nodes` imports the interface and builds programs by their
ids (`nodes.programs`); kinds in `scenarios` import what they plan with.

- `amplitude`: Inference by amplitude estimation: copies that bounce along the path, 1/epsilon uses of it instead of
  1/epsilon².
- `announce`: What one party of a path tells all others, or one of them: classical messages along the path's links.
- `classifiers`: Classifiers for a party that receives rows: nearest subspace, multinomial logistic regression,
  nearest neighbours.
- `codes`: Classical rivals of a quantum message: quantised vectors, and codes with shared randomness.
- `decoys`: Copies of a data state among decoys: one crossing, and a test whether they were measured on the way.
- `descriptions`: Angles as what describes a model: b bits each, on a public grid, so that no scale is sent.
- `evidence`: What counts say about probabilities: exact binomial tails, and the bounds that follow from them.
- `inference`: Distributed inference: estimate the loss <phi| P0 |phi> of a circuit whose layers many parties hold.
- `inference_rivals`: Classical rivals of inference: the state at every crossing, or what describes the circuit.
- `layers`: A party's layers: from the names and sources of its slice to circuits with their parameters.
- `loaded`: What programs make of the arrays that a loader answers with: vectors, rows of vectors, labels.
- `node`: What a program may do: the `Node` it runs on, and the three effects it can wait for.
- `numbers`: Real numbers as classical messages of b bits an entry: how every classical rival pays for data.
- `paths`: What each party of a path needs to know of it, worked out once for all of them.
- `repeaters`: Chains of repeaters: how end-to-end pairs get to a party that sends registers over a chain.
- `retries`: Which copies of a stream are emitted next, and what the last party must tell the others for that.
- `rivals`: Classical rivals of `ketwire.protocols.subspace`, over the same links and on the same data.
- `sides`: What the parties of the kind `subspace` are given: each its side, and the plan of its session.
- `sketch`: The classical rival of one crossing that has shared randomness: signs of random projections of the state.
- `stream`: Streams of copies: how K measured copies of each item get through a path that loses some.
- `subspace`: Vector in subspace: the sender holds vectors, the receiver a measurement, and n = log2 N qubits cross.
- `typed`: Frozen dataclasses as JSON values and arrays, and back: what a kind gives a party, and what a party tells.
"""

if __name__ != "ketwire.protocols":
    raise ImportError("import ketwire.protocols: the folder 'protocols' is not a package of its own")
