"""A wheel, built and installed outside the checkout, is all that a run needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GIVEN = ("pyproject.toml", "README.md", "LICENSE", "src", "quantum", "channels", "protocols", "nodes", "scenarios")


def ran(folder: Path, *argv: str, **environment: str) -> str:
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, timeout=300, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_a_wheel_outside_the_checkout_runs_the_digits(tmp_path: Path) -> None:
    source, site, away = (tmp_path / name for name in ("source", "site", "away"))
    source.mkdir()
    away.mkdir()
    for name in GIVEN:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    ran(source, *pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path), ".")
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if not name.startswith(("ketwire/", "ketwire-"))]
    ran(away, *pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    shutil.rmtree(source)
    told = {"PYTHONPATH": str(site)}
    where = ran(away, sys.executable, "-P", "-c", "import ketwire; print(ketwire.__file__)", **told)
    assert Path(where.strip()) == site / "ketwire" / "__init__.py"
    said = ran(away, sys.executable, "-P", str(site / "bin" / "ketwire"), "run", "digits", "--json", **told)
    result = json.loads(said)
    assert result["scenario"] == "digits" and result["test_accuracy"] > 0.9
