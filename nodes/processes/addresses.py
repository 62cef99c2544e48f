"""Addresses of sockets: HOST:PORT, or [IPv6]:PORT. One type, one parser, one formatter."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Self

MOST_SHOWN = 100
EVERY = frozenset({"*", "0.0.0.0", "::"})
_FORM = "expected HOST:PORT or [IPv6]:PORT"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# The resolver takes these for IPv4 addresses too: 127.1, 0x7f.1. They are more likely a slip.
_NUMBER_AT_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)")
_PORT = re.compile(r"[0-9]{1,5}")


class AddressError(ValueError):
    """An address that cannot serve. The text is one line: the address, what is wrong, what is expected."""


@dataclass(frozen=True)
class Address:
    """Where a socket listens, or is reached.

    host: a name, which keeps to letters, digits, "-", "_" and "."; an IPv4 address; or an IPv6 address, without
        brackets and in its shortest form. To bind also "*", every address of either kind, and 0.0.0.0 and ::,
        every IPv4 address and every one.
    port: 1 to 65535; to bind also 0, any free one.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, *, binds: bool = False) -> Self:
        """The address that `text` is.

        Args:
            binds: it is one to bind, so it may be every address of this machine, and any free port.

        Raises:
            AddressError: it is none.
        """
        host, port = _split(text)
        address = cls(_checked_host(text, host), _checked_port(text, port, least=0 if binds else 1))
        if address.is_every and not binds:
            raise _wrong(text, f"{host} is every address of a machine, which can be bound but not reached")
        return address

    @property
    def is_every(self) -> bool:
        """Whether it stands for every address of a machine."""
        return self.host in EVERY

    def resolved(self) -> Self:
        """The same with a number for the host. Of a name with addresses of both kinds the IPv4 one is taken.

        Raises:
            AddressError: the name does not resolve on this machine.
        """
        if self.host == "*":
            return self
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "no name for the resolver"
            told = f"{self}: does not resolve on this machine ({reason}), expected a name that does, or an address"
            raise AddressError(told) from None
        # A socket that listens at 0.0.0.0 is reached by IPv4 alone; one at [::], by either.
        *_, place = min(found, key=lambda each: each[0] != socket.AF_INET)
        return type(self)(str(place[0]), self.port)

    @property
    def is_number(self) -> bool:
        """Whether its host is no name, so that no resolver is asked."""
        return self.is_every or ":" in self.host or _NUMBER_AT_END.fullmatch(self.host) is not None

    @property
    def needs_ipv6(self) -> bool:
        """Whether a socket there is one of IPv6. Of a name nothing is known before it is `resolved`."""
        return ":" in self.host or self.host == "*"


IPC = "ipc://"
"""How a socket's address begins that is a path of this machine. None is told to another."""


def _split(text: str) -> tuple[str, str]:
    """Host and port of an address, as they are written."""
    if "://" in text:
        raise _wrong(text, f"begins with {text.partition('://')[0]}://")
    if text.startswith("["):
        inner, closed, port = text[1:].partition("]:")
        if not closed:
            raise _wrong(text, "has no port behind its brackets")
        try:
            if "%" in inner:
                raise ValueError
            return str(ipaddress.IPv6Address(inner)), port
        except ValueError:
            raise _wrong(text, "holds no IPv6 address in its brackets") from None
    host, colon, port = text.rpartition(":")
    if not colon:
        raise _wrong(text, "has no port")
    if ":" in host:
        raise _wrong(text, "has more than one colon and no brackets")
    return host, port


def _checked_host(text: str, host: str) -> str:
    if host == "*" or ":" in host:
        return host
    if not host:
        raise _wrong(text, "has no host")
    if _NUMBER_AT_END.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise _wrong(text, "ends like an IPv4 address and is none") from None
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise _wrong(text, "has no name of letters, digits, '-', '_' and '.' for its host")
    return host


def _checked_port(text: str, port: str, least: int) -> int:
    if not _PORT.fullmatch(port) or not least <= int(port) <= 65_535:
        raise _wrong(text, f"has no port from {least} to 65535")
    return int(port)


def _wrong(text: str, what: str) -> AddressError:
    shown = text if text.isprintable() and 0 < len(text) <= MOST_SHOWN else repr(text[:MOST_SHOWN])
    return AddressError(f"{shown}: {what}, {_FORM}")
