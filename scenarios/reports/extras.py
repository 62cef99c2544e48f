"""Libraries that only some installations have."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ketwire.errors import ScenarioError


def extra(module: str, name: str, what: str) -> Any:
    """Import a library of an extra.

    Args:
        module: the library. name: of the extra. what: needs it, for the message.

    Raises:
        ScenarioError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ScenarioError(
            f"{what}: {package} is not installed, expected the extra {name}: pip install 'ketwire[{name}]'"
        ) from None
