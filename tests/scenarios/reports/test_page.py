"""The page of a run: all in one file, all text escaped, one line for what cannot be shown."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import ketwire as kw
from ketwire.scenarios import cli, shelf
from ketwire.scenarios.reports.columns import ledger_columns
from ketwire.scenarios.reports.elements import data, element, joined
from ketwire.scenarios.reports.runs import run_page
from ketwire.scenarios.reports.sections import latency_section, ledger_sections
from ketwire.scenarios.reports.units import time_text

pytest.importorskip("matplotlib")
NO_MESSAGE = "is no message, expected the ledger of a finished run"
MISSING = "No such file or directory"
EVIL = "</script><b onclick=x>&'\"\u2028"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "run"
    kw.run("ring-of-three", {"links.0.length_km": 0.75}, out=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    return run_page(run)


def test_the_page_tells_of_the_run(run: Path, text: str) -> None:
    result = json.loads((run / "result.json").read_text())
    half = 2 * (result["estimate"] * (1 - result["estimate"]) / result["copies"]) ** 0.5
    found = f"{result['estimate']:.5g} ± {half:.2g} (2 standard errors), off by {result['error']:.2g}"
    took = time_text(result["virtual_time_ps"])
    for told in (found, "0.75 km", "dense-state-8-bit", f"{result['qubits_sent']:,}", took):
        assert told in text, told
    assert "ketwire run ring-of-three --set links.0.length_km=0.75 --check" in text


def test_the_ledger_is_in_the_page(run: Path, text: str) -> None:
    told = json.loads(re.findall(r'id="ledger-data">(.*?)</script>', text)[0])
    columns = {each["name"]: each for each in told["columns"]}
    rows = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
    assert [row["arrival_ps"] for row in rows] == columns["arrival_ps"]["values"]
    names = columns["direction"]["names"]
    assert [row["direction"] for row in rows] == [names[at] for at in columns["direction"]["values"]]
    assert "ebits" not in columns and told["parties"] == ["alice", "bob", "carol"]


class References(HTMLParser):
    """What a page refers to, and the elements that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ("src", "href", "xlink:href", "action", "srcset", "data"):
                self.found.append(str(value))
            if key == "id":
                self.ids.append(str(value))


def test_the_page_refers_to_itself_alone(text: str) -> None:
    page = References()
    page.feed(text)
    assert len(page.found) > 20 and all(each.startswith("#") for each in page.found if each != "data:,")
    assert len(page.ids) == len(set(page.ids))
    assert {each[1:] for each in page.found if each.startswith("#")} <= set(page.ids)
    assert not re.findall(r"url\((?!#)|@import", text)


def test_the_policy_allows_the_script_of_the_page_and_no_other(text: str) -> None:
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}';") and "http" not in policy


def test_figures_have_titles_for_the_mouse(run: Path, text: str) -> None:
    result = json.loads((run / "result.json").read_text())
    assert f"<title>quantum: {result['qubits_sent']:,} qubits</title>" in text
    assert "<title>alice - bob: 0.75 km, direct, telecom-fiber</title>" in text
    assert "titles." not in text and "<metadata" not in text


def test_the_critical_path_is_in_the_page() -> None:
    result = kw.run("ring-of-three", latency=True)
    assert result.latency is not None
    inner = latency_section(result.told()).inner
    columns = json.loads(re.findall(r'id="path-data">(.*?)</script>', inner)[0])["columns"]
    took = {each["name"]: each for each in columns}["took_ps"]["values"]
    assert len(took) == len(result.latency.path) and sum(took) == result.virtual_time_ps
    first = result.latency.path[0]
    assert f"<title>{first.cause}, alice-&gt;bob: {time_text(first.to_ps)} from 0 s</title>" in inner
    assert latency_section(kw.run("ring-of-three").told()).inner == ""


def test_texts_are_escaped() -> None:
    assert element("p", EVIL, title=EVIL).count("<") == 2
    assert joined([EVIL, element("b", "x")]).endswith("<b>x</b>")
    told = data("d", {"name": EVIL})
    assert told.count("<") == 2 and told.count(">") == 2 and told.isascii()
    assert json.loads(told.partition(">")[2].rpartition("<")[0]) == {"name": EVIL}


def test_names_of_a_run_are_escaped(run: Path, tmp_path: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    result["rivals"] = {f"{EVIL}$x": rival for rival in result["rivals"].values()}
    result |= {"scenario": EVIL, "verdict": EVIL, "assumption": EVIL, "protocol": EVIL}
    (tmp_path / "result.json").write_text(json.dumps(result))
    (tmp_path / "scenario.yaml").write_text((run / "scenario.yaml").read_text())
    line = json.loads((run / "ledger.jsonl").read_text().splitlines()[0])
    (tmp_path / "ledger.jsonl").write_text(json.dumps({**line, "session": EVIL, "kind": EVIL}) + "\n")
    page = run_page(tmp_path)
    assert "<b onclick" not in page and page.count("</script>") == page.count("<script")


def test_a_page_is_written_beside_the_run_or_where_asked(
    run: Path, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "run_page", lambda folder: text if folder == run else "")
    assert cli.execute(["report", str(run)]) == 0
    assert cli.execute(["report", str(run), "-o", str(tmp_path / "a.html")]) == 0
    assert capsys.readouterr().out == f"wrote {run / 'report.html'}\nwrote {tmp_path / 'a.html'}\n"
    assert (run / "report.html").read_text() == (tmp_path / "a.html").read_text() == text
    assert (tmp_path / "a.html").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a.html"]


def test_a_run_without_a_ledger_says_so(tmp_path: Path) -> None:
    assert ledger_columns(tmp_path) is None
    assert [each.inner for each in ledger_sections(None, ["alice"])] == ["<p>The run folder has no ledger.</p>"]
    (tmp_path / "ledger.jsonl").write_text("")
    [messages] = ledger_sections(ledger_columns(tmp_path), ["alice"])
    assert messages.inner.startswith("<p>0 messages.</p>")


@pytest.mark.parametrize(
    ("name", "content", "argv", "told"),
    [
        ("result.json", None, [], f"run/result.json: {MISSING}, expected the folder of a finished run"),
        ("result.json", "{}", [], "run/result.json: is no result of a run, expected the folder of a finished run"),
        ("ledger.jsonl", '{"session": "s"}', [], f"run/ledger.jsonl: line 1 {NO_MESSAGE}"),
        ("ledger.jsonl", "[1]", [], f"run/ledger.jsonl: line 1 {NO_MESSAGE}"),
        (None, None, ["-o", "a.pdf"], "-o: a.pdf given, expected a file that ends in .html, .htm"),
        (None, None, ["-o", "no/a.html"], "-o: no/a.html given, expected a file in a folder that is there"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    name: str | None, content: str | None, argv: list[str], told: str, run: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    for each in ("result.json", "scenario.yaml", "ledger.jsonl"):
        if each != name:
            Path("run", each).write_text((run / each).read_text())
        elif content is not None:
            Path("run", each).write_text(content)
    assert cli.execute(["report", "run", *argv]) == 2
    assert capsys.readouterr().err == f"ketwire: {told}\n"


def test_without_matplotlib_one_line_names_the_extra(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert cli.execute(["report", str(run)]) == 2
    told = "plot: matplotlib is not installed, expected the extra plots: pip install 'ketwire[plots]'"
    assert capsys.readouterr().err == f"ketwire: {told}\n"
