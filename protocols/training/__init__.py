"""Training a distributed circuit: the program of each step, its data and optimisers, and the rivals.

Only the sessions of the kind `training` name it.
"""
