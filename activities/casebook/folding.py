"""Folding: texts that people take for the same become the same, for what is searched and what is searched for.

Width and composition (NFKC), case, and traditional Chinese characters, one by one. The same folding is done by the
casebook's function ``search_folded``, so that whatever writes a row makes what it is found by; its table
``search_fold`` is `FOLDED`, and a change of it needs a migration.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from importlib.resources import files

# Characters whose case is folded: up to here there are scripts that have cases.
_CASED = range(0x80, 0x2000)

# What a text is cut into: words of letters and digits, and runs of Chinese, Japanese or Korean characters.
WORD = "0-9a-zß-öø-\u1fff"
HAN = "々〇\u3040-\u30ff\u3400-\u9fff가-\ud7a3\U00020000-\U000323af"
_RUN = re.compile(f"[{WORD}]+|[{HAN}]+")
# Of a longer word so many characters count.
MOST_OF_WORD = 40


def _folded() -> Mapping[str, str]:
    # Only one by one: what is folded has as many characters as before. What composition changes never comes here.
    alone = (one for one in map(chr, _CASED) if unicodedata.is_normalized("NFKC", one))
    found = {one: low for one in alone if len(low := one.casefold()) == 1 and low != one}
    lines = (files(__package__) / "han.txt").read_text(encoding="utf-8").splitlines()
    pairs = (pair for line in lines if not line.startswith("#") for pair in line.split())
    return {**found, **{pair[0]: pair[1] for pair in pairs}}


FOLDED = _folded()
_ASCII = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_TABLE: dict[int, int | str] = {**_ASCII, **{ord(one): to for one, to in FOLDED.items()}}


def folded(text: str) -> str:
    """Return a text as it is searched for and found."""
    return unicodedata.normalize("NFKC", text).translate(_TABLE)


def is_han(run: str) -> bool:
    """Whether a run is of Chinese, Japanese or Korean characters, which are written without spaces."""
    return re.match(f"[{HAN}]", run) is not None


def runs(text: str) -> Iterator[str]:
    """Yield the words and the runs of Chinese characters of a folded text, in order."""
    for found in _RUN.finditer(text):
        yield found[0] if is_han(found[0]) else found[0][:MOST_OF_WORD]


def pairs(run: str) -> list[str]:
    """Return each two characters that stand side by side; a single one by itself."""
    return [run] if len(run) == 1 else [run[place : place + 2] for place in range(len(run) - 1)]


def parts(text: str, size: int = 4) -> list[str]:
    """Return each so many characters that stand side by side; none of a shorter text."""
    return [text[place : place + size] for place in range(len(text) - size + 1)]
