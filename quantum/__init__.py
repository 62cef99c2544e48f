"""Mathematics on arrays: gates, circuits, layers, encodings, observables, sampling, subspaces.

It knows no time, no input and no output. All other folders may import it; it imports none of them.

- `amplitude`: Iterative amplitude estimation: a probability to epsilon by O(1/epsilon) uses of its circuit.
- `arrays`: The arrays of this package, by name.
- `binomial`: How many two-valued outcomes tell a probability to epsilon: by the binomial law itself instead of a
  bound on it.
- `circuits`: Circuits: gates in order on one register; and contractions, operators that are not unitary.
- `cliffords`: Uniformly random Clifford unitaries, many at once, and how each acts on a state of its own.
- `controlled`: Circuits under the control of one more qubit, gate by gate, with the same parameters.
- `encodings`: Amplitude encoding of classical vectors (THEORY §1).
- `gates`: Gates: what a circuit is made of, each with its matrix.
- `grid`: Numbers with the same bits on every processor.
- `half_spaces`: Random half spaces H, with a rotation that takes each to a qubit.
- `layers`: Builders of the layers of THEORY §2, each a circuit; parameters are numbered from 0 in each.
- `means`: Means of few values: their deviation, and their interval by Student's t.
- `observables`: What is measured at the end: projectors, Pauli strings and general measurements.
- `pauli_bases`: Pauli bases, qubit by qubit: product states of their eigenvectors, and the measurement in them.
- `sampling`: Drawing measurement outcomes, without a loop over copies; the same ones on every processor.
- `segments`: A circuit together with its parameters: what one party applies at one visit.
- `subspaces`: Subspaces: one per class, with the measurement that tells them apart.
"""

if __name__ != "ketwire.quantum":
    raise ImportError("import ketwire.quantum: the folder 'quantum' is not a package of its own")
