"""What a user who starts a party by hand gives it, beside its name: folders and files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ketwire.errors import ScenarioError
from ketwire.nodes.processes.security import KeyPair, read_keys, read_public_key


@dataclass(frozen=True)
class Given:
    """The files of one party, fiber or coordinator.

    keys: folder with its own NAME.key, and with coordinator.pub, or for the coordinator everybody's NAME.pub.
    mounted_keys: a container engine mounted the secret, with an owner and a mode of its own choice.
    checkpoints: a folder of its own, if the run is to have any.
    model: a file of its own for what a node trains.
    ready: a file that is there as long as the party is registered with its coordinator; a coordinator's: as long as it
        listens. For health checks.
    """

    keys: Path
    mounted_keys: bool = False
    checkpoints: Path | None = None
    ready: Path | None = None
    model: Path | None = None

    def __post_init__(self) -> None:
        """Raises:
        ScenarioError: there can be no such file for a model.
        """
        if self.model is not None and not (self.model.suffix == ".npz" and self.model.absolute().parent.is_dir()):
            raise ScenarioError(f"--model: {self.model} given, expected a .npz file in a folder that is there")

    def own_keys(self, name: str) -> KeyPair:
        return read_keys(self.keys, name, self.mounted_keys)

    def public_key(self, name: str) -> str:
        return read_public_key(self.keys, name)

    def set_ready(self) -> None:
        """Raises:
        ScenarioError: the file cannot be written.
        """
        if self.ready is None:
            return
        try:
            os.close(os.open(self.ready, os.O_WRONLY | os.O_CREAT, 0o600))
        except OSError as error:
            raise ScenarioError(f"--ready: {self.ready}: {error.strerror}, expected a file that can be made") from None

    def clear_ready(self) -> None:
        if self.ready is not None:
            with suppress(OSError):
                self.ready.unlink()

    @contextmanager
    def until_over(self) -> Iterator[None]:
        """Nothing is ready before, and nothing after."""
        self.clear_ready()
        try:
            yield
        finally:
            self.clear_ready()
