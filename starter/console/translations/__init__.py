"""What the console says, in Chinese and English.

The words of the rules' terms are those of the notices (`activities.notify.translations`); the files beside this
module hold what only the pages say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from activities.notify.translations import LANGUAGES, Translations, word_files
from cases.vocabulary.refusals import Refused
from starter.forms import Forms, table_of

__all__ = ["LANGUAGES", "PageTranslations", "translations"]

log = structlog.get_logger(__name__)


class PageTranslations(Translations):
    """The words of the terms and the texts of the pages in one language."""

    def say(self, key: str, **values: Any) -> str:
        """Return a text by ``section.name``, with values put into it.

        Raises:
            KeyError: there is no such text, which is a fault of the page that asks.
        """
        section, _, name = key.partition(".")
        text = self.sections[section][name]
        return text.format(**values) if values else text

    def named(self, section: str, words: Mapping[str, str]) -> PageTranslations:
        """Return the same with words for more terms of a section; what has a word keeps it."""
        return PageTranslations(self.language, {**self.sections, section: {**words, **self.sections[section]}})

    def label(self, path: str, command: str = "") -> str:
        """Return what a command's field is called.

        By the command and its path (``escalate.to``), else by its path (``loss.total_value``), else by its last name.
        """
        names = (f"{command}.{path}", path, path.rpartition(".")[2])
        return self.word("field", next((name for name in names if self.has("field", name)), names[-1]))

    def reason(self, text: str) -> str:
        """Return a reason: the word for one of the rules' own; what people wrote stays as it is."""
        return self.word("reason", text) if self.has("reason", text) else text

    def refusal(self, refusal: Refused) -> str:
        """Return a refusal in words: its code's, then the rules' own sentence with the values, and the clause."""
        said = refusal.message
        if self.has("code", refusal.code):
            said = f"{self.word('code', refusal.code)} ({said})"
        return f"{said} [{refusal.clause}]" if refusal.clause else said


def translations(folder: Path | None = None, forms: Forms | None = None) -> Mapping[str, PageTranslations]:
    """Return what the console says, by language.

    Args:
        folder: of templates of one's own, whose words go before the built-in ones. A file of it that does not
            work is logged and left out.
        forms: those that the policies declare, which are called by their titles.
    """
    titles = {name: table_of(form).titles(name) for name, form in (forms or {}).items()}
    return {
        language: _read(language, folder).named("kind", {name: title[language] for name, title in titles.items()})
        for language in LANGUAGES
    }


def _read(language: str, folder: Path | None) -> PageTranslations:
    texts = Path(__file__).parent / f"{language}.toml"
    try:
        return PageTranslations.read(language, [*word_files(language, folder), texts])
    except (OSError, ValueError, TypeError, AttributeError) as error:
        if folder is None:
            raise
        log.error("template_failed", template=f"{language}/words.toml", error=type(error).__name__)
        return _read(language, None)
