"""What the documentation shows runs, and does what it says."""

from __future__ import annotations

import doctest
import json
import re
import shlex
import subprocess
import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from ketwire.modules import settle
from ketwire.scenarios import cli
from tests.kit import unannounced

ROOT = Path(__file__).parent.parent


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("options", [pytest.param([], marks=pytest.mark.long), ["--inline"]])
def test_the_page_on_your_own_protocol(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "coin.py").write_text(blocks("docs/your-own-protocol.md", "python")[0])
    (tmp_path / "coin.yaml").write_text(blocks("docs/your-own-protocol.md", "yaml")[0])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ketwire", "run", "coin.yaml", "--check", "--json", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    # 20,000 qubits at 0.9 * 10^(-0.1) = 0.715, and fair coins: both within 4.5 standard errors.
    assert abs(result["copies"] - 20_000 * 0.715) < 4.5 * (20_000 * 0.715 * 0.285) ** 0.5
    assert abs(result["estimate"] - 0.5) < 4.5 * 0.5 / result["copies"] ** 0.5
    assert result["qubits_sent"] == 20_000 and result["payload_bits"] == 32


def test_what_the_page_on_your_own_protocol_shows_of_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The line as it stands there, from the program as it stands there."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "your-own-protocol.md").read_text()
    (tmp_path / "coin.py").write_text(blocks("docs/your-own-protocol.md", "python")[0])
    (tmp_path / "coin.yaml").write_text(blocks("docs/your-own-protocol.md", "yaml")[0])
    try:
        assert cli.execute(["run", "coin.yaml", "--inline", "--set", "links.0.length_km=1000"]) == 3
    finally:
        settle(None)
    assert f"    {unannounced(capfd.readouterr().err)}" in page


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "HACKING.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(
    ("page", "command"),
    [
        ("docs/eavesdropping.md", "run eavesdropper"),
        ("docs/latency.md", "run ring-of-three --inline --latency"),
        pytest.param("docs/links.md", "run repeater-chain-100km --check", marks=pytest.mark.long),
        pytest.param("docs/training.md", "run train-breast-cancer --seed 10", marks=pytest.mark.long),
    ],
)
def test_what_pages_show_of_runs_is_what_runs_say(page: str, command: str) -> None:
    """Every line that stands indented under the command, but for the one with the seconds it took."""
    done = subprocess.run(
        [sys.executable, "-m", "ketwire.scenarios.cli", *command.split(), "--inline"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    after = re.split(rf"ketwire {re.escape(command)}(?! --)", (ROOT / page).read_text(), maxsplit=1)[1]
    block = after.split("\n    ", 1)[1].split("\n\n", 1)[0]
    shown = [line.strip() for line in block.splitlines()]
    lines = [line for line in shown if line != "..." and not re.search(r"seed \d+, [\d.]+ s$", line)]
    said = [line.strip() for line in done.stdout.splitlines()]
    assert len(lines) >= 4
    for line in lines:
        assert line in said


def test_what_the_page_on_run_folders_shows_is_what_the_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["run", "ring-of-three", "--inline", "--out", "RUN"]) == 0
    page = (ROOT / "docs/run-folders.md").read_text()
    follow = ["--follow", "alice:inference:100"]
    for start, options in (("    session inference, 28", []), ("    copy 100 of those", follow)):
        capsys.readouterr()
        assert cli.execute(["trace", "RUN", *options]) == 0
        said = [line.strip() for line in capsys.readouterr().out.splitlines()]
        shown = [line.strip() for line in page[page.index(start) :].split("\n\n", 1)[0].splitlines()]
        assert len(shown) >= 4 and not [line for line in shown if line != "..." and line not in said]


@pytest.mark.long
def test_what_the_readme_shows_of_the_demo_is_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("digits", "subspace"):  # as `make demo` has them
        assert f"@$(BIN)/ketwire run {name}\n" in (ROOT / "Makefile").read_text()
        assert cli.execute(["run", name, "--inline"]) == 0
    page = (ROOT / "README.md").read_text()
    block = page[page.index("    digits: subspace, seed 2") : page.index("\n\n![")]
    timed = re.compile(r"seed \d+, [\d.]+ s$")
    shown, said = ([line.rstrip() for line in text.splitlines()] for text in (block, capsys.readouterr().out))
    kept = [line.removeprefix("    ") for line in shown if not timed.search(line)]
    assert kept == [line for line in said if not timed.search(line)]


def test_the_page_on_design_is_short_and_names_what_there_is() -> None:
    page = (ROOT / "docs/design.md").read_text()
    assert len(page.splitlines()) <= 120
    named = re.findall(r"`((?:quantum|channels|protocols|nodes|scenarios|tests)/[\w/]+\.py)`", page)
    assert len(named) > 30
    for file in named:
        assert (ROOT / file).exists(), file
    table = re.findall(r"^\| .*\? \| `(\S+)\.py` \| `([\w.]+)` \|$", page, re.MULTILINE)
    assert len(table) == 11
    for file, symbol in table:
        attrgetter(symbol)(import_module("ketwire." + file.replace("/", ".")))


ELSEWHERE = {"coin.py", "mymodule.py", "json.py", "/home/me/coin.py"}
"""Files of a user that the pages speak of."""
OURS = ("quantum", "channels", "protocols", "nodes", "scenarios", "src/ketwire", "benchmarks", "tests", "docs")


PAGES = ["README.md", "HACKING.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_no_module_that_is_gone(page: str) -> None:
    """A path is the end of one of ours; a bare name is a module of the package."""
    found = {str(path.relative_to(ROOT)) for folder in OURS for path in (ROOT / folder).rglob("*.py")}
    package = {path for path in found if not path.startswith(("tests/", "docs/", "benchmarks/"))}
    text = (ROOT / page).read_text()
    for name in set(re.findall(r"[\w/.-]+\.py\b", text)) - ELSEWHERE:
        among = found if "/" in name else package
        assert any(f"/{path}".endswith(f"/{name}") for path in among), name
    for name in set(re.findall(r"`(?:ketwire\.)?((?:quantum|channels|protocols|nodes|scenarios)(?:\.\w+)+)`", text)):
        assert any(f"{name.replace('.', '/')}/".startswith(path.removesuffix(".py") + "/") for path in package), name


@pytest.mark.parametrize("page", ["docs/python.md", pytest.param("README.md", marks=pytest.mark.long)])
def test_what_pages_show_of_python_is_what_happens(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(ROOT / page), module_relative=False)
    assert found.attempted > 7 and not found.failed


def commands_of(page: Path) -> list[list[str]]:
    """The commands of ketwire that a page names, on lines of their own and within sentences."""
    text = page.read_text().replace("\\\n", " ")
    found = re.findall(r"^ {4,}(?:\w+\$ +)?(ketwire [^\n]*)", text, re.MULTILINE)
    found += re.findall(r"`(ketwire [^`\n]+)`", text)
    return [shlex.split(re.split(r"\s+#|\s&$| 2?> | \| ", each)[0])[1:] for each in found]


def test_commands_on_pages_have_the_options_that_there_are() -> None:
    """A sentence may name a command without its arguments."""
    group = typer.main.get_command(cli.app)
    assert isinstance(group, TyperGroup)
    told = {page.name: commands_of(page) for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
    assert sum(map(len, told.values())) > 100
    for page, commands in told.items():
        for name, *argv in commands:
            try:
                group.commands[name].make_context(name, list(argv))
            except Exception as error:  # of typer's own copy of click
                assert type(error).__name__ in ("MissingParameter", "Exit"), f"{page}: {name} {argv}: {error}"


@pytest.mark.long
def test_the_commands_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order in which they stand there, in one folder; a training is cut to two steps."""
    monkeypatch.chdir(tmp_path)
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| ")]
    commands = [shlex.split(found)[1:] for line in rows for found in re.findall(r"`(ketwire [^`]+)`", line)]
    assert len(commands) >= 8
    for argv in commands:
        short = ["--set", "protocol.steps=2"] if "train-breast-cancer" in argv else []
        assert cli.execute([*argv, *short]) == 0, argv
    assert {"ring.svg", "ring.html"} <= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "runs/tumours/models/alice.npz").exists() and (tmp_path / "runs/study/points.csv").exists()
    capsys.readouterr()


@pytest.mark.long
def test_the_model_that_the_page_on_training_keeps_is_used_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/training.md").read_text()
    block = page[page.index("    name: use\n") :].split("\n\n", 1)[0]
    (tmp_path / "use.yaml").write_text("".join(line.removeprefix("    ") + "\n" for line in block.splitlines()))
    few = ["--set", "protocol.steps=1", "--set", "protocol.test_copies=64"]
    assert cli.execute(["run", "train-breast-cancer", "--out", "OUT", "--inline", *few]) == 0
    assert cli.execute(["run", "use.yaml", "--inline"]) == 0


@pytest.mark.long
def test_the_notebook_of_a_latency_study_shows_what_it_computes(tmp_path: Path) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")

    def texts(book: Any) -> list[str]:
        return [each["data"]["text/plain"] for cell in book.cells for each in cell.get("outputs", ()) if "data" in each]

    book = nbformat.read(ROOT / "docs/latency-study.ipynb", as_version=4)
    before = texts(book)
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert len(before) >= 5 and texts(book) == before


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_the_picture_of_a_graph_network_is_what_its_program_draws() -> None:
    """One logit by the network, by its quadratic form and by a measurement: the same number, and that of the page."""
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "graph_network.py")], capture_output=True, text=True,
                          timeout=60, check=True)  # fmt: skip
    drawn, kept = (re.findall(r">= (-?[0-9.]+)<", text)
                   for text in (done.stdout, (ROOT / "docs" / "graph-network.svg").read_text()))  # fmt: skip
    assert len(drawn) == 3 and len(set(drawn)) == 1 and drawn == kept
