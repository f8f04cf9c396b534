"""What a notice says: one template per notice name and language, in the folders beside this file.

A template sees ``case_id``, ``number`` (the case id until a number is given), ``kind``, ``roles``,
``clause``, ``event`` (public event JSON), ``view`` (the case view), and the filters ``said`` (a
word of ``words.toml``), ``moment`` (an instant for people, in the offset that it carries) and
``unpublished`` (the years that the due date in an event's data waits for). Free text of an event
(remarks, reasons, replies) stays out of the templates: it may name people.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment

LANGUAGES = ("zh", "en")
FALLBACK = "generic"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Text:
    """A notice in words: ``subject`` is one line."""

    subject: str
    body: str


class Templates:
    """The templates of all languages."""

    def __init__(self) -> None:
        self._of = {language: _environment(Path(__file__).parent / language) for language in LANGUAGES}

    def render(self, name: str, language: str, facts: Mapping[str, Any]) -> Text:
        """A notice in words.

        Args:
            name: of the notice; one without a template gets the generic text, and so does one
                whose template does not fit the event (that is logged).
            language: ``zh`` or ``en``.
            facts: what the templates see, as above.
        """
        try:
            return self._render(name, language, facts)
        except TemplateNotFound:
            return self._render(FALLBACK, language, facts)
        except Exception as error:
            # Whatever a template raises, people are told. The error's text may hold what the
            # template was given, so only its type goes into the log.
            log.error("template_failed", template=f"{language}/{name}", error=type(error).__name__)
            return self._render(FALLBACK, language, facts)

    def _render(self, name: str, language: str, facts: Mapping[str, Any]) -> Text:
        subject, _, body = self._of[language].get_template(f"{name}.txt").render(facts).partition("\n")
        return Text(" ".join(subject.split()), re.sub(r"\n{3,}", "\n\n", body).strip() + "\n")


def _environment(folder: Path) -> SandboxedEnvironment:
    words: dict[str, dict[str, str]] = tomllib.loads((folder / "words.toml").read_text(encoding="utf-8"))

    def said(value: str, section: str) -> str:
        # A numbered clock (promise:2) is called by its base name and its number.
        base, _, number = value.partition(":")
        word = words[section].get(base, base.replace("_", " "))
        return f"{word} {number}" if number else word

    environment = SandboxedEnvironment(
        loader=FileSystemLoader(folder),
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
