"""Graph networks: hop operators, the model, and its forward pass in NumPy.

It knows no files and no torch. `nodes.graphs` imports it for data sets and model files, `nodes.central` for training,
and kinds in `scenarios` for inference over a network.

- `loading`: How many owners load one register: each the amplitudes of its own nodes, and none hears another's.
- `measuring`: How an item's register is measured, and what logits the counts come to.
- `model`: A graph network as inference needs it: its arrays, what holds of them, and its forward pass in NumPy.
- `operators`: Hop operators of graph networks as sparse matrices, and features passed on hop by hop.
- `questions`: What is asked of a graph network, and which nodes of whose graph that takes into a register.
- `transform`: The linear map T' of a graph network: its logits are quadratic forms of the features and one constant.
"""
