"""What a text that somebody types asks of the tokens of a case (0026_find.sql), as PostgreSQL's ``tsquery``. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from activities.casebook.folding import folded, is_han, pairs, parts, runs

# Words after so many are not looked at.
MOST_WORDS = 10
# From so many characters on, a part of a number is found wherever it stands in it.
PART = 4

_NO_WORD = re.compile(r"[^a-z0-9]+")
# A word that no case has.
_NOTHING = "'-'"


@dataclass(frozen=True, slots=True)
class Query:
    """What a text asks for.

    Args:
        known: among what everybody reads who sees a case.
        told: the same, and among what people wrote in it.
        personal: the same, and among personal facts.
        any_personal: any of the words among personal facts.
    """

    known: str
    told: str
    personal: str
    any_personal: str


def split(text: str) -> list[str]:
    """Return the words of a text, folded; all of them are asked for."""
    return folded(text).split()[:MOST_WORDS]


def query(words: Sequence[str], meanings: Sequence[Sequence[str]]) -> Query:
    """Return what these folded words ask for.

    Args:
        meanings: for each, the tokens of what it stands for (`activities.casebook.meanings`).
    """
    known, told, personal = [], [], []
    each = []
    for word, tokens in zip(words, meanings, strict=True):
        public = [*_ids(word), *map(_quoted, tokens)]
        said, number = _said(word), _part("+", word)
        known.append(_any(public))
        told.append(_any([*public, *said]))
        personal.append(_any([*public, *said, *number]))
        each.append(_any([*said, *number]))
    return Query(_all(known), _all(told), _all(personal), _any(each))


def _ids(word: str) -> list[str]:
    """Return what a word is among ids: the beginning of a part, or a part of a number."""
    if not word.isascii():
        return []
    part = _NO_WORD.sub("-", word).strip("-")
    return [f"{_quoted(part)}:*", *_part("#", word), *_part("%", word)] if part else []


def _part(mark: str, word: str) -> list[str]:
    plain = _NO_WORD.sub("", word) if word.isascii() else ""
    found = parts(plain, PART)
    return [_all([_quoted(f"{mark}{one}") for one in found])] if found else []


def _said(word: str) -> list[str]:
    """Return what a word is in a text: each of its parts, the last letters of a word left open."""
    found = []
    for run in runs(word):
        found += [_quoted(f"~{pair}") for pair in pairs(run)] if is_han(run) else [f"{_quoted(f'~{run}')}:*"]
    return [_all(found)] if found else []


def _all(terms: Sequence[str]) -> str:
    return " & ".join(f"({term})" for term in terms) or _NOTHING


def _any(terms: Sequence[str]) -> str:
    return " | ".join(f"({term})" for term in dict.fromkeys(terms)) or _NOTHING


def _quoted(token: str) -> str:
    escaped = token.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
