"""Docstrings, comments, messages and pages are plain English: none of the archaic turns that crept in before."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("quantum", "channels", "protocols", "nodes", "scenarios", "src/ketwire", "benchmarks", "docs")
# "anew:" describes an attribute.
TURNS = (
    r"anew(?!:)", "afresh", "albeit", "amongst", "befall", "befalls", "befell", "betwixt", "but for",
    "by nobody", "fares? alike", "for ever", "for want of", "forthwith", "foretells?", "hence", "henceforth",
    "hereby", "hitherto", "in vain", "known to nobody", "lest", "likewise", "nobody but", "nobody who", "none but",
    "notwithstanding", "nothing but",
    "nothing given", "of no account", "of one's own accord", "one and the same", "one's own",
    "oneself", "perchance", "that which", "the very (?:same|data|arrays?|functions?|parameters)", "thence",
    "thereafter", "thereby", "therein", "thereof", "thus", "unto", "upon", "vouch(?:es|ed)?", "whence", "whereby",
    "wherein", "whereof", "whichever", "whilst", "whoever", "whomever", "whosoever",
)
PATTERN = re.compile(r"(?<![\w-])(?:" + "|".join(TURNS).replace(" ", r"\s+") + r")(?![\w-])", re.IGNORECASE)


def pages() -> list[Path]:
    """The pages, and the packaged scenarios, whose comments are read like them."""
    packaged = sorted((ROOT / "scenarios" / "packaged").glob("*.yaml"))
    return [ROOT / "README.md", ROOT / "HACKING.md", *sorted((ROOT / "docs").rglob("*.md")), *packaged]


def modules() -> list[Path]:
    return sorted({path.resolve() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")})


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Docstrings, other strings of several words (messages, help, descriptions) and comments of a module.

    Each with the line it begins in; comments in a row are one.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value
    first, last, said = 1, -1, ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1:
                yield first, said
                first, said = token.start[0], ""
            last, said = token.start[0], f"{said} {token.string.lstrip('# ')}"
    yield first, said


def quoted(page: str) -> str:
    """A page without the code and messages that it quotes, line for line."""
    page = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), page, flags=re.DOTALL)
    return re.sub(r"`[^`]*`", lambda span: "\n" * span[0].count("\n"), page)


def found(where: str, line: int, text: str) -> list[str]:
    return [f"{where}:{line + text[: turn.start()].count(chr(10))}: {turn[0]!r}" for turn in PATTERN.finditer(text)]


def test_modules_are_in_plain_english() -> None:
    paths = modules()
    assert len(paths) > 200
    assert not [
        turn
        for path in paths
        if PATTERN.search(path.read_text())  # most have none, not even in their code
        for line, text in prose(path.read_text())
        for turn in found(str(path.relative_to(ROOT)), line, text)
    ]


def test_pages_are_in_plain_english() -> None:
    assert not [turn for path in pages() for turn in found(path.name, 1, quoted(path.read_text()))]


@pytest.mark.parametrize(
    ("module", "turns"),
    [
        ('"""Whoever\n\nbefell that\nwhich."""\n', ["m:1: 'Whoever'", "m:3: 'befell'", "m:3: 'that\\nwhich'"]),
        ("x = 1  # kept for\n# ever\n", ["m:1: 'for ever'"]),
        ('def f():\n    raise ValueError(f"{x} begins anew")\n', ["m:2: 'anew'"]),
        ("anew = True\n", []),
    ],
)
def test_what_the_search_sees(module: str, turns: list[str]) -> None:
    assert [turn for line, text in prose(module) for turn in found("m", line, text)] == turns


def refusals() -> Iterator[tuple[str, ast.expr]]:
    """Where each ScenarioError is made, and of what text."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ScenarioError" and node.args:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.args[0]


def test_errors_say_what_is_expected() -> None:
    """FILE: KEY: what is wrong, expected what is accepted. Some put a place before what another error has said."""
    said = list(refusals())
    assert len(said) > 200
    hands_on = re.compile(r"\{[^}]*\b(?:error|reason|told|told_of|told_why|expected|fault|faults|shapes)\b")
    literal = [(where, ast.unparse(text)) for where, text in said if isinstance(text, ast.JoinedStr | ast.Constant)]
    assert not [where for where, text in literal if "expected" not in text and not hands_on.search(text)]


def test_what_a_page_quotes_is_not_its_own() -> None:
    assert found("p", 1, quoted("`begins\nanew`\n\n```\nthus\n```\nThus")) == ["p:7: 'Thus'"]
