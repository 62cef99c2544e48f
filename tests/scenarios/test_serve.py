"""The server of pages: on this machine alone, with a token, below its folder, with few threads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

import ketwire as kw
from ketwire.scenarios import cli, serve
from ketwire.scenarios.serve import PageServer

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`served` has a run, a failed one, one that is under way, and links to what lies beside it."""
    folder = tmp_path_factory.mktemp("serve")
    kw.run("ring-of-three", out=folder / "served" / "some runs" / "ring")
    kw.run("ring-of-three", out=folder / "outside")
    served = folder / "served"
    for name, file, text in (("failed", "result.json", '{"error": {}}'), ("new", "launch.json", "{}")):
        (served / name).mkdir()
        (served / name / file).write_text(text)
    (served / "linked").symlink_to(folder / "outside")
    (served / "of-links").mkdir()
    for file in ("result.json", "scenario.yaml"):
        (served / "of-links" / file).symlink_to(folder / "outside" / file)
    (served / ".hidden").mkdir()
    (served / ".hidden" / "result.json").write_text("{}")
    return served


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[PageServer]:
    with PageServer(root, "127.0.0.1:0") as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def get(server: PageServer, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


def test_it_listens_on_this_machine_alone(server: PageServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/{server.token}/" and len(server.token) == 32


@pytest.mark.parametrize("path", ["/", "/index.html", "/{short}/", "/{other}/", "/%00/", "/x{token}/", "/%c3%a9", "*"])
def test_without_the_token_it_tells_nothing(server: PageServer, path: str) -> None:
    token = server.token
    asked = path.format(token=token, short=token[:-1], other=token[:-1] + ("a" if token[-1] != "a" else "b"))
    status, text, _ = get(server, asked)
    assert (status, text) == (403, "expected the address that ketwire serve printed\n")


def test_tokens_are_compared_in_constant_time(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(serve.hmac, "compare_digest", lambda a, b: seen.append((a, b)) or False)
    assert get(server, f"/{server.token}/")[0] == 403
    assert seen == [(server.token.encode(), server.token.encode())]


def test_the_index_lists_what_has_pages(server: PageServer) -> None:
    status, text, headers = get(server, f"/{server.token}/")
    assert status == 200 and 'href="page/some%20runs/ring"' in text and "not over" in text
    assert "page/.hidden" not in text and "page/linked" not in text and "page/outside" not in text
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Referrer-Policy"] == "no-referrer" and headers["Server"].strip() == "ketwire"


def test_pages_of_runs(server: PageServer, root: Path) -> None:
    status, text, _ = get(server, f"/{server.token}/page/some%20runs/ring")
    assert status == 200 and "Message sequence" in text
    status, text, _ = get(server, f"/{server.token}/page/failed")
    assert status == 200 and "result.json: tells of a run that failed" in text and str(root) not in text
    status, text, _ = get(server, f"/{server.token}/page/new")
    assert status == 200 and "No page yet" in text and 'http-equiv="refresh"' in text
    for file in (root / "some runs" / "ring").iterdir():
        if file.is_file():
            (root / "new" / file.name).write_bytes(file.read_bytes())
    assert "Message sequence" in get(server, f"/{server.token}/page/new")[1]


@pytest.mark.parametrize(
    "name",
    [
        "../outside", "%2e%2e/outside", "..%2foutside", "some runs/../../outside", "{root}/../outside", "/etc",
        "linked", "of-links", ".hidden", "some%20runs/ring/result.json", "some%20runs", "", "%00", "ring%00",
    ],
)  # fmt: skip
def test_no_path_leads_elsewhere(server: PageServer, root: Path, name: str) -> None:
    status, text, _ = get(server, f"/{server.token}/page/{name.format(root=root)}".replace(" ", "%20"))
    assert (status, text) == (404, "no such page\n")


def test_it_only_answers_get(server: PageServer) -> None:
    assert get(server, f"/{server.token}/", "POST")[0] == 501


def test_one_connection_too_many_is_closed(server: PageServer) -> None:
    held = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(serve.MOST_THREADS)]
    try:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as more:
            assert more.recv(1) == b""
    finally:
        for each in held:
            each.close()


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["nowhere"], "nowhere: no such folder, expected one with runs or studies below it"),
        ([".", "--bind", "x"], "--bind: x: "),
        ([".", "--bind", "192.0.2.1:0"], "--bind: 192.0.2.1:0: Cannot assign requested address, expected an address"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    argv: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["serve", *argv]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"ketwire: {told}") and err.count("\n") == 1
