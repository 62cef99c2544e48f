"""Carrying a scenario out: launching, progress, run folders that go on, results and tables.

The command line imports it. Kinds import `table` alone, for texts of their own.

- `afterwards`: What follows a run: the kind's summary, the references of --check, the verdict and the files of the
  folder.
- `board`: A live view of a run on a terminal: how far each party is, its virtual clock, and what it has found so far.
- `differences`: What differs between two run folders: inputs by dotted key, costs and latency by session and
  direction.
- `latency`: Where the virtual time of a run went: the critical path of its quantum sessions, by cause.
- `launch`: One run of a scenario, from its sessions to its result and its folder.
- `output`: Standard output, which may lead to a full disk, or into a pipe whose reader has left.
- `progress`: How far a run is: a live bar on a terminal, or a table of all parties; else lines now and then if asked
  for.
- `reading`: Results in run folders, checked before anything is read from them.
- `results`: Makes the result of a run, of what the wire counted and what its kind tells.
- `resumable`: The folder of a run that can go on after it was interrupted, killed, or failed.
- `rundir`: A run's folder: the resolved scenario, result.json, ledger, trace and logs. Whole or not there.
- `sequence`: The messages of a run folder as text: their sequence, one copy's way, and a replay.
- `table`: The final table: the quantum protocol beside its classical rivals, and who wins.
- `telling`: What a run tells while it is under way, in a file of its folder: `ketwire serve` shows it
  (`scenarios/shelf.py`).
- `trace`: A run on its virtual time, in Chrome's trace-event format: opens in Perfetto.
- `tracks`: What parties and links were busy with, for a trace: processors, memories, emitters and the making of
  pairs.
"""
