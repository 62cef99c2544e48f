"""One page of HTML that holds all it needs: style, script, figures, data. Nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ketwire import __version__
from ketwire.errors import ScenarioError
from ketwire.nodes.checkpoints.folders import private
from ketwire.scenarios.reports.elements import Html, element, joined
from ketwire.scenarios.reports.figures import COLOURS, paneled, svg
from ketwire.scenarios.reports.hover import for_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE_COLOURS = {
    **{colour.lower(): f"var(--series-{place})" for place, colour in enumerate(COLOURS)},
    "#000000": "currentColor",
    "#ffffff": "var(--paper)",
    **dict.fromkeys(("#595959", "#666666", "#808080", "#b0b0b0", "#b2b2b2"), "var(--soft)"),
}
"""What stands on a page for the colours of figures, so that they follow its theme."""

SUFFIXES = (".html", ".htm")
WIDTH_INCHES = 4.2


class Section(NamedTuple):
    """A part of a page. title: in the page's list of contents too."""

    name: str
    title: str
    inner: Html


def section(name: str, title: str, *inner: str) -> Section:
    return Section(name, title, joined(inner))


def page(title: str, subtitle: str, sections: Sequence[Section], live: bool = False) -> str:
    """The whole page.

    Args:
        title, subtitle: its head. sections: in their order.
        live: what it shows still grows, so a browser is to load it again every few seconds.
    """
    script, style = asset("page.js"), asset("page.css")
    head = (
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy()}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="referrer" content="no-referrer">'),
        Html('<meta http-equiv="refresh" content="5">' if live else ""),
        Html('<link rel="icon" href="data:,">'),
        element("title", title),
        element("style", Html(style)),
    )
    contents = element("nav", *(element("a", each.title, href=f"#{each.name}") for each in sections))
    parts = (element("section", element("h2", each.title), each.inner, id=each.name) for each in sections)
    body = element(
        "body",
        element("header", element("h1", title), element("p", subtitle), contents),
        element("main", *parts),
        element("footer", element("p", f"Made by ketwire {__version__}. This page loads nothing from elsewhere.")),
        element("script", Html(script)),
    )
    return f"<!DOCTYPE html>\n{element('html', element('head', *head), body, lang='en')}\n"


@cache
def policy() -> str:
    """What a page may do, as browsers are told: run its own script, and load nothing."""
    digest = base64.b64encode(hashlib.sha256(asset("page.js").encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def figure(name: str, panel: Callable[[Axes], None], label: str, height_inches: float = 3.0) -> Html:
    """One panel of a figure, to put into a page, small enough to be read on a phone.

    Raises:
        ScenarioError: matplotlib is not installed.
    """
    made = paneled([panel], inches=(WIDTH_INCHES, height_inches))
    return element("figure", Html(for_page(svg(made, transparent=True), name, label, PAGE_COLOURS)))


def scrolled(inner: Html) -> Html:
    """What may be wider than a phone."""
    return element("div", inner, class_="scrolled", tabindex="0")


def copied(text: str, file: str = "") -> Html:
    """A text with a button that copies it, and one that saves it where it has a file's name."""
    save = element("button", "Save", type="button", data_save=file) if file else ""
    copy = element("button", "Copy", type="button", data_copy=True)
    bar = element("div", copy, save, class_="bar")
    return element("div", element("pre", element("code", text)), bar, class_="copied")


def without_script() -> Html:
    """What a browser shows that runs no scripts."""
    return element("noscript", element("p", "The script of this page draws this; the browser runs no scripts."))


@cache
def asset(name: str) -> str:
    """A file of the page's own, which lies beside this module."""
    return files("ketwire.scenarios.reports").joinpath(name).read_text("utf-8")


def check_target(out: Path) -> None:
    """Raises:
    ScenarioError: a file of this name is no page, or its folder is not there.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise ScenarioError(f"-o: {out} given, expected a file that ends in {', '.join(SUFFIXES)}")
    if not out.absolute().parent.is_dir():
        raise ScenarioError(f"-o: {out} given, expected a file in a folder that is there")


def write_page(text: str, out: Path) -> None:
    """Write a page in one go: it is whole, or what was there before.

    Raises:
        ScenarioError: it cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as folder:
            made = Path(folder) / out.name
            with open(made, "w", encoding="utf-8", opener=private) as file:
                file.write(text)
            os.replace(made, out)
    except OSError as error:
        raise ScenarioError(f"-o: {out}: {error.strerror or error}, expected a file that can be written") from None
