"""HTML that escapes all text: only what these functions made is taken as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


class Html(str):
    """A piece of HTML; every other text is escaped where it is put into one."""

    __slots__ = ()


def element(name: str, *inner: str, **attributes: str | bool) -> Html:
    """An element with what is in it.

    Args:
        name: of the element. inner: texts, escaped, and pieces of HTML.
        attributes: `class_` for class, `aria_label` for aria-label; True for one without a value, False for none.
    """
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(value)}"')
        for key, value in attributes.items()
        if value is not False
    )
    return Html(f"<{name}{told}>{joined(inner)}</{name}>")


def joined(pieces: Iterable[str]) -> Html:
    """Texts, escaped, and pieces of HTML, one after another."""
    return Html("".join(piece if isinstance(piece, Html) else escape(piece) for piece in pieces))


def lines(text: str) -> Html:
    """A text whose lines stay lines."""
    return Html("<br>".join(escape(line) for line in text.splitlines()))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], **attributes: str) -> Html:
    """A table with a row of heads, if any of them says something."""
    head = element("thead", element("tr", *(element("th", each) for each in heads))) if any(heads) else Html()
    body = (element("tr", *(element("td", cell) for cell in row)) for row in rows)
    return element("table", head, element("tbody", *body), **attributes)


def data(name: str, value: Any) -> Html:
    """JSON that the page's script reads; no text in it can end the element."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/json" id="{escape(name)}">{text}</script>')
