"""Reads a page as a browser would: what is text, what stands in which element, and which figures name their origin."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "hr", "input"}


@dataclass
class Element:
    """An element with its attributes and the text that it holds, tooltips left out."""

    tag: str
    attributes: dict[str, str]
    text: str = ""

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())


@dataclass
class Page(HTMLParser):
    """A parsed page: `figures` have an origin, `loose` is text with digits of which nothing says what it is."""

    figures: list[Element] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    stack: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        if "data-mart" in element.attributes:
            self.figures.append(element)
        if tag not in VOID:
            self.stack.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.stack[-1].tag == tag, f"</{tag}> closes <{self.stack[-1].tag}>"
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        if not data.strip() or any(element.tag in ("title", "style") for element in self.stack):
            return
        self.words.append(data)
        for element in self.stack:
            element.text += data
        if re.search(r"\d", data) and not any(map(_explains, self.stack)):
            self.loose.append(data.strip())


def _explains(element: Element) -> bool:
    """True of what holds figures with an origin, and of dates, names, words, code, axes and legends."""
    named = {"name", "words", "axis", "role-axis", "role-legend", "role-title", "role-axis-label"}
    return (
        "data-mart" in element.attributes
        or element.tag in ("time", "pre", "code", "dd", "summary")
        or any(part in named or part.startswith("role-axis") for part in element.classes)
    )


def read_page(text: str) -> Page:
    """Parse a page; every element that opens must close."""
    page = Page()
    page.feed(text)
    page.close()
    assert not page.stack
    return page


def number_shown(text: str) -> tuple[float, float]:
    """The number in a text as people read it, and half of its last digit: `−$1.2k` -> (-1200, 50)."""
    found = re.search(r"([−+-]?)[^\d−+-]*?(\d[\d,]*)(?:\.(\d+))?\s*([kM%]|pp)?", text)
    assert found, text
    sign, whole, decimals, scale = found.groups()
    factor = {"k": 1e3, "M": 1e6, "%": 0.01, "pp": 0.01}.get(scale, 1.0)
    number = float(whole.replace(",", "") + "." + (decimals or "0")) * factor
    return (-number if sign in ("−", "-") else number), 0.5 * 10.0 ** -len(decimals or "") * factor
