"""What a scenario says of an eavesdropper in a link."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ketwire.channels.eve import Attack, BeamSplitter, InterceptResend
from ketwire.scenarios.schema.strict import Strict, wrong


class _Listening(Strict):
    """Where an eavesdropper sits. Both directions: two of her, who share nothing."""

    direction: Literal["forward", "backward", "both"] = Field(
        "forward", description="in which she listens; forward: from the first node of between to the second"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            self.attacking()
        except ValueError as error:
            name, _, message = str(error).partition(": ")
            raise wrong(name, getattr(self, name), message.partition("expected ")[2]) from None
        return self

    def attacking(self) -> Attack:
        """What she does, in both directions.

        Raises:
            ValueError: the attack is impossible; the message starts with the key.
        """
        raise AssertionError("every attack says what it is")


class InterceptResendSpec(_Listening):
    """Measure every qubit of a random share of the copies, and resend what was seen."""

    attack: Literal["intercept-resend"]
    share: float = Field(description="probability that a copy is measured, 0 to 1")
    basis: Literal["z", "x", "y", "random", "random-xyz"] = Field(
        "random", description="of each qubit; random draws Z or X, random-xyz any of three"
    )

    def attacking(self) -> Attack:
        return InterceptResend(self.share, self.basis)


class BeamSplitterSpec(_Listening):
    """Take photons out: a share of them, or those that the glass would have lost."""

    attack: Literal["beam-splitter"]
    share: float | None = Field(None, description="of the photons in the fiber, on top of its own loss, 0 to 1")
    in_place_of_loss: bool = Field(False, description="take what the glass would have lost, instead of a share")

    def attacking(self) -> Attack:
        return BeamSplitter(self.share, self.in_place_of_loss)
