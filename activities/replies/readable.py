"""What a person wrote in a mail: plain text out of HTML, and without the history that mail programs put below."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_HIDDEN = frozenset({"script", "style", "head", "title", "template"})
_BREAKS = frozenset({"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "table", "hr", "pre"})
_BLANKS = re.compile(r"[ \t\u00a0]+")
_EMPTY = re.compile(r"\n{3,}")

# Below these nothing is new.
_END = re.compile(
    r"\s*(-{3,}\s*(original (message|appointment)|原始邮件|原始郵件|原邮件|转发邮件|回复的原邮件)\s*-{3,}|_{20,})\s*",
    re.IGNORECASE,
)
# What stands before a quotation.
_ATTRIBUTION = re.compile(
    r"\s*(on\b.{5,300}\bwrote|在.{4,200}写道|于.{4,200}写道|.{4,200}於.{2,100}寫道)\s*[:\uff1a]\s*", re.IGNORECASE
)
# The headers of a letter that is quoted without any mark.
_HEADER = re.compile(
    r"\s*\*?(from|sent|date|to|subject|发件人|发送时间|收件人|主题|寄件者|寄件日期)\*?\s*[:\uff1a].*", re.IGNORECASE
)
# So many lines below are looked at.
_NEAR = 20


class _Reader(HTMLParser):
    def __init__(self, hidden: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.hides = hidden
        self.hidden: list[str] = []
        self.told: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.hidden:
            # Of the same name alone, since others may not be closed.
            if tag == self.hidden[-1]:
                self.hidden.append(tag)
        elif tag in self.hides:
            self.hidden.append(tag)
            self.told.append("\n")
        elif tag in _BREAKS:
            self.told.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self.hidden and tag == self.hidden[-1]:
            self.hidden.pop()
        elif not self.hidden and tag in _BREAKS:
            self.told.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            # A line break in HTML is a blank.
            self.told.append(_BLANKS.sub(" ", data.replace("\r", "").replace("\n", " ")))


def from_html(html: str) -> str:
    """Return what a reader of a page sees, with a line for each of its blocks, and without quotations beside more."""
    return _seen(html, _HIDDEN | {"blockquote"}) or _seen(html, _HIDDEN)


def _seen(html: str, hidden: frozenset[str]) -> str:
    reader = _Reader(hidden)
    reader.feed(html)
    reader.close()
    lines = (line.strip() for line in "".join(reader.told).splitlines())
    return _EMPTY.sub("\n\n", "\n".join(lines)).strip()


def without_history(text: str) -> str:
    """Return a text without quoted lines and what introduces them; all of it where nothing else would be left.

    It takes out only what programs mark, so that no word of the customer is lost: better too much than too little.
    """
    lines = text.replace("\r\n", "\n").splitlines()
    kept: list[str] = []
    place = 0
    while place < len(lines):
        line = lines[place]
        if _END.fullmatch(line) and _quotes_headers(lines[place + 1 : place + _NEAR], line):
            break
        if line.lstrip().startswith((">", "＞")):
            place += 1
            continue
        taken = _attribution(lines, place)
        if taken:
            place += taken
            continue
        kept.append(line.rstrip())
        place += 1
    told = _EMPTY.sub("\n\n", "\n".join(kept)).strip()
    return told or text.strip()


def _quotes_headers(after: list[str], line: str) -> bool:
    """Whether the headers of a letter follow; a line of dashes with words needs none."""
    following = [one for one in after if one.strip()][:4]
    return "_" not in line or sum(_HEADER.fullmatch(one) is not None for one in following) >= 2


def _attribution(lines: list[str], place: int) -> int:
    """Return how many lines from here introduce a quotation; some programs break them."""
    for count in (1, 2, 3):
        some = lines[place : place + count]
        if len(some) < count or not some[-1].strip():
            return 0
        if _ATTRIBUTION.fullmatch(" ".join(some)):
            after = next((one for one in lines[place + count : place + count + _NEAR] if one.strip()), None)
            # A sentence of the customer may end like this too, so a quotation must follow, or nothing.
            return count if after is None or after.lstrip().startswith((">", "＞")) else 0
    return 0
