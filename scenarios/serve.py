"""A small web server for the pages of a shelf: it listens on this machine alone unless told, and wants a token."""

from __future__ import annotations

import hmac
import secrets
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from ketwire.errors import ScenarioError
from ketwire.nodes.processes.addresses import Address, AddressError
from ketwire.scenarios.reports.page import policy
from ketwire.scenarios.shelf import Shelf

MOST_THREADS = 16
"""Connections that are served at once; one more is closed."""
PATIENCE_S = 10
TOKEN_OCTETS = 24
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class PageServer(ThreadingHTTPServer):
    """The server. `url` is its address with the token, without which it answers nothing."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = MOST_THREADS

    def __init__(self, folder: Path, bind: str, advertise: str | None = None) -> None:
        """Listen; `serve_forever` answers.

        Args:
            folder: whose runs and studies are shown. bind: HOST:PORT; port 0: any free one.
            advertise: HOST:PORT that readers are told, if it is not the one that is bound.

        Raises:
            ScenarioError: the folder is none, or the address cannot be bound.
        """
        self.shelf = Shelf(folder)
        self.token = secrets.token_urlsafe(TOKEN_OCTETS)
        try:
            self._told = None if advertise is None else Address.parse(advertise)
        except AddressError as error:
            raise ScenarioError(f"--advertise: {error}") from None
        self._free = threading.BoundedSemaphore(MOST_THREADS)
        try:
            at = Address.parse(bind, binds=True).resolved()
            self.address_family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
            super().__init__(("" if at.host == "*" else at.host, at.port), _Handler)
        except AddressError as error:
            raise ScenarioError(f"--bind: {error}") from None
        except OSError as error:
            told = f"{bind}: {error.strerror or error}, expected an address of this machine that is free"
            raise ScenarioError(f"--bind: {told}") from None
        self.address = Address(at.host, self.server_port)

    @property
    def url(self) -> str:
        bound = self.address if not self.address.is_every else Address(socket.gethostname(), self.server_port)
        shown = self._told or bound
        return f"http://{shown}/{self.token}/"

    def server_bind(self) -> None:
        """Bind, without asking a resolver for the name of this machine."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the connection, or its end where too many are open."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that leaves is no fault."""


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    timeout = PATIENCE_S
    server_version, sys_version = "ketwire", ""

    def do_GET(self) -> None:
        status, text = self._answer()
        octets = text.encode()
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Security-Policy": policy()}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def _answer(self) -> tuple[HTTPStatus, str]:
        _, token, *rest = [*urlsplit(self.path).path.split("/", 2), "", ""][:3]
        if not hmac.compare_digest(token.encode(errors="replace"), self.server.token.encode()):
            return HTTPStatus.FORBIDDEN, "expected the address that ketwire serve printed\n"
        place, _, name = rest[0].partition("/")
        shelf = self.server.shelf
        text = shelf.index() if not place else shelf.page(unquote(name)) if place == "page" else None
        return (HTTPStatus.NOT_FOUND, "no such page\n") if text is None else (HTTPStatus.OK, text)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: an address in a log would tell the token."""
