"""What a notice says: one template per notice name and language, in the folders beside this file.

A folder of one's own with the same structure (``zh/rung.txt``, ``en/_base.txt``, ``zh/words.toml``)
goes before them, file by file. One of its files that does not work is said so, and the built-in ones
are used for that notice.

A template sees ``case_id``, ``number`` (the case id until a number is given), ``kind``, ``roles``,
``clause``, ``event`` (public event JSON), ``view`` (the case view), ``ack`` (``link`` and ``code`` to
take the case up with, either may be empty; or none), and the filters ``said`` (a word of
``words.toml``), ``moment`` (an instant for people, in the offset that it carries) and ``unpublished``
(the years that the due date in an event's data waits for). ``digest.txt`` sees ``items``, each with
``number``, ``case_id``, ``title``, ``due`` and ``ack``. Free text of an event (remarks, reasons,
replies) stays out of the templates: it may name people.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment

LANGUAGES = ("zh", "en")
FALLBACK = "generic"
DIGEST = "digest"
_OWN = Path(__file__).parent

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Text:
    """A notice in words: ``subject`` is one line; ``remark`` says which template did not work, if one did not."""

    subject: str
    body: str
    remark: str = ""


class Templates:
    """The templates of all languages.

    Args:
        folder: whose files go before the built-in ones. Files that change are read again.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._own = {language: _environment([_OWN / language]) for language in LANGUAGES}
        self._given: dict[str, SandboxedEnvironment] = {}
        # What is wrong with a language's words: it concerns every notice.
        self._wrong: dict[str, str] = {}
        for language in LANGUAGES if folder is not None else ():
            assert folder is not None
            try:
                self._given[language] = _environment([folder / language, _OWN / language])
            except (OSError, ValueError, TypeError, AttributeError) as error:
                self._wrong[language] = f"template {language}/words.toml does not work ({type(error).__name__})"
                log.error("template_failed", template=f"{language}/words.toml", error=type(error).__name__)

    def render(self, name: str, language: str, facts: Mapping[str, Any]) -> Text:
        """A notice in words.

        Args:
            name: of the notice; one without a template gets the generic text, and so does one
                whose template does not fit the event (that is logged).
            language: ``zh`` or ``en``.
            facts: what the templates see, as above.
        """
        remark = self._wrong.get(language, "")
        facts = {"ack": None, **facts}
        for environment in filter(None, (self._given.get(language), self._own[language])):
            try:
                return _render(environment, name, facts, remark)
            except TemplateNotFound as error:
                # A part that a template names is missing: that is not a notice without a template.
                if error.name != f"{name}.txt":
                    remark = _failed(language, name, error)
                elif environment is self._own[language]:
                    break
            except Exception as error:
                # Whatever a template raises, people are told.
                remark = _failed(language, name, error)
        return _render(self._own[language], FALLBACK, facts, remark)

    def digest(self, language: str, items: Sequence[Mapping[str, Any]]) -> Text:
        """Many notices as one list."""
        remark = self._wrong.get(language, "")
        if language in self._given:
            try:
                return _render(self._given[language], DIGEST, {"items": items}, remark)
            except Exception as error:
                remark = _failed(language, DIGEST, error)
        return _render(self._own[language], DIGEST, {"items": items}, remark)


def _failed(language: str, name: str, error: Exception) -> str:
    # The error's text may hold what the template was given, so only its type goes on record.
    log.error("template_failed", template=f"{language}/{name}", error=type(error).__name__)
    return f"template {language}/{name}.txt does not work ({type(error).__name__}); another one is used"


def _render(environment: SandboxedEnvironment, name: str, facts: Mapping[str, Any], remark: str) -> Text:
    subject, _, body = environment.get_template(f"{name}.txt").render(facts).partition("\n")
    return Text(" ".join(subject.split()), re.sub(r"\n{3,}", "\n\n", body).strip() + "\n", remark)


def _environment(folders: Sequence[Path]) -> SandboxedEnvironment:
    """An environment on these folders, the first one first.

    Raises:
        OSError, ValueError, TypeError, AttributeError: ``words.toml`` of one of them does not work.
    """
    words: dict[str, dict[str, str]] = {}
    for folder in reversed(folders):
        file = folder / "words.toml"
        if file.exists() or len(folders) == 1:
            for section, own in tomllib.loads(file.read_text(encoding="utf-8")).items():
                words[section] = {**words.get(section, {}), **{key: str(word) for key, word in own.items()}}

    def said(value: str, section: str) -> str:
        # A numbered clock (promise:2) is called by its base name and its number.
        base, _, number = value.partition(":")
        word = words[section].get(base, base.replace("_", " "))
        return f"{word} {number}" if number else word

    environment = SandboxedEnvironment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        finalize=_one_line,
        autoescape=False,  # mails are plain text
        keep_trailing_newline=True,
    )
    environment.filters.update(said=said, moment=_moment, unpublished=_unpublished)
    return environment


def _one_line(value: Any) -> str:
    """A value as it goes into a text: it can neither add lines nor hold control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def _moment(value: str) -> str:
    return datetime.fromisoformat(value).isoformat(" ", "seconds")


def _unpublished(data: Mapping[str, Any], view: Mapping[str, Any]) -> list[int]:
    # The start and the move of a clock say it themselves; of a warning or a breach the view knows.
    if "provisional" in data:
        return list(data["provisional"])
    clocks = (clock for clock in view.get("clocks", ()) if clock["clock"] == data.get("clock"))
    return [year for clock in clocks if clock["due"] == data.get("due") for year in clock.get("provisional", ())]
