"""Who may speak: CURVE key pairs, and the ZAP handler that names a peer by its key.

A run makes fresh keys for every party; across machines they come from files. Binders (the
coordinator and the fibers) hold the public keys of whom they serve. ZAP asks this module at each
handshake, so a peer without a known key is turned away before a single frame of its own is read,
and a peer with one is called by the name that the key belongs to; the name in its frames does not count.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from ketwire.errors import ScenarioError

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"ketwire"
KEY_OCTETS = 40  # Z85 text of 32 octets


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair, Z85 text. The secret half never leaves its owner."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair({self.public!r}, secret withheld)"


def new_keys() -> KeyPair:
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


class Doorman:
    """The ZAP handler of one binder, polled by the binder's own loop: no thread.

    peers: public key (Z85) to name.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], peers: Mapping[str, str]) -> None:
        self.refused = 0
        self._names = {z85.decode(key): name for key, name in peers.items()}
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(ZAP_ENDPOINT)

    def admit(self, public: str, name: str) -> None:
        """Know one more peer."""
        self._names[z85.decode(public)] = name

    def answer(self) -> None:
        """Answer every handshake that waits."""
        while self.socket.poll(0):
            version, request, _domain, _address, _identity, mechanism, *credentials = self.socket.recv_multipart()
            name = self._names.get(credentials[0]) if mechanism == b"CURVE" and credentials else None
            if name is None:
                self.refused += 1
                self.socket.send_multipart([version, request, b"400", b"unknown key", b"", b""])
            else:
                self.socket.send_multipart([version, request, b"200", b"OK", name.encode(), b""])


def write_keys(directory: Path, names: Iterable[str]) -> list[Path]:
    """Write NAME.key (secret, 0600) and NAME.pub for every name; existing files are never replaced.

    Raises:
        ScenarioError: a file is there already, or the folder cannot be written.
    """
    wanted = [directory / f"{name}.{end}" for name in names for end in ("key", "pub")]
    for path in wanted:
        if path.exists():
            raise ScenarioError(f"keys: {path} exists; expected a folder without keys of these names")
    with _writing():
        directory.mkdir(parents=True, exist_ok=True)
        for secret, public in zip(wanted[::2], wanted[1::2], strict=True):
            pair = new_keys()
            _write(secret, f"{pair.public}\n{pair.secret}\n", 0o600)
            _write(public, f"{pair.public}\n", 0o644)
    return wanted


def write_split_keys(directory: Path, parties: Sequence[str], coordinator: str, owner: int | None = None) -> bool:
    """Write a folder for each party and for the coordinator, DIRECTORY/NAME, with the keys that it needs.

    A party's has its own NAME.key and the coordinator's .pub; the coordinator's has its own key and each .pub. Where
    all files are there already they stay as they are.

    Args:
        owner: the user id to which secrets are given; None: they stay ours.

    Returns:
        Whether the keys are new.

    Raises:
        ScenarioError: some of the files are there and others are not, or a folder cannot be written.
    """
    names = [*parties, coordinator]
    publics = {name: names if name == coordinator else [coordinator] for name in names}
    wanted = [directory / name / f"{name}.key" for name in names]
    wanted += [directory / name / f"{public}.pub" for name in names for public in publics[name]]
    missing = [path for path in wanted if not path.exists()]
    if not missing:
        return False
    if len(missing) < len(wanted):
        there = next(path for path in wanted if path not in missing)
        raise ScenarioError(f"keys: {there} exists and {missing[0]} does not; expected all keys of a run, or none")
    pairs = {name: new_keys() for name in names}
    with _writing():
        for name in names:
            folder = directory / name
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for public in publics[name]:
                _write(folder / f"{public}.pub", f"{pairs[public].public}\n", 0o644)
            _write(folder / f"{name}.key", f"{pairs[name].public}\n{pairs[name].secret}\n", 0o600, owner)
    return True


@contextmanager
def _writing() -> Iterator[None]:
    """Raises:
    ScenarioError: something cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ScenarioError(f"keys: {error.filename}: {error.strerror}; expected a writable folder") from None


def read_keys(directory: Path, name: str, mounted: bool = False) -> KeyPair:
    """The key pair of `name`.

    Args:
        mounted: a container engine put the secret there, with an owner and a mode of its own choice.

    Raises:
        ScenarioError: there is none, or others may read the secret; where it is mounted, others may write it.
    """
    path = directory / f"{name}.key"
    lines = _read(path).split("\n")
    mode = path.stat().st_mode
    if mounted and mode & 0o022:
        raise ScenarioError(f"keys: {path} can be written by others; expected a secret that its owner alone may write")
    if not mounted and mode & 0o077:
        raise ScenarioError(
            f"keys: {path} can be read by others; expected mode 0600 (chmod 600 {path.name}), or --mounted-keys "
            "where a container engine has mounted it"
        )
    if len(lines) < 2 or not all(len(line) == KEY_OCTETS for line in lines[:2]):
        raise ScenarioError(f"keys: {path} holds no key pair; expected two lines of {KEY_OCTETS} characters")
    return KeyPair(lines[0], lines[1])


def read_public_key(directory: Path, name: str) -> str:
    path = directory / f"{name}.pub"
    public = _read(path).strip()
    if len(public) != KEY_OCTETS:
        raise ScenarioError(f"keys: {path} holds no public key; expected one line of {KEY_OCTETS} characters")
    return public


def _write(path: Path, text: str, mode: int, owner: int | None = None) -> None:
    # The mode is given at creation: a chmod afterwards would leave a moment in which others can read.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if owner is not None:
            try:
                os.fchown(descriptor, owner, owner)
            except OSError as error:
                error.filename = path
                raise


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ScenarioError(f"keys: {path}: {reason}; expected a file made by `ketwire keys`") from None
