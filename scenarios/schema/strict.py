"""What every model in a scenario starts from: strict, frozen, and with complaints that name key and value."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

NodeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


def wrong(key: str, given: Any, expected: str) -> PydanticCustomError:
    """A validator's complaint about the value at `key`, a dotted path below the model it is raised in.

    Raised from a validator, it becomes "FILE: PATH.KEY: GIVEN given, expected EXPECTED".
    """
    context = {"key": key, "given": given, "expected": expected}
    return PydanticCustomError("wrong", "expected {expected}", context)


class Strict(BaseModel):
    """Base of every model in a scenario: frozen, no unknown keys, finite numbers."""

    # Models are built when first used: as parts of a scenario they would be built twice else, and
    # starting the program takes long enough.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
