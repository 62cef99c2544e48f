"""Graph networks: hop operators, the model, and its forward pass in NumPy.

It knows no files and no torch. `nodes.graphs` imports it for data sets and model files, `nodes.central` for training,
and kinds in `scenarios` for inference over a network.

- `carried`: Graphs and graph networks as the named arrays that a loader answers with, and back.
- `central`: A party beside whom a graph network was trained in one place: nothing is sent, and nothing is measured.
- `heads`: A head that its owner learns from measured histograms: ridge regression on pooled hidden units.
- `loading`: How many owners load one register: each the amplitudes of its own nodes, and none hears another's.
- `measuring`: How an item's register is measured, and what logits the counts come to.
- `model`: A graph network as inference needs it: its arrays, what holds of them, and its forward pass in NumPy.
- `norms`: The norms that owners of one register need of each other: along its way, and back. No feature is told.
- `operators`: Hop operators of graph networks as sparse matrices, and features passed on hop by hop.
- `planted`: Graphs and a network that a judge deals, with one margin at every size: how costs grow is seen at a fixed
  problem.
- `program`: A graph network over the network: owners of nodes load one register, the owner of the network measures
  it.
- `questions`: What is asked of a graph network, and which nodes of whose graph that takes into a register.
- `rivals`: Classical rivals of `protocols.graph.program`, over the same links and on the same data.
- `sides`: What the parties of the kind `graph` are given, and what each makes of its own source when it loads.
- `transform`: The linear map T' of a graph network: its logits are quadratic forms of the features and one constant.
"""
