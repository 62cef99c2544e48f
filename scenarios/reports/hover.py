"""Titles that browsers show over parts of a figure, and figures whose colours follow the theme of a page.

matplotlib writes an artist's `gid` as the id of a group. Titles travel in it, and are taken out where the file is made.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
PREFIX = "titles."
MOST_SCALE = 1.75
"""Pixels that a point of a figure has on a wide page."""


def entitle(artists: Any, titles: str | Iterable[str]) -> None:
    """Give an artist, or a nest of them, a title, or one for each of its markers."""
    if isinstance(artists, list | tuple):
        for each in artists:
            entitle(each, titles)
    elif artists is not None:
        told = titles if isinstance(titles, str) else list(titles)
        artists.set_gid(PREFIX + base64.urlsafe_b64encode(json.dumps(told).encode()).decode())


def with_titles(svg: bytes) -> Element:
    """The figure as a tree, with its titles in their places and without what matplotlib says of itself."""
    root = ElementTree.fromstring(svg)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    for number, group in enumerate(each for each in root.iter() if each.get("id", "").startswith(PREFIX)):
        titles = json.loads(base64.urlsafe_b64decode(group.attrib["id"].removeprefix(PREFIX)))
        group.set("id", f"titled-{number}")
        if isinstance(titles, str):
            _put(group, titles)
            continue
        markers = list(group.iter(f"{{{SVG}}}use")) or list(group.iter(f"{{{SVG}}}path"))
        if len(markers) == len(titles):  # else some lie outside the axes, and nobody knows which
            for marker, title in zip(markers, titles, strict=True):
                _put(marker, title)
    return root


def text_of(root: Element) -> str:
    """The tree as text, an `svg` element in the plain form that HTML takes as well."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def for_page(svg: bytes, name: str, label: str, colours: Mapping[str, str]) -> str:
    """A figure to put into a page: as wide as there is room for, with the page's colours.

    Args:
        name: makes its ids differ from those of other figures on the page.
        label: what it shows, for those who do not see it.
        colours: what stands for a colour, by its number in hexadecimal digits (`#0072b2`).
    """
    root = with_titles(svg)
    width = root.attrib.pop("width", "").removesuffix("pt")
    root.attrib.pop("height", None)
    root.attrib |= {"role": "img", "aria-label": label, "style": f"max-width: {float(width or 330) * MOST_SCALE:.0f}px"}
    for node in root.iter():
        for key, value in node.attrib.items():
            if key == "id":
                node.set(key, f"{name}-{value}")
            elif key == f"{{{XLINK}}}href":
                node.set(key, value.replace("#", f"#{name}-"))
            elif key in ("style", "fill", "stroke") and node is not root:
                node.set(key, _coloured(value, colours))
            elif "url(#" in value:
                node.set(key, value.replace("url(#", f"url(#{name}-"))
    return text_of(root)


def _coloured(style: str, colours: Mapping[str, str]) -> str:
    return re.sub("#[0-9a-fA-F]{6}", lambda found: colours.get(found[0].lower(), found[0]), style)


def _put(node: Element, title: str) -> None:
    told = ElementTree.Element(f"{{{SVG}}}title")
    told.text = title
    node.insert(0, told)
