"""A Docker engine for tests, found as its own client finds it: DOCKER_HOST and DOCKER_CONFIG, or the default socket."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ketwire.scenarios import cli

ROOT = Path(__file__).parents[2]
IMAGE = "ketwire-test"
_COUNT = itertools.count()


def absent() -> str | None:
    """Why there is no engine to test with."""
    if shutil.which("docker") is None:
        return "no command docker"
    for words in (["version"], ["compose", "version"], ["buildx", "version"]):
        done = subprocess.run(["docker", *words], capture_output=True, text=True)
        if done.returncode:
            return f"docker {' '.join(words)}: {(done.stderr or done.stdout).strip()[:200]}"
    return None


def docker(*words: str, check: bool = True, timeout: float = 300) -> str:
    """What the client prints on standard output."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0 or not check, f"docker {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def build(tag: str, root: Path = ROOT, **arguments: str) -> str:
    """Build the image from wheels beside the Dockerfile if they are there; what the builder tells of its steps."""
    wheels = "wheelhouse" if (ROOT / "wheelhouse").is_dir() else "index"
    told = [f"--build-arg={key}={value}" for key, value in {"WHEELS": wheels, **arguments}.items()]
    done = subprocess.run(
        ["docker", "build", "--progress=plain", "--tag", tag, *told, str(root)],
        capture_output=True, text=True, env={**os.environ, "DOCKER_BUILDKIT": "1"}, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


class Project:
    """One scenario in containers of its own."""

    def __init__(self, folder: Path, scenario: str, override: dict[str, Any] | None = None) -> None:
        self.name = f"ketwiretest-{os.getpid()}-{next(_COUNT)}"
        self.files = ["--file", str(folder / "compose.yaml")]
        assert cli.execute(["compose", scenario, "-o", str(folder / "compose.yaml")]) == 0
        if override is not None:
            (folder / "override.yaml").write_text(json.dumps({"services": override}))
            self.files += ["--file", str(folder / "override.yaml")]
        # Each has networks of its own, apart from what a user of this machine has running.
        self.environment = {**os.environ, "KETWIRE_IMAGE": IMAGE, "KETWIRE_SUBNET": f"10.{214 + next(_COUNT) % 32}"}

    def compose(self, *words: str, check: bool = True, timeout: float = 300) -> str:
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.name, *self.files, *words],
            capture_output=True, text=True, env=self.environment, timeout=timeout,
        )  # fmt: skip
        assert done.returncode == 0 or not check, f"docker compose {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def up(self, *services: str) -> None:
        self.compose("up", "--detach", "--no-build", *services)

    def id(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service)

    def state(self, service: str) -> Any:
        return json.loads(docker("inspect", "--format", "{{json .State}}", self.id(service)))

    def ended(self, service: str = "coordinator", patience_s: float = 300) -> int:
        """Its exit code, once it has one and no restart policy starts it again."""
        return int(docker("wait", self.id(service), timeout=patience_s))

    def log(self, service: str) -> list[str]:
        """The lines of its standard error."""
        done = subprocess.run(["docker", "logs", self.id(service)], capture_output=True, text=True)
        return done.stderr.splitlines()

    def out(self, service: str = "coordinator") -> str:
        return subprocess.run(["docker", "logs", self.id(service)], capture_output=True, text=True).stdout

    def within(self, service: str, *command: str, check: bool = True) -> str:
        return docker("exec", self.id(service), *command, check=check)

    def transcript(self, session: str) -> str:
        """As the coordinator told it."""
        begin = f"ketwire: coordinator: session {session} is over, transcript "
        (found,) = [line.removeprefix(begin) for line in self.log("coordinator") if line.startswith(begin)]
        return found

    def until(self, reached: Callable[[], bool], patience_s: float = 120) -> None:
        until_s = time.monotonic() + patience_s
        while not reached():
            assert time.monotonic() < until_s, self.compose("logs")
            time.sleep(0.2)

    def services(self) -> Sequence[str]:
        return self.compose("config", "--services").split()


@contextmanager
def project(folder: Path, scenario: str, override: dict[str, Any] | None = None) -> Iterator[Project]:
    """Whatever comes of it, its containers, networks and volumes go."""
    made = Project(folder, scenario, override)
    try:
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "0", "--remove-orphans", check=False)
