"""What the console says, in Chinese and English.

The words of the notices (kinds, roles, clocks, events, ...) are those of ``activities/notify/templates``;
``words/*.toml`` beside this file adds the console's own and replaces where it says otherwise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from activities.notify import templates

LANGUAGES = ("zh", "en")


class Words:
    """The words of one language."""

    def __init__(self, language: str, words: Mapping[str, Mapping[str, str]]) -> None:
        self.language = language
        self._words = words

    def say(self, key: str, **values: Any) -> str:
        """A text of the console by ``section.name``, with values put into it.

        Raises:
            KeyError: there is no such text, which is a fault of the page that asks.
        """
        section, _, name = key.partition(".")
        text = self._words[section][name]
        return text.format(**values) if values else text

    def has(self, section: str, name: str) -> bool:
        """Whether there is a word for this."""
        return name in self._words.get(section, {})

    def word(self, section: str, value: Any) -> str:
        """What a value of the rules is called; one without a word by its own name.

        A numbered clock (``promise:2``) is called by its base name and its number.
        """
        if value is None:
            return ""
        base, _, number = str(value).partition(":")
        word = self._words.get(section, {}).get(base, base.replace("_", " "))
        return f"{word} {number}" if number else word

    def words(self, section: str, values: Any) -> str:
        """Several of them in one text."""
        return ("、" if self.language == "zh" else ", ").join(self.word(section, value) for value in values)


@lru_cache(maxsize=len(LANGUAGES))
def words_of(language: str) -> Words:
    """The words of a language; Chinese for one that there is not."""
    if language not in LANGUAGES:
        return words_of("zh")
    merged: dict[str, dict[str, str]] = {}
    notices = Path(templates.__file__).parent
    for path in (notices / language / "words.toml", Path(__file__).parent / "words" / f"{language}.toml"):
        for section, words in tomllib.loads(path.read_text("utf-8")).items():
            merged.setdefault(section, {}).update(words)
    return Words(language, merged)
