"""Turns the Markdown of doc blocks into HTML: bullets with a bold label, inline code, bold words."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_LABEL = re.compile(r"\*\*([^*]+?):\*\*\s*")


def bullets(text: str) -> list[tuple[str, Markup]]:
    """(label, words) of each `**Label:** words` in a doc block, in its order; text before a label has an empty one."""
    pairs: list[tuple[str, Markup]] = []
    for line in re.split(r"^\s*- ", text.strip(), flags=re.M):
        parts = _LABEL.split(line.strip())
        if parts[0].strip():
            pairs.append(("", inline(parts[0])))
        pairs += [(label, inline(words)) for label, words in zip(parts[1::2], parts[2::2], strict=True)]
    return pairs


def inline(text: str) -> Markup:
    """Inline Markdown as HTML."""
    html = str(escape(" ".join(text.split())))
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", html))
