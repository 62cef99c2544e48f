"""Where the public data sets are that no checkout holds; a test that needs one skips by its name where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.sets import GraphSet
from ketwire.nodes.graphs.shelf import load_set

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "datasets"


def public_folder() -> Path:
    """The folder that KETWIRE_DATASETS names, else ../shared/datasets beside the checkout."""
    folder = Path(os.environ.get("KETWIRE_DATASETS") or BESIDE)
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent (KETWIRE_DATASETS names another)")
    return folder


def public_set(name: str) -> GraphSet:
    """A set from there."""
    folder = public_folder()
    try:
        return load_set(folder, name)
    except ScenarioError as error:
        if "no set" in str(error):
            pytest.skip(str(error))
        raise
