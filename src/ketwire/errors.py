"""Who is to blame, as exceptions.

`LocalProtocolError` is our bug or misuse, `RemoteProtocolError` their bytes, `ScenarioError` the
user's file, `PartyFailed` a process, `Deadlock` a set of programs that wait for each other. The
command line turns the third into exit code 2 and the others into exit code 3.
"""


class KetwireError(Exception):
    """Base of every error that ketwire raises on purpose. `party` names whose process raised it, if known."""

    party: str | None = None


class LocalProtocolError(KetwireError):
    """This side broke the rules: a consumed register was used, a message was sent out of turn."""


class RemoteProtocolError(KetwireError):
    """The other side's bytes broke the rules; this process lives on."""


class ScenarioError(KetwireError):
    """The user's input is wrong. The message names file, key, value and what was expected."""


class PartyFailed(KetwireError):
    """A party's process died or gave up. `party` names it; the message holds its last words.

    died: its process or its connection is gone, so that another in its place may well succeed.
    """

    def __init__(self, party: str, message: str, *, died: bool = False) -> None:
        super().__init__(message)
        self.party = party
        self.died = died


class Deadlock(KetwireError):
    """Every party waits for another. `waits` maps each party to what it waits for."""

    def __init__(self, waits: dict[str, str]) -> None:
        super().__init__("deadlock: " + "; ".join(f"{who} waits for {what}" for who, what in sorted(waits.items())))
        self.waits = waits
