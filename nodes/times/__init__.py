"""Notes of a run's times, and its critical path, which follows from them.

`scenarios.runs` and the two commands that run scenarios import it. The runtimes do not: a run without notes has none
of it.

- `critical`: The critical path of a session: its end, followed backwards through what it waited for.
- `crossings`: What a message waited for on its way, told backwards from when it was there.
- `following`: One copy's way through a session, which is run once more inline for that.
- `lanes`: What bits waited for in the classical lane of a direction, told backwards.
- `notes`: What parties and links note of a run's times, so that its end can be followed back to its beginning.
- `segments`: Pieces of a critical path.
- `timeline`: The inline runtime with notes of all times (`nodes.times.notes`): what `--latency` runs.
"""
