"""Copies, messages, and one link as a pure function of what is sent, when, and a random stream.

It knows no sockets and no programs. `nodes` and `scenarios` may import all of it; `protocols` may import copies,
messages and named random streams alone (`make check`).

- `copies`: Copies: the unit on the wire.
- `engines`: Who does the physics of a fiber: engines, and what each must answer.
- `eve`: An eavesdropper in the fiber: what she does, and what she gets.
- `fiber`: The glass: what a fiber loses, how long light takes through it, how fast its ends can send.
- `hardware`: A node's hardware: the memory that holds its registers, and how long its processor takes and errs.
- `lane`: The classical lane of one direction: a server that sends bits at the bandwidth of a fiber.
- `line`: One direction of a link in full: the fiber, its noise, the memories at its ends, and the transport.
- `line_values`: A line as JSON values and back: how a process is told which line it is to be.
- `link`: One link as a pure object: what is sent, when, and a random stream in; what arrives, when, out.
- `machines`: What carries registers: the transports of `channels.line` at work.
- `messages`: What one party can say to another: copies of a register, one of three classical messages, or pairs.
- `netsquid_engine`: NetSquid as the engine of a fiber, for the transport `direct`.
- `netsquid_limits`: Which lines the engine `netsquid` models; asked when a line is described, so nothing of NetSquid
  is imported here.
- `parts`: What a line is made of, and what it asks of its transport.
- `presets`: Named links, each number with its source. A scenario may override any of them.
- `records`: A line of the ledger.
- `streams`: Random streams that no schedule can disturb.
- `sums`: Sums of floats that are the same on every Python.
- `timing`: Busy resources in virtual time: integer picoseconds, served in program order.
- `transcript`: The transcript: what was delivered, as one number that two runs can be compared by.
- `transports`: The transports that need no repeater, as descriptions: what each asks of a line and what a register
  takes on it.
- `ways`: What machines tell of the times that pairs took: for accounts of time, which read it after the run.
"""

if __name__ != "ketwire.channels":
    raise ImportError("import ketwire.channels: the folder 'channels' is not a package of its own")
