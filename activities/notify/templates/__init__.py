"""What a notice says: one template per notice name and language, in the folders beside this file.

A folder of one's own with the same structure (``zh/rung.txt``, ``en/_base.txt``, ``zh/words.toml``)
goes before them, file by file. One of its files that does not work is said so, and the built-in ones
are used for that notice.

A template sees ``case_id``, ``number`` (the case id until a number is given), ``kind``, ``roles``,
``clause``, ``event`` (public event JSON), ``view`` (the case view), ``ack`` (``link`` and ``code`` to
take the case up with, either may be empty; or none), ``no`` (which copy, where copies go out one by one),
``page`` (where the console shows the case; empty where nobody says where it is) and the filters ``said``
(a word of ``words.toml``; of a form and its steps the title in the reader's language), ``moment`` (an
instant for people, in the offset that it carries) and ``unpublished`` (the years that the due date in an
event's data waits for). ``digest.txt`` sees ``items``, each with ``number``, ``case_id``, ``title``,
``due`` and ``ack``. Free text of an event (remarks, reasons,
replies) stays out of the templates: it may name people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from activities.notify.translations import LANGUAGES, TEMPLATES, WORDS, Translations, word_files
from cases.policy.forms import titles

FALLBACK = "generic"
DIGEST = "digest"
# What stands between a word and the title that says which.
COLON = {"zh": "：", "en": ": "}

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Text:
    """A rendered notice: ``subject`` is one line; ``remark`` names the template that did not work, if one did not."""

    subject: str
    body: str
    remark: str = ""


class Templates:
    """The templates of all languages.

    Args:
        folder: whose files go before the built-in ones. Files that change are read again.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._own = {language: _environment(language, None) for language in LANGUAGES}
        self._given: dict[str, SandboxedEnvironment] = {}
        # What is wrong with a language's words: it concerns every notice.
        self._wrong: dict[str, str] = {}
        for language in LANGUAGES if folder is not None else ():
            try:
                self._given[language] = _environment(language, folder)
            except (OSError, ValueError, TypeError, AttributeError) as error:
                self._wrong[language] = f"template {language}/{WORDS} does not work ({type(error).__name__})"
                log.error("template_failed", template=f"{language}/{WORDS}", error=type(error).__name__)

    def render(self, name: str, language: str, facts: Mapping[str, Any]) -> Text:
        """Render a notice.

        Args:
            name: of the notice; one without a template gets the generic text, and so does one
                whose template does not fit the event (that is logged).
            language: ``zh`` or ``en``.
            facts: what the templates see, as above.
        """
        remark = self._wrong.get(language, "")
        facts = {"ack": None, "page": "", **facts}
        given, own = self._given.get(language), self._own[language]
        # The generic text has the words of the given folder too.
        for template, environment in ((name, given), (name, own), (FALLBACK, given)):
            if environment is None:
                continue
            try:
                return _render(environment, template, facts, remark)
            except TemplateNotFound as error:
                # A part that a template names is missing: that is not a notice without a template.
                if error.name != f"{template}.txt":
                    remark = _failed(language, template, error)
            except Exception as error:
                # Whatever a template raises, people are told.
                remark = _failed(language, template, error)
        return _render(own, FALLBACK, facts, remark)

    def digest(self, language: str, items: Sequence[Mapping[str, Any]]) -> Text:
        """Render many notices as one list."""
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


def _environment(language: str, folder: Path | None) -> SandboxedEnvironment:
    """Return an environment on the built-in templates of a language, those of a folder before them.

    Raises:
        OSError, ValueError, TypeError, AttributeError: ``words.toml`` of the folder does not work.
    """
    folders = [TEMPLATES / language] if folder is None else [folder / language, TEMPLATES / language]
    translations = Translations.read(language, word_files(language, folder))
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        finalize=_one_line,
        autoescape=False,  # mails are plain text
        keep_trailing_newline=True,
    )

    @pass_context
    def said(context: Context, term: Any, section: str) -> str:
        title = _titled(context.get("view") or {}, term, section)
        if title is None:
            return translations.word(section, term)
        title = titles(title)[language]
        base, _, step = str(term).partition(":")
        return f"{translations.word(section, base)}{COLON[language]}{title}" if step else title

    environment.filters.update(said=said, moment=format_moment, unpublished=_unpublished)
    return environment


def _titled(view: Mapping[str, Any], term: Any, section: str) -> str | None:
    """Return what the policy of a form calls the form or one of its steps; None where it is none of them."""
    if section == "kind" and term == view.get("kind"):
        return view.get("title")
    if section not in ("step", "subject", "clock"):
        return None
    found: str | None = view.get("step_titles", {}).get(str(term).removeprefix("step:"))
    return found


def _one_line(value: Any) -> str:
    """Return a value as it goes into a text: it can neither add lines nor hold control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def format_moment(value: str) -> str:
    """Return an instant, given as ISO 8601 text, as people read it: with the offset that it carries."""
    return datetime.fromisoformat(value).isoformat(" ", "seconds")


def _unpublished(data: Mapping[str, Any], view: Mapping[str, Any]) -> list[int]:
    # The start and the move of a clock say it themselves; of a warning or a breach the view knows.
    if "provisional" in data:
        return list(data["provisional"])
    clocks = (clock for clock in view.get("clocks", ()) if clock["clock"] == data.get("clock"))
    return [year for clock in clocks if clock["due"] == data.get("due") for year in clock.get("provisional", ())]
