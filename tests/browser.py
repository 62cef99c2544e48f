"""A headless Chromium over its DevTools protocol, by a pipe: what a page says, loads and looks like."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
REPLY_S = 60.0


def chromium() -> str | None:
    """The program, or None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One page. `messages`: of its console, errors too. `requests`: what it asked for, data apart."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._buffer, self._number = b"", 0
        self._session: str | None = None
        self.messages: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its answer."""
        self._number += 1
        told: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            told["sessionId"] = self._session
        os.write(self._to, json.dumps(told).encode() + b"\0")
        while True:
            heard = self._next()
            if heard.get("id") == self._number:
                assert "error" not in heard, heard["error"]
                result: dict[str, Any] = heard["result"]
                return result

    def open(self, url: str) -> None:
        """Load a page and wait until it is there."""
        self._loaded = False
        self.ask("Page.navigate", url=url)
        while not self._loaded:
            self._next()

    def evaluate(self, expression: str) -> Any:
        """What an expression comes to in the page, after its promise if it is one."""
        told = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def look(self, width: int = 1200, height: int = 900, theme: str = "light", phone: bool = False) -> None:
        """Be a window of this size, in a theme."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def picture(self, path: Path) -> None:
        """The whole page as a PNG file."""
        told = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))

    def print(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("Page.printToPDF")["data"]))

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + REPLY_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            octets = os.read(self._from, 1 << 20) if ready else b""
            assert octets, "the browser says nothing more"
            self._buffer += octets
        line, self._buffer = self._buffer.split(b"\0", 1)
        heard: dict[str, Any] = json.loads(line)
        self._note(heard.get("method", ""), heard.get("params", {}))
        return heard

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent" and not told["request"]["url"].startswith("data:"):
            self.requests.append(told["request"]["url"])
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.messages.append(json.dumps(told)[:400])


@contextmanager
def browsing() -> Iterator[Page]:
    """A browser with one page; it ends with the context."""
    program = chromium()
    assert program is not None, "no chromium is installed"
    down, up = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(prefix="ketwire-browser-", ignore_cleanup_errors=True) as profile:
        process = _started(program, down[0], up[1], profile)
        try:
            for end in (down[0], up[1]):
                os.close(end)
            yield Page(down[1], up[0])
        finally:
            process.kill()
            process.wait()
            for end in (down[1], up[0]):
                os.close(end)


def _started(program: str, read: int, write: int, profile: str) -> subprocess.Popen[bytes]:
    """The browser, which reads descriptor 3 and writes 4; a shell puts ours there."""
    told = (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={profile}",
    )  # fmt: skip
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (read, write)]  # neither is 3 or 4
    placed = f'exec "$@" 3</dev/fd/{ends[0]} 4>/dev/fd/{ends[1]}'
    try:
        return subprocess.Popen(
            ["sh", "-c", placed, "sh", program, *told],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=ends,
        )  # fmt: skip
    finally:
        for end in ends:
            os.close(end)
