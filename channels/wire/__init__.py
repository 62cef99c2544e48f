"""The octets on the wire: frames, bodies of messages, and the dialogue that checks them. See docs/wire.md.

`nodes` imports it to talk between processes. Programs, links and machines do not know of it.

- `arrays`: Arrays on the wire: raw little-endian elements in a frame of their own (docs/wire.md, section 3).
- `carried`: Packed bodies of COPIES, and of what answers a carried message: RECEIPT.
- `carried_checks`: What bodies of carried messages are checked for, on both sides, and how masks of losses are
  packed.
- `carried_classical`: Packed bodies of classical messages: PACKED, ANSWERS and ARRIVALS (docs/wire.md, section 4.1).
- `carried_pairs`: Packed bodies of PAIRS and RELEASED (docs/wire.md, section 4.1). See `carried_checks` for who
  raises what.
- `codec`: Commands to ZeroMQ frames and back (docs/wire.md, section 3).
- `connection`: One end of a connection, without its socket: who may say what, and when (docs/wire.md, section 5).
- `control`: JSON bodies of the control plane: strict in, canonical out (docs/wire.md, section 4.2).
- `frames`: What ketwire processes say to each other, as named tuples: one a command (docs/wire.md, section 4).
- `refusals`: Why a message of the other side was refused: one class a reason (docs/wire.md, section 7).
- `signals`: Packed bodies without arrays: HELLO, WELCOME, READ, CREDIT, REFUSED, MARK (docs/wire.md, section 4.1).
"""
