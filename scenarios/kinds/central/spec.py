"""What a scenario says under `protocol` for the kind `central`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ketwire.scenarios.schema.strict import Strict

_NAME = r"^[A-Za-z0-9_-]{1,64}$"


class CentralSpec(Strict):
    """Networks that were trained in one place."""

    kind: Literal["central"]
    models: str = Field(min_length=1, description="the folder that ketwire gnn train has kept networks in (--out)")
    set: str = Field(pattern=_NAME, description="the data set, such as MUTAG or Cora")
    settings: str = Field("reference", pattern=_NAME, description="the folder below it: reference, released, public")
    activation: Literal["degree-2", "prelu", "none"] = Field("degree-2", description="of the hidden units")
    beside: Literal["degree-2", "prelu", "none"] | None = Field(
        "prelu", description="the activation to compare with, pair by pair of networks with one seed; null: none"
    )
    seeds: int = Field(1, ge=1, le=1000, description="how many: the networks of the seeds from 0 up")
