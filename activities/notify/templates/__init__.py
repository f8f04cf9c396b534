"""What a notice says: one template per notice name and language, in the folders beside this file.

A folder of one's own with the same structure (``zh/rung.txt``, ``en/_base.txt``, ``zh/words.toml``)
goes before them, file by file. One of its files that does not work is said so, and the built-in ones
are used for that notice.

A template sees ``case_id``, ``number`` (the caller's own key until a number is given), ``kind``, ``roles``,
``clause``, ``event`` (public event JSON), ``view`` (the case view), ``ack`` (``link`` and ``code`` to
take the case up with, either may be empty; or none), ``no`` (which copy, where copies go out one by one),
``outside`` (it goes to none of the staff), ``waybill`` (of the parcel, for who sees the case; else empty),
``reason`` (why something was asked for, approved or rejected, for who may read it; else empty), ``console``
(where that is; empty where nobody says so, or it goes outside) and ``page`` (where it shows the case).

Filters: ``said`` (a word of ``words.toml``; of a form and its steps the title in the reader's language),
``moment`` (an instant for people, in the zone of the case's policy), ``unpublished`` (the years that the due
date in an event's data waits for), ``person`` (the id of one of the staff or of a unit, with the name for the
staff), ``who`` (an actor, with the role), ``clauses`` (a route's clause without the marks of what no document
says) and ``above`` (by how much an amount exceeds the formula). ``about`` says in few words what the case is about.

``digest.txt`` sees how many notices there are (``count``) and ``items``, one for each case, with ``number``,
``case_id``, ``titles`` (what the subjects say; ``title`` is the last one), ``about``, ``waybill``, ``unit``, ``due``,
``ack``, ``page``, ``outside`` and ``ids`` (of the messages). Other free text of an event (remarks, replies) stays out
of the templates: it may name people.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from activities.notify.translations import LANGUAGES, TEMPLATES, WORDS, Translations, word_files
from cases.compensation import above_formula
from cases.policy.forms import titles
from cases.registry import KINDS
from cases.vocabulary.clauses import clause_ids
from cases.vocabulary.events import SYSTEM
from cases.vocabulary.texts import is_reference

FALLBACK = "generic"
DIGEST = "digest"
# What stands between a word and the title that says which.
COLON = {"zh": "：", "en": ": "}
# What a template sees where whoever asks for a text leaves it out.
NOTHING_MORE: Mapping[str, Any] = {
    "ack": None,
    "page": "",
    "console": "",
    "outside": False,
    "waybill": "",
    "reason": "",
    "name_of": lambda _: "",
    "zone": None,
}  # fmt: skip
# Clauses that are marks: no document says them to people.
_MARKS = frozenset({"CARD", "INVENTED", "OUTSIDE", "READING"})
_WEEKDAYS = {"zh": "一二三四五六日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

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
        facts = {**NOTHING_MORE, "about": self.about(language, facts["kind"], facts["view"]), **facts}
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

    def about(self, language: str, kind: str, view: Mapping[str, Any]) -> str:
        """Return what a case is about in few words, free of personal data: the category of a complaint, for one.

        A form is called by its title, and is about nothing else; an inquiry has no category, and is called by its kind.
        """
        declared = KINDS.get(kind)
        if declared is None or not declared.FILED:
            return ""
        environment = self._given.get(language, self._own[language])
        words: Translations = environment.globals["words"]  # type: ignore[assignment]
        if not declared.ABOUT:
            return words.word("kind", kind)
        found = (view.get("facts") or {}).get(declared.ABOUT)
        values = [one for one in (found if isinstance(found, list) else [found]) if one and not is_reference(one)]
        if declared.ABOUT not in words.sections:
            return words.join(map(str, values))
        return words.words(declared.ABOUT, values)

    def digest(self, language: str, items: Sequence[Mapping[str, Any]], count: int) -> Text:
        """Render many notices as one list.

        Args:
            items: one for each case, as above.
            count: of the notices.
        """
        facts = {**NOTHING_MORE, "items": items, "count": count}
        remark = self._wrong.get(language, "")
        if language in self._given:
            try:
                return _render(self._given[language], DIGEST, facts, remark)
            except Exception as error:
                remark = _failed(language, DIGEST, error)
        return _render(self._own[language], DIGEST, facts, remark)


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

    @pass_context
    def moment(context: Context, value: str) -> str:
        return format_moment(value, language, context.get("zone"))

    @pass_context
    def who(context: Context, actor: Mapping[str, Any]) -> str:
        role = said(context, actor["role"], "role")
        # The system is nobody.
        if actor["role"] == SYSTEM.role or not actor["id"]:
            return role
        return translations.join((_person(context, actor["id"]), role))

    environment.globals["words"] = translations
    environment.filters.update(
        said=said, moment=moment, unpublished=_unpublished, person=_person, who=who, clauses=_clauses,
        above=_above,
    )  # fmt: skip
    return environment


@pass_context
def _person(context: Context, id: str) -> str:
    return named(id, context["name_of"](id))


def named(id: str, name: str) -> str:
    """Return a name with the id beside it; the id alone where there is no name."""
    return f"{name} ({id})" if name else id


def _clauses(clause: str) -> str:
    return ", ".join(one for one in clause_ids(clause) if one not in _MARKS)


def _above(amount: str | None, view: Mapping[str, Any]) -> str:
    """Return by how much an amount exceeds what the formula gives, in yuan; empty where it does not."""
    above = above_formula(None if amount is None else Decimal(amount), view.get("assessment"))
    return "" if above is None else f"{above:.2f}"


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


def format_moment(value: str, language: str, zone: str | None = None, *, exact: bool = False) -> str:
    """Return an instant, given as ISO 8601 text, as people read it: to the minute, with the weekday.

    Args:
        language: ``zh`` or ``en``.
        zone: in which it is told; without one as the offset that it carries says.
        exact: whether seconds that are not zero are told.
    """
    at = datetime.fromisoformat(value)
    at = at if zone is None else at.astimezone(ZoneInfo(zone))
    weekday, time = _WEEKDAYS[language][at.weekday()], f"{at:%H:%M:%S}" if exact and at.second else f"{at:%H:%M}"
    if language == "zh":
        return f"{at.year}年{at.month}月{at.day}日（周{weekday}）{time}"
    return f"{weekday} {at.day} {_MONTHS[at.month - 1]} {at.year}, {time}"


def _unpublished(data: Mapping[str, Any], view: Mapping[str, Any]) -> list[int]:
    # The start and the move of a clock say it themselves; of a warning or a breach the view knows.
    if "provisional" in data:
        return list(data["provisional"])
    clocks = (clock for clock in view.get("clocks", ()) if clock["clock"] == data.get("clock"))
    return [year for clock in clocks if clock["due"] == data.get("due") for year in clock.get("provisional", ())]
