"""Graphs as data: sets in public formats, a user's own graph, splits, and files of trained graph networks.

Nothing here is unpickled. `nodes.central`, which trains, imports it, and so does `scenarios`.

- `downloads`: Public sets, from where torch_geometric has them: raw text and raw arrays, and nothing that
  torch_geometric makes.
- `folders`: What an owner's loader answers for a set of graphs and for a graph network.
- `modelfile`: The file of a graph network (.npz): written by training, read by inference, without torch and without
  pickle.
- `own`: A user's own graph: arrays in `NAME.npz`, or two tables, `NAME.nodes.csv` and `NAME.edges.csv`.
- `planetoid`: Citation networks in the format of Planetoid, as arrays without pickle: `ind.NAME.npz`.
- `rawfiles`: Planetoid's raw files, which are pickles of Python 2, read as data: nothing in them is imported, made or
  called.
- `rows`: Whole graphs as rows to be amplitude-encoded: the features of all nodes, hop by hop, and labels beside.
- `sets`: Graphs with labels: many graphs with one each, or one graph whose nodes have one each.
- `shelf`: Sets by their names in a folder: which file of which format holds one.
- `splits`: Which graphs or nodes a model is trained on and tested on: ten folds of graphs, and random parts of nodes.
- `tu`: Sets of graphs in text: the format of DGCNN and GIN (`NAME.txt`), and that of TU Dortmund (`NAME_A.txt` and
  others).
"""
