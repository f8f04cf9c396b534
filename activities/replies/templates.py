"""The texts of replies, in the folders ``replies/LANGUAGE`` of the templates of notices.

``_mail.txt`` stands around the text of a mail: its first line is the subject. Every other file is a reply to begin
with, ``CATEGORY.STAGE.NAME.txt``: for cases about this (``any``: about whatever), and for an ``interim`` word or an
``answer``. Its first line is its title in the list, the rest is the text.

A folder of one's own with the same structure (``replies/zh/delay.interim.sorry.txt``) goes before them, file by file,
and adds to them. One of its files that does not work is said so in the log: the built-in one is used, or none.

A template sees ``number``, ``kind``, ``waybill`` and ``promised`` (until when the next word is promised); what is not
known is a line to be filled in. The filters are ``said`` (a word of ``words.toml``) and ``moment``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from activities.notify.templates import Text, format_moment
from activities.notify.translations import LANGUAGES, TEMPLATES, Translations, word_files

FOLDER = "replies"
MAIL = "_mail"
# The category of what fits any case, and what stands where something is not known.
ANY, UNKNOWN = "any", "____"
_NAME = re.compile(r"(?P<category>[a-z_]+)\.(?P<stage>interim|answer)\.[a-z0-9_-]+")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ReplyText:
    """A reply to begin with: its name, its title in a list, and the text with what is known filled in."""

    name: str
    title: str
    text: str


class ReplyTemplates:
    """The texts of replies of all languages.

    Args:
        folder: whose files go before the built-in ones. Files that change are read again.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folders = [one / FOLDER for one in (folder, TEMPLATES) if one is not None]
        self._environments = {
            language: [_environment(language, one) for one in self._folders] for language in LANGUAGES
        }

    def mail(self, language: str, text: str, facts: Mapping[str, Any]) -> Text:
        """Return a mail around the text of a reply: ``number``, ``kind``, and whether it is ``answerable``."""
        for environment in self._environments[language]:
            rendered = _render(environment, language, MAIL, {**facts, "text": text})
            if rendered is not None:
                return Text(rendered[0], rendered[1] + "\n")
        raise LookupError(f"{FOLDER}/{language}/{MAIL}.txt")

    def offered(
        self, language: str, category: str, facts: Mapping[str, Any], stage: str | None = None
    ) -> list[ReplyText]:
        """Return the replies to begin with for a case about ``category``, those that are about just that first.

        Args:
            facts: what is known of what the templates see.
            stage: only those of this stage.
        """
        known = {name: facts.get(name) or UNKNOWN for name in ("number", "kind", "waybill")}
        promised = facts.get("promised")
        # What a page fills in later stays as it is.
        known["promised"] = (
            (promised if promised.startswith("{") else format_moment(promised, language)) if promised else UNKNOWN
        )
        found = []
        for name in self._names(language, category, stage):
            for environment in self._environments[language]:
                rendered = _render(environment, language, name, known)
                if rendered is not None:
                    found.append(ReplyText(name, *rendered))
                    break
        return found

    def _names(self, language: str, category: str, stage: str | None) -> Iterator[str]:
        names = {path.stem for folder in self._folders for path in (folder / language).glob("*.txt")}
        for wanted in dict.fromkeys((category, ANY)):
            for name in sorted(names):
                match = _NAME.fullmatch(name)
                if match is not None and match["category"] == wanted and stage in (None, match["stage"]):
                    yield name


def stage_of(name: str) -> str:
    """Return the stage of a reply to begin with."""
    return name.split(".")[1]


def _render(
    environment: SandboxedEnvironment, language: str, name: str, facts: Mapping[str, Any]
) -> tuple[str, str] | None:
    """Return first line and rest of a template; None where the folder lacks it, or it does not work."""
    if f"{name}.txt" not in environment.list_templates():
        return None
    try:
        title, _, text = environment.get_template(f"{name}.txt").render(facts).partition("\n")
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        # What it says may hold what the template was given.
        log.error("template_failed", template=f"{FOLDER}/{language}/{name}", error=type(error).__name__)
        return None
    return " ".join(title.split()), text.strip()


def _environment(language: str, folder: Path) -> SandboxedEnvironment:
    translations = Translations.read(language, word_files(language))
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(folder / language),
        undefined=StrictUndefined,
        autoescape=False,  # mails are plain text
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    environment.filters.update(said=lambda term, section: translations.word(section, term))
    return environment
