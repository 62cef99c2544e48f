"""The key `margin` of all kinds that stream copies, and what results say of copies that were emitted again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ketwire.scenarios.kinds.result import Part

Margin = Annotated[
    Literal["auto"] | Annotated[float, Field(ge=0, le=1000)],
    Field(
        description="copies that a round emits beyond those missing, in units of the losses to be expected: 0 for "
        "none, 1 to make up for them; auto weighs them against another round, up to 1.25 K/p in the mean"
    ),
]


def margin_of(margin: float | Literal["auto"]) -> float | None:
    """As slices carry it: None for `auto`."""
    return None if margin == "auto" else float(margin)


class Emitted(Part):
    """What a result says of the copies that were emitted."""

    attempted_copies: int = Field(description="copies that were emitted")
    needed_copies: float = Field(description="K/p of each item: what must be emitted in the mean")
    margin_copies: float = Field(description="the rest, chance included: below zero where more came through")


def retried(attempted: int, needed: float) -> dict[str, Any]:
    """The fields of `Emitted`."""
    return {"attempted_copies": attempted, "needed_copies": needed, "margin_copies": attempted - needed}
