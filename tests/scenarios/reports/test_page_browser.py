"""Pages in a headless Chromium: silent, loading nothing, in both themes, on a phone and on paper."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import ketwire as kw
from ketwire.scenarios.reports.page import write_page
from ketwire.scenarios.reports.runs import run_page
from ketwire.scenarios.serve import PageServer
from tests.browser import Page, browsing, chromium

pytest.importorskip("matplotlib")
if chromium() is None and os.environ.get("CI") != "true":
    pytest.skip("no chromium is installed", allow_module_level=True)

PHONE = {"width": 390, "height": 800, "phone": True}
ARROWS = "[...document.querySelectorAll('.sequence .arrow')]"
ROW = "document.querySelector('.rows tbody tr:nth-child(2)').cells"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    kw.run("ring-of-three", out=folder / "run")
    write_page(run_page(folder / "run"), folder / "page.html")
    return folder / "page.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with browsing() as page:
        yield page


@pytest.fixture
def page(browser: Page, file: Path) -> Iterator[Page]:
    """The page of a run, just loaded; that it said nothing and loaded nothing is looked at in the end."""
    browser.look()
    browser.messages.clear()
    browser.requests.clear()
    browser.open(file.as_uri())
    yield browser
    assert browser.messages == [] and browser.requests == [file.as_uri()]


def colours(page: Page) -> list[str]:
    told: list[str] = page.evaluate(
        "[document.documentElement, document.querySelector('.card'), document.querySelector('figure svg text')]"
        ".map((each, at) => getComputedStyle(each)[at < 2 ? 'backgroundColor' : 'fill'])"
    )
    return told


def test_both_themes(page: Page) -> None:
    page.look(theme="light")
    light = colours(page)
    page.look(theme="dark")
    dark = colours(page)
    assert light == ["rgb(255, 255, 255)", "rgb(245, 247, 249)", "rgb(27, 31, 36)"]
    assert not set(light) & set(dark)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_need_not_scroll_sideways(page: Page, theme: str) -> None:
    page.look(theme=theme, **PHONE)
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]


def test_the_table_is_sorted_and_searched(page: Page, file: Path) -> None:
    rows = [json.loads(line) for line in (file.parent / "run" / "ledger.jsonl").read_text().splitlines()]
    most = max(row["payload_bits"] for row in rows)
    head = "[...document.querySelectorAll('.rows th button')].find((each) => each.textContent.startsWith('payload'))"
    page.evaluate(f"{head}.click()")
    page.evaluate(f"{head}.click()")
    column = page.evaluate(f"{head}.parentElement.cellIndex")
    assert page.evaluate(f"[{ROW}[0].textContent, {ROW}[{column}].textContent]") == ["dense-state-64-bit", f"{most:,}"]
    assert page.evaluate(f"{head}.parentElement.getAttribute('aria-sort')") == "descending"
    status = "document.querySelector('.table [role=status]').textContent"
    having = sum(any(str(most) in str(value) for value in row.values()) for row in rows)
    for words, count in (("8-bit carol->alice", 2), (str(most), having), ("no such", 0)):
        search = "document.querySelector('input[type=search]')"
        page.evaluate(f"{search}.value = {json.dumps(words)}; {search}.dispatchEvent(new Event('input'))")
        assert page.evaluate(status) == f"{count} of {len(rows)} rows"


@pytest.mark.parametrize("axis", ["stepped", "linear", "logarithmic"])
def test_the_diagram_has_an_arrow_for_each_message_and_time_goes_down(page: Page, file: Path, axis: str) -> None:
    rows = [json.loads(line) for line in (file.parent / "run" / "ledger.jsonl").read_text().splitlines()]
    quantum = sorted((row for row in rows if row["session"] == "inference"), key=lambda row: row["sent_ps"])
    page.evaluate(f"document.querySelector('input[value={axis}]').click()")
    drawn = page.evaluate(f"{ARROWS}.map((each) => each.getAttribute('d'))")
    ends = [[float(number) for number in re.findall(r"[-.\d]+", each)] for each in drawn]
    assert len(ends) == 24 and all(y1 <= y2 for _, y1, _, y2 in ends)
    assert [y1 for _, y1, _, _ in ends] == sorted(y1 for _, y1, _, _ in ends)
    assert page.evaluate("document.querySelectorAll('.sequence .arrow.quantum').length") == sum(
        row["copies"] > 0 for row in quantum[:24]
    )
    buttons = "[...document.querySelectorAll('.sequence button')]"
    page.evaluate(f"{buttons}.find((each) => each.textContent == 'Later').click()")
    assert page.evaluate(f"{ARROWS}.length") == len(quantum) - 24


def test_it_prints(page: Page, tmp_path: Path) -> None:
    page.print(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_the_list_of_a_server_loads_nothing_else(browser: Page, file: Path) -> None:
    with PageServer(file.parent, "127.0.0.1:0") as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        browser.messages.clear()
        browser.requests.clear()
        browser.open(server.url)
        assert browser.evaluate("document.querySelector('main a').href") == f"{server.url}page/run"
        assert browser.messages == [] and browser.requests == [server.url]
        browser.open("about:blank")
        server.shutdown()
        thread.join()


@pytest.mark.long
def test_a_large_ledger_takes_few_elements(browser: Page, tmp_path: Path) -> None:
    """10^5 messages: below 15 MB, and elements for what is in sight alone, wherever that is."""
    kw.run("ring-of-three", out=tmp_path / "run")
    ledger = tmp_path / "run" / "ledger.jsonl"
    line = json.loads(ledger.read_text().splitlines()[0])
    with open(ledger, "w") as file:
        for number in range(100_000):
            at = {"number": number, "sent_ps": number * 1_234_567, "arrival_ps": number * 1_234_567 + 98_765_432}
            file.write(json.dumps({**line, **at}) + "\n")
    page = tmp_path / "page.html"
    write_page(run_page(tmp_path / "run"), page)
    assert page.stat().st_size < 15_000_000
    browser.look()
    browser.messages.clear()
    browser.open(page.as_uri())
    rows = "document.querySelector('.rows')"
    browser.evaluate(f"{rows}.scrollTop = {rows}.scrollHeight")
    browser.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
    assert browser.evaluate(f"{rows}.querySelectorAll('tr').length") < 100
    assert browser.evaluate(f"{rows}.querySelector('tbody tr:nth-last-child(2)').cells[2].textContent") == "99,999"
    browser.evaluate(f"[...{rows}.querySelectorAll('th button')].find((each) => each.textContent == 'sent').click()")
    assert browser.evaluate(f"{ROW}[2].textContent") == "0" and browser.messages == []
