"""The words of the rules' terms, one file a language: ``templates/LANGUAGE/words.toml``.

Notices, letters and the console read the same files, so that a term is called the same everywhere.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

from cases.directory import Language

LANGUAGES: tuple[str, ...] = get_args(Language)
# The files of the program itself.
TEMPLATES = Path(__file__).parent / "templates"
WORDS = "words.toml"


class Translations:
    """The words of one language, by section and term.

    Args:
        language: ``zh`` or ``en``.
        sections: the words; of each section by term.
    """

    def __init__(self, language: str, sections: Mapping[str, Mapping[str, str]]) -> None:
        self.language = language
        self.sections = sections

    @classmethod
    def read(cls, language: str, files: Sequence[Path]) -> Self:
        """Read files of words; where two have a word for a term, the later one counts.

        Raises:
            OSError, ValueError, TypeError, AttributeError: a file cannot be read or is no file of words.
        """
        sections: dict[str, dict[str, str]] = {}
        for file in files:
            for section, words in tomllib.loads(file.read_text("utf-8")).items():
                sections.setdefault(section, {}).update({term: str(word) for term, word in words.items()})
        return cls(language, sections)

    def has(self, section: str, term: str) -> bool:
        """Return whether there is a word for a term."""
        return term in self.sections.get(section, {})

    def word(self, section: str, term: Any) -> str:
        """Return the word for a term; for one that has none, its own name.

        A numbered clock (``promise:2``) is called by its base name and its number, that of a step by the step.

        Raises:
            KeyError: there is no such section, which is a fault of whoever asks.
        """
        if term is None:
            return ""
        base, _, number = str(term).partition(":") if section == "clock" else (str(term), "", "")
        word = self.sections[section].get(base, base.replace("_", " "))
        if number and not number.isdecimal():
            number = self.sections.get("step", {}).get(number, number.replace("_", " "))
        return f"{word} {number}" if number else word

    def words(self, section: str, terms: Iterable[Any]) -> str:
        """Return the words for several terms as one text."""
        return self.join(self.word(section, term) for term in terms)

    def join(self, texts: Iterable[str]) -> str:
        """Return texts as an enumeration."""
        return ("、" if self.language == "zh" else ", ").join(texts)


def word_files(language: str, folder: Path | None = None) -> list[Path]:
    """Return the files of words of a language: the program's, then that of a folder of templates, if it has one."""
    files = [TEMPLATES / language / WORDS]
    if folder is not None and (own := folder / language / WORDS).exists():
        files.append(own)
    return files
