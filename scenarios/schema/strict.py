"""What every model in a scenario starts from: strict, frozen, and with complaints that name key and value."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

NODE_NAME = r"^[a-z][a-z0-9_]{0,30}$"
NodeName = Annotated[str, Field(pattern=NODE_NAME)]

MAX_NODES, MAX_LINKS = 10_000, 50_000
_MOST_NAMED = 12


def some(names: Iterable[str]) -> str:
    """Names for a message: all of them, or the first ones and how many more there are."""
    left = iter(names)
    told = ", ".join(islice(left, _MOST_NAMED))
    more = sum(1 for _ in left)
    return f"{told} and {more:,} more" if more else told


def wrong(key: str, given: Any, expected: str) -> PydanticCustomError:
    """A validator's complaint about the value at `key`, a dotted path below the model it is raised in.

    Raised from a validator, it becomes "FILE: PATH.KEY: GIVEN given, expected EXPECTED".
    """
    context = {"key": key, "given": given, "expected": expected}
    return PydanticCustomError("wrong", "expected {expected}", context)


def lacking(key: str, expected: str) -> PydanticCustomError:
    """A validator's complaint that nothing is said at `key`, a dotted path below the model it is raised in.

    Raised from a validator, it becomes "FILE: PATH.KEY: missing required key, expected EXPECTED".
    """
    return PydanticCustomError("lacking", "expected {expected}", {"key": key, "expected": expected})


class Strict(BaseModel):
    """Base of every model in a scenario: frozen, no unknown keys, finite numbers."""

    # Models are built when first used: as parts of a scenario they would be built twice else, and
    # starting the program takes long enough.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
