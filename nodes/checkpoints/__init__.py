"""What a run needs to go on after an interruption: parts, commits, and the journal of a run folder.

Both runtimes import it; programs only await `node.checkpoint`.
"""
