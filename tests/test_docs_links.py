"""Check that relative links and anchors of the docs lead somewhere, here and on GitHub."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests import markdown

ROOT = Path(__file__).parents[1]
PARTS = ("cases", "workflows", "activities", "starter")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """Return the anchors of a page; each page is read once."""
    return frozenset(anchor for _, anchor in markdown.anchors(page.read_text("utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for line, link in markdown.links(page.read_text("utf-8")):
        target = urlsplit(link)
        if target.scheme or target.netloc:
            continue
        file = (page.parent / unquote(target.path)).resolve() if target.path else page
        if not file.is_relative_to(ROOT) or not file.exists():
            dead.append(f"{page.relative_to(ROOT)}:{line} {link}: no such file")
        elif target.fragment and unquote(target.fragment) not in anchors_of(file):
            dead.append(f"{page.relative_to(ROOT)}:{line} {link}: no such anchor")
    assert not dead, "\n".join(dead)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_anchor_stands_twice(page: Path) -> None:
    found = list(markdown.anchors(page.read_text("utf-8")))
    times = Counter(anchor for _, anchor in found)
    twice = [f"{page.relative_to(ROOT)}:{line} #{anchor}" for line, anchor in found if times[anchor] > 1]
    assert not twice, "\n".join(twice)


def test_the_map_of_rooms_shows_each() -> None:
    page = ROOT / "docs" / "architecture.md"
    shown = {(page.parent / link).resolve() for _, link in markdown.links(page.read_text("utf-8"))}
    packages = {file.parent for part in PARTS for file in (ROOT / part).glob("**/__init__.py")}
    missing = {str(package.relative_to(ROOT)) for package in packages if len(package.relative_to(ROOT).parts) < 3}
    missing -= {str(path.relative_to(ROOT)) for path in shown}
    assert packages
    assert not missing


def test_the_index_of_decisions_lists_each_once() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = Counter(link for _, link in markdown.links((folder / "README.md").read_text("utf-8")))
    records = {path.name for path in folder.glob("*.md")} - {"README.md"}
    assert listed == Counter(records)
    assert len({name[:4] for name in records}) == len(records), "a number is used twice"


def test_pages_and_their_parts_are_found() -> None:
    """Find some, since the tests above would hold for no page, no link and no anchor too."""
    assert {"README.md", "docs/rules.md", "docs/api.md"} <= {str(page.relative_to(ROOT)) for page in PAGES}
    page = (
        '# A `b` (c)\n\n[x](y.md#z) ![p](q.png)\n\n| a |\n|---|\n| <a id="here"></a>[in a cell](w) |\n\n`[no](code)`\n'
    )
    assert list(markdown.anchors(page)) == [(1, "a-b-c"), (7, "here")]
    assert [link for _, link in markdown.links(page)] == ["y.md#z", "q.png", "w"]
