"""Estimating all derivatives of a distributed circuit: what parties agree on, their programs, and the rivals.

`protocols.training` and `protocols.amplitude` build on it. The kinds `gradient` and `training` import what they plan
with.

- `agreement`: What all parties of a session agree on before it starts: the promise, and copies and runs for each
  visit.
- `dense_rival`: The classical rival of gradients: the forward and the backward state shipped, 2 N numbers a crossing
  each.
- `description`: The rival of gradients that sends angles: one party, the collector, works all derivatives out alone.
- `features`: Forward and backward features over the network: |Φ> for any unitary of any party (THEORY §4).
- `forward`: One party's part in a whole inference of many samples, as trainings and the parameter-shift rule use it.
- `outline`: What all parties know of everybody's unitaries: numbers that their owners tell, and no gate, angle or
  matrix.
- `programs`: All partial derivatives of the loss of a circuit that many parties hold, each estimated by its owner.
- `reading`: Reading copies of |Φ> one by one, at an owner whose gates and readouts take time or err.
- `shifts`: Derivatives by shifted inferences: streams of n qubits in which an owner runs another circuit at one
  visit.
"""
