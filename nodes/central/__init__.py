"""Graph networks trained in one place, with torch, under the protocols that published figures have.

The models go over a network afterwards; nothing here does. `scenarios` alone imports it, and modules that need torch
only where a training is asked for.

- `accuracies`: Accuracies of networks that trainings have kept, over folds, epochs and seeds.
- `graph_nets`: Networks over whole graphs, trained on nine folds and tested on the tenth, several side by side.
- `kept`: What trainings have kept: a model file for each fold and seed, which no later training repeats.
- `node_nets`: Networks over nodes (SIGN), trained on some nodes and tested at the epoch that validates best.
- `rows`: The features of graphs as rows for training: hops side by side, and equal rows of a graph once.
- `settings`: How networks are trained: the settings of published figures, by data set.
- `tables`: The rows of all nodes as training multiplies them: whole, or only what is not 0 of them.
- `training`: Trainings one after another: all that is asked for and not kept yet.
"""
