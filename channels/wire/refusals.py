"""Why a message of the other side was refused: one class a reason (docs/wire.md, section 7).

Remote octets raise only these, and a connection that raised one stays usable.
"""

# A refusal is named by what is wrong with the frame, so the names carry no "Error".

from ketwire.errors import RemoteProtocolError


class TruncatedFrame(RemoteProtocolError):
    """A frame is missing, or shorter than it says."""


class OversizedFrame(RemoteProtocolError):
    """A frame, a message or a number in a header is over a limit."""


class BadSignature(RemoteProtocolError):
    """Not a ketwire message."""


class WrongVersion(RemoteProtocolError):
    """Another version of the wire protocol."""


class UnknownCommand(RemoteProtocolError):
    """No such command."""


class MalformedHeader(RemoteProtocolError):
    """A field is outside of what the specification allows, or octets or frames trail."""


class DigestMismatch(RemoteProtocolError):
    """Octets differ from their digest, or have none where one is demanded."""


class WrongRun(RemoteProtocolError):
    """A message of another run."""


class ReplayedFrame(RemoteProtocolError):
    """A sequence number that was taken before."""


class OutOfOrderFrame(RemoteProtocolError):
    """A sequence number beyond the awaited one."""


class WrongSession(RemoteProtocolError):
    """A message of another session."""


class StaleFrame(WrongSession):
    """A message of an earlier session, still on its way when we left it. Its number is spent."""


class EarlyFrame(WrongSession):
    """A message of a session that we have not entered. It may be offered again once we have."""


class IllegalCommand(RemoteProtocolError):
    """A command that the dialogue does not allow here."""


class BadStates(RemoteProtocolError):
    """A state is not finite or not of unit norm."""
