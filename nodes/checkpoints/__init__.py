"""What a run needs to go on after an interruption: parts, commits, and the journal of a run folder.

Both runtimes import it, and `scenarios.runs` for its folders. Programs only await `node.checkpoint`.
"""
