"""Read the anchors and the links of a Markdown page."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

EXPLICIT = re.compile(r'<a id="([^"]+)">')
# A (line, text) of a page.
Found = tuple[int, str]


def anchors(page: str) -> Iterator[Found]:
    """Yield each anchor of a page: ``<a id="...">`` and the one that GitHub gives a heading."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    for before, token in zip([None, *tokens], tokens, strict=False):
        line = _line(token)
        parts = token.children or []
        if before is not None and before.type == "heading_open":
            yield line, _slug("".join(part.content for part in parts if part.type in {"text", "code_inline"}))
        for part in [token, *parts]:
            if part.type in {"html_inline", "html_block"}:
                yield from ((line, id_) for id_ in EXPLICIT.findall(part.content))


def links(page: str) -> Iterator[Found]:
    """Yield the target of each link and picture of a page."""
    for token in MarkdownIt("commonmark").enable("table").parse(page):
        for part in token.children or []:
            target = part.attrGet("href") or part.attrGet("src")
            if target is not None:
                yield _line(token), str(target)


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 0


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
