"""What a run needs to go on after an interruption: parts, commits, and the journal of a run folder.

Both runtimes import it, and `scenarios.runs` for its folders. Programs only await `node.checkpoint`.

- `archive`: One file of a checkpoint: JSON values and arrays in an .npz, whole or not there.
- `commits`: Checkpoints as the coordinator sees them in one epoch: who holds a part of which, and when one is
  committed.
- `epochs`: Crashes survived: a run is one epoch after another, each from the last checkpoint that was committed.
- `folders`: Folders of checkpoints and of sockets: each has one owner at a time, and only its user can read it.
- `journal`: What the coordinator keeps of a run that can be restarted: which run, what is committed, what is done.
- `keeping`: Checkpoints as their owners keep them: one file per party and per fiber, which only its owner reads.
- `sealed`: Small JSON files that carry their own digest: their last key is the SHA-256 of the rest.
- `vault`: Checkpoints of the inline runtime: the files that nodes, fibers and coordinator would write, by one
  process.
"""
