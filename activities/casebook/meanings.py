"""What a word that somebody types stands for: terms as the pages call them, in both languages, and people and units.

Looked up when somebody searches, and never stored with a case: a person who is called otherwise from now on is found by
the new name at once, and so is a term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from activities.casebook.folding import folded, is_han
from activities.database.database import Database
from activities.notify.translations import LANGUAGES, Translations, word_files
from activities.people.directory import DirectoryBook
from cases.directory import Directory

# The sections of the words by which cases are found, and which column or fact of a case holds their terms. A section
# is called as a fact is, where its terms are of one; tests/test_words.py holds them against the facts of all kinds.
SECTIONS: Mapping[str, str] = {
    "kind": "kind", "status": "status", "severity": "severity", "role": "rung", "outcome": "outcome",
    "category": "category", "factor": "factor", "source": "source", "route": "route", "packed_by": "packed_by",
    "delay_cause": "delay_cause", "disposal": "disposal", "demand": "demand", "class": "class", "origin": "origin",
    "way": "way",
}  # fmt: skip
# A label, folded, and the token (0026_find.sql) of what it stands for.
Label = tuple[str, str]
# Read when somebody searches first.
Labels = Callable[[], Iterable[Label]]


def read_labels(folder: Path | None = None, titles: Mapping[str, Mapping[str, str]] | None = None) -> tuple[Label, ...]:
    """Return what terms are called, in every language.

    Args:
        folder: of templates of one's own, whose words go before the built-in ones.
        titles: what kinds are called that the words do not have, such as forms, by name and language.
    """
    found: dict[Label, None] = {}
    for language in LANGUAGES:
        words = Translations.read(language, word_files(language, folder))
        for section, column in SECTIONS.items():
            for term, label in words.sections.get(section, {}).items():
                # What no case has, such as the status ``active``, is no token.
                found[folded(label), f"={column}:{term}"] = None
    for name, called in (titles or {}).items():
        found.update({(folded(title), f"=kind:{name}"): None for title in called.values()})
    return tuple(found)


class Meanings:
    """Looks words up. Safe to share between tasks."""

    def __init__(self, database: Database, labels: Labels) -> None:
        self._directory = DirectoryBook(database)
        self._read_labels, self._labels = labels, tuple[Label, ...]()
        self._known: tuple[Directory, list[Label], list[Label]] | None = None

    async def of(self, words: Iterable[str], *, names: bool) -> list[list[str]]:
        """Return the tokens that each of these folded words stands for.

        Args:
            names: whether names of the staff count.

        Raises:
            DatabaseAway, StatementFailed: see `Database.connection`.
        """
        units, people = await self._read()
        if not self._labels:
            self._labels = tuple(self._read_labels())
        labels = [*self._labels, *units, *(people if names else ())]
        return [sorted({token for label, token in labels if _called(label, word)}) for word in words]

    async def people(self, text: str) -> list[str]:
        """Return the ids of the staff that this names: of the one whose id it is, or of all whose names hold it."""
        directory, word = await self._directory.now(), folded(text).strip()
        if directory.person(text) is not None or not word:
            return [text]
        return [text, *(one.id for one in directory.people if one.name and _called(folded(one.name), word))]

    async def _read(self) -> tuple[list[Label], list[Label]]:
        directory = await self._directory.now()
        if self._known is None or self._known[0] is not directory:
            self._known = directory, list(_units(directory)), list(_people(directory))
        return self._known[1:]


def _units(directory: Directory) -> Iterator[Label]:
    return ((folded(unit.name), f"=unit:{unit.id}") for unit in directory.units if unit.name)


def _people(directory: Directory) -> Iterator[Label]:
    for person in directory.people:
        yield folded(person.id), f"@{person.id}"
        if person.name:
            yield folded(person.name), f"@{person.id}"


def _called(label: str, word: str) -> bool:
    """Whether a label is meant by a word: Chinese from anywhere in it, others from the beginning of a word of it."""
    place = label.find(word)
    while place >= 0:
        if place == 0 or is_han(word[0]) or not label[place - 1].isalnum():
            return True
        place = label.find(word, place + 1)
    return False
