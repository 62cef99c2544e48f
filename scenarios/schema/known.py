"""Which presets a scenario may name: ketwire's own, those of installed packages, and those of a file beside it.

They come to the models of nodes and links as the context of a validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationInfo

from ketwire.channels.hardware import HARDWARE
from ketwire.channels.hardware import Preset as Kit
from ketwire.channels.presets import PRESETS, Preset


@dataclass(frozen=True)
class Known:
    """Presets by name.

    origins: where a preset comes from, by ("links", NAME) or ("nodes", NAME); those of ketwire have none
    """

    links: Mapping[str, Preset] = field(default_factory=lambda: PRESETS)
    nodes: Mapping[str, Kit] = field(default_factory=lambda: HARDWARE)
    origins: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def context(self) -> dict[str, Known]:
        """For a validation."""
        return {"known": self}


def known_in(info: ValidationInfo) -> Known:
    """The presets of a validation; ketwire's own where it has no context."""
    known = (info.context or {}).get("known")
    return known if isinstance(known, Known) else Known()
