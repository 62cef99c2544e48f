"""One process for each party and fiber: who starts them, what they say to each other, and what keeps strangers out.

`scenarios` imports `run`, `by_hand`, `security` and `interpreters`. The inline runtime imports `interpreters` alone.

- `addresses`: Addresses of sockets: HOST:PORT, or [IPv6]:PORT. One type, one parser, one formatter.
- `by_hand`: Parties started by hand, on this machine or others: the same pieces, with keys from files.
- `capacity`: Whether this machine can hold a run's processes: known, or refused in one line, before any of them
  starts.
- `child`: What a child process does. The nursery forks it (`nodes.processes.nursery`), or another interpreter runs
  this module.
- `children`: The coordinator's child processes: started, watched and ended; none is ever left behind.
- `control`: The control plane as a party sees it: one DEALER to the coordinator.
- `coordinator`: The coordinator: gives each party its own slice, starts all together, gathers what they return.
- `descriptors`: File descriptors: a process has as many as it needs, or says so before it starts anything.
- `fiber`: A fiber process: one link, alone in a process of its own, so that neither end can peek or cheat.
- `gate`: A gate before a socket that listens on TCP: it lets only a few strangers in at a time.
- `given`: What a user who starts a party by hand gives it, beside its name: folders and files.
- `interpreters`: Whether each fiber of a run can be what it is asked to be, found out before anything is started.
- `jobs`: What the coordinator tells each party when it has joined.
- `logs`: What a process tells on standard error, as JSON lines for a collector of logs.
- `lookup`: Look names up where the answer may take long: a process that waits for it can still be stopped.
- `members`: Parties as the coordinator knows them, and those who come with the key of one that is there already.
- `node`: A node process: drives one party's program over sockets to its fibers.
- `nursery`: Where children come from: one process that has imported everything, and forks a party at a word.
- `run`: The process runtime: one operating-system process per node and per fiber, under one coordinator.
- `security`: Who may speak: CURVE key pairs, and the ZAP handler that names a peer by its key.
- `sockets`: ZeroMQ sockets as ketwire uses them: bounded at the end, kept alive by heartbeats, CURVE by default.
"""
