"""Rules: what each clause demands and how it is read; the clause ids of every page lead here."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from starlette.responses import Response

from cases.vocabulary.clauses import CLAUSE_ID, anchor

if TYPE_CHECKING:
    from starter.console.web import Look

PAGE = "/console/rules"
TEXT = Path(__file__).parents[2] / "docs" / "rules.md"
# Links to other files of the repository, which the console does not serve.
_ELSEWHERE = re.compile(r"\[([^\]]*)\]\((?!#)[^)]*\)")


async def rules(look: Look) -> Response:
    """Return the page."""
    return look.page("rules.html", page="policy", text=_rendered())


@cache
def _rendered() -> Markup:
    text = _ELSEWHERE.sub(r"\1", TEXT.read_text("utf-8"))
    # The file is the program's own, so its anchors are taken as they are.
    return Markup(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


def clause_links(text: str) -> Markup:
    """Return a text with each clause id in it as a link to what the clause says."""
    return Markup(CLAUSE_ID.sub(_link, str(escape(text))))


def _link(found: re.Match[str]) -> str:
    return f'<a href="{PAGE}#{anchor(found[0])}">{found[0]}</a>'
