"""Graph networks: hop operators, the model, and its forward pass in NumPy.

It knows no files and no torch. `nodes.graphs` imports it for data sets and model files, `nodes.central` for training,
and kinds in `scenarios` for inference over a network.

- `central`: A party beside whom a graph network was trained in one place: nothing is sent, and nothing is measured.
- `model`: A graph network as inference needs it: its arrays, what holds of them, and its forward pass in NumPy.
- `operators`: Hop operators of graph networks as sparse matrices, and features passed on hop by hop.
"""
