"""Derivatives of a circuit that many parties hold: exact ones, and estimators that work on few copies.

Nothing in it knows of links. `protocols`, `nodes` and `scenarios` import it for gradients and training.

- `dealing`: Which of many copies fall to whom: draws without putting back, also of more copies than numpy's own take.
- `estimation`: What every estimator of gradients shares: the promise, the copies held, and what comes of them.
- `estimators`: Estimators that measure parameters or blocks one copy at a time, and the names of all estimators.
- `exact`: All derivatives of <Π> exactly, by one sweep forward and one back (THEORY §4).
- `features`: Forward and backward features: the states from which a unitary's owner reads its derivatives.
- `frozen`: A unitary of whose parameters some are wanted and the others are constants.
- `grouped`: Derivatives read together in groups that somebody else has chosen, instead of whole blocks.
- `joint`: Pauli letters on several qubits of a register, all measured together.
- `parameter_shift`: Gradients by shifted inferences: 2 runs of the whole circuit for each gate with a parameter.
- `readings`: Reading |Φ> copy by copy with circuits that are stated gate by gate: what an owner with real gates can
  do.
- `shadow_tomography`: Shadow tomography: a hypothesis state that learns only where it is wrong.
- `shadows`: The uniform measurement, and two estimators that measure every copy by it: shadows and tomography.
- `sublayers`: A circuit as sub-layers: sets of parametrised gates whose derivatives can be read in one frame.
- `tangents`: The derivatives of a unitary in one frame: ∂_p U = i U Q_p, with one Hermitian 2^n by 2^n matrix Q_p
  each.
"""
