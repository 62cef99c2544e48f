"""Training a distributed circuit: the program of each step, its data and optimisers, and the rivals.

The kind `training` imports it, and `nodes.traced`, which runs a training once more for `--check`. No other protocol
does.

- `data`: Samples, labels, and which of them make a step's batch.
- `description`: The rival of training that sends what describes the model, instead of samples or registers.
- `holding`: What a party of a training holds; the quantum protocol and its rivals start from the same.
- `meter`: What a training step costs a party: a meter around its node, and the table of all steps.
- `objectives`: Objectives: smooth functions of a sample's <Z0> and its label, whose outer derivative is classical.
- `optimisers`: Optimisers: pure functions from parameters, a gradient and a state to parameters and a state.
- `plan`: What a party of a training is given (`ketwire.protocols.training.program`).
- `program`: Training over the network: each party moves its own parameters; no data and no parameters cross.
- `rivals`: The classical rivals of training, without a qubit.
"""
