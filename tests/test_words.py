"""Every term that a person can see has a word in both languages, and no word stands for nothing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from activities.casebook.filter import Filter
from activities.notify.translations import LANGUAGES, TEMPLATES, WORDS
from activities.payouts import UNPROVEN, PayoutConflict, PayoutPending, PayoutUnknown
from activities.policies.store import Policies
from activities.replies.inbox import DISMISSED_FOR
from cases.directory import Directory
from cases.policy.model import Policy
from cases.registry import KINDS, kind_of
from cases.vocabulary.events import EVENTS, Event
from cases.vocabulary.lifecycle import ERASED_FOR
from cases.vocabulary.texts import resolved
from starter import console, exports
from starter.console import formatting, vocabulary
from starter.console.field_types import event_sort, fact_sorts
from starter.console.formatting import Formatter
from starter.console.forms import Field, fields_of
from starter.console.papers.titles import FormTranslations
from starter.console.papers.values import values_of
from starter.console.times import Times
from starter.console.translations import PageTranslations, translations
from starter.rehearsal.core_engine import run_case
from starter.rehearsal.engine import Prepared
from starter.rehearsal.scenario import load_scenario
from tests import literals
from tests.core.support import shown as with_texts

PAGES = Path(console.__file__).parent
SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.toml"))
ROOMS = ("cases", "workflows", "activities", "starter")
WORDS_OF = translations()
# The rules speak English: their own sentences, which hold the numbers, are shown on English pages.
IN_THE_RULES_OWN_ENGLISH = frozenset({"note", "formula"})
# The same in both languages.
NAMES = frozenset({("channel", "apprise"), ("field", "sha256")})
# Where people write words of their own, which are shown as they are.
OPEN = frozenset({"subject", "channel", "outcome"})


def _codes(*rooms: str) -> set[str]:
    """The codes of all refusals, and of what a case records of one."""
    return (
        literals.passed("Refused", 0, *rooms)
        | literals.initialised("Refused", *rooms)
        | literals.passed("_end", "code", "cases/kinds")
    )


def _reasons() -> set[str]:
    """The reasons that the rules give themselves."""
    return (
        literals.passed("climb", "reason", "cases")
        | literals.passed("pause_all", 1, "cases")
        | literals.passed("_flag", 1, "cases/kinds")
        | literals.passed("LiabilityCleared", "reason", "cases/kinds")
        # Why a payment failed: what the rules say, what a worker finds, and how an error is called.
        | literals.passed("failed", 0, "cases")
        | {UNPROVEN, *(error.__name__ for error in (PayoutConflict, PayoutPending, PayoutUnknown))}
        # Who answers for a report that was found to be one of these.
        | vocabulary.enums()["report"] - {"genuine"}
    )


def all_terms(policies: Sequence[Policy] = (), *rooms: str) -> dict[str, frozenset[str]]:
    """The terms that exist, by section.

    Args:
        policies: instead of the shipped ones.
        rooms: folders with code beside the program's.
    """
    return {
        **vocabulary.terms(policies),
        "fact": vocabulary.facts(),
        # Forms tell of some things whatever the policy says of notices.
        "notice": vocabulary.terms(policies)["notice"] | literals.passed("Notice", "name", "cases"),
        "code": frozenset(_codes(*ROOMS, *rooms)),
        "outcome": frozenset(
            literals.passed("Closed", "outcome", "cases")
            | literals.passed("_end", 1, "cases/kinds")
            | {form.outcome for policy in policies or vocabulary.shipped() for form in policy.form.values()}
        ),
        "reason": frozenset(_reasons()),
        "due_moved": frozenset(literals.under_key("why", "cases")),
        "dismissed_for": frozenset(DISMISSED_FOR),
        "erased_for": frozenset(ERASED_FOR),
        "escalation": frozenset(literals.passed("climb", 1, "cases")),
        "note": frozenset(literals.passed("_note", 0, "cases") | {"facts_missing"}),
        "formula": vocabulary.terms()["line"] | {"share", "proven"},
    }


@cache
def shipped_terms() -> dict[str, frozenset[str]]:
    """The terms of the program as it ships; to find them takes seconds, and other processes have other tests."""
    return all_terms()


def _file(section: str, language: str) -> str:
    """Return where the words of a section stand."""
    own = PAGES / "translations" / f"{language}.toml"
    path = own if section in tomllib.loads(own.read_text("utf-8")) else TEMPLATES / language / WORDS
    return str(path.relative_to(literals.ROOT))


def missing_words(language: str, words: PageTranslations, terms: Mapping[str, Iterable[str]]) -> list[str]:
    """Say of which terms, and of which fields of commands, the words of a language have none, and where they belong."""
    return [
        *(
            f"{_file(section, language)}: [{section}] {term} is missing"
            for section, found in terms.items()
            for term in sorted(found)
            if (language != "en" or section not in IN_THE_RULES_OWN_ENGLISH)
            and not words.sections.get(section, {}).get(term, "").strip()
        ),
        *(
            f"{_file('field', language)}: [field] {path} (of the command {name}) is missing"
            for name, model in vocabulary.commands().items()
            for path in vocabulary.fields(model)
            if not words.has("field", path) and not words.has("field", path.rpartition(".")[2])
        ),
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_term_has_a_word(language: str) -> None:
    missing = missing_words(language, WORDS_OF[language], shipped_terms())
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_stands_for_a_term_that_does_not_exist(language: str) -> None:
    commands = vocabulary.commands().items()
    paths = {path for _, model in commands for path in vocabulary.fields(model)}
    # One command may call a field otherwise than all others.
    of_one = {f"{name}.{path}" for name, model in commands for path in vocabulary.fields(model)}
    # A word by the last name of a path serves all paths that have none of their own.
    named = {path.rpartition(".")[2] for path in paths if not WORDS_OF[language].has("field", path)}
    there = {**shipped_terms(), "field": frozenset(paths | named | of_one), "hint": frozenset(paths | of_one)}
    if language == "en":
        there = {name: terms for name, terms in there.items() if name not in IN_THE_RULES_OWN_ENGLISH}
    words = tomllib.loads((TEMPLATES / language / WORDS).read_text("utf-8"))
    dead = [
        f"{_file(section, language)}: [{section}] {term} is no term"
        for section, found in words.items()
        for term in found
        if term not in there.get(section, ())
    ]
    assert not dead, "\n".join(dead)


# What a thing was also called in Chinese, and what it is called at every place now.
GIVEN_UP = {
    "您现在可以做的": "可执行操作", "事实": "案件信息", "立案": "建单", "处理完毕": "办结", "定损": "核定赔偿金额",
    "答复索赔": "理赔答复", "索赔答复": "理赔答复", "达成一致": "双方确认金额", "种类": "案件类型",
    "存证": "防篡改校验", "待您这一级": "待本级受理", "确认受理": "受理", "受理确认": "受理", "受理时间": "收到时间",
    "网点：": "单位：",
    "质控部经理": "质控经理", "先行回复": "初步回复", "填单人": "填报人", "填表人": "填报人",
}  # fmt: skip


def test_one_thing_has_one_word_in_chinese() -> None:
    readme = (literals.ROOT / "README.md").read_text("utf-8").partition("## 快速开始")[2]
    texts = {"README.md": readme, "zh.toml": (PAGES / "translations" / "zh.toml").read_text("utf-8")}
    texts |= {path.name: path.read_text("utf-8") for path in (TEMPLATES / "zh").iterdir()}
    texts["letter"] = (TEMPLATES / "letters" / "zh.txt").read_text("utf-8")
    found = [f"{name}: {old} is {new}" for name, text in texts.items() for old, new in GIVEN_UP.items() if old in text]
    assert found == []
    assert all(any(new in text for text in texts.values()) for new in GIVEN_UP.values())


def test_who_goes_up_is_asked_to_whom_otherwise_than_who_assigns() -> None:
    said = {name: WORDS_OF["zh"].label("to", name) for name in ("assign", "escalate")}
    assert said == {"assign": "指派给", "escalate": "升级至"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_term_has_one_word(language: str) -> None:
    terms = tomllib.loads((TEMPLATES / language / WORDS).read_text("utf-8"))
    texts = tomllib.loads((PAGES / "translations" / f"{language}.toml").read_text("utf-8"))
    assert terms.keys() & texts.keys() == set()


def test_both_languages_say_the_same_things() -> None:
    chinese, english = (WORDS_OF[language].sections for language in ("zh", "en"))
    assert english.keys() == chinese.keys() - IN_THE_RULES_OWN_ENGLISH
    for section in english:
        assert english[section].keys() == chinese[section].keys(), section
        for term, word in english[section].items():
            # What is put into a text is the same in both.
            assert set(re.findall(r"{\w+}", word)) == set(re.findall(r"{\w+}", chinese[section][term])), (section, term)


def test_chinese_words_are_chinese() -> None:
    plain = [
        f"[{section}] {term} = {word!r}"
        for section in shipped_terms()
        for term, word in WORDS_OF["zh"].sections[section].items()
        if (section, term) not in NAMES and word.isascii()
    ]
    assert plain == []


# --- the texts of the pages -----------------------------------------------------------------------


def _sources() -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted(PAGES.rglob("*")) if path.suffix in (".py", ".html"))


def test_every_text_that_a_page_asks_for_is_there_and_none_is_dead() -> None:
    sources = _sources()
    asked = set(re.findall(r"""\bsay\(["']([a-z_]+\.[a-z0-9_]+)["'][,)]""", sources))
    there = {f"{section}.{name}" for section, names in WORDS_OF["zh"].sections.items() for name in names}
    assert asked - there == set()
    # Some are asked for by a beginning and a name: app.theme_ and light.
    begun = {*re.findall(r"""\bsay\(f?["']([a-z_]+\.[a-z_]*)(?:["'] ~|{)""", sources)}
    # A filter is called by its field, and may have a hint.
    filters = {f"{field}{hint}" for field in Filter.model_fields for hint in ("", "_hint")}
    named = {*re.findall(r"""["']([a-z0-9_.]+)["']""", sources), *"1234567", *filters, *exports.COLUMNS}
    texts = tomllib.loads((PAGES / "translations" / "zh.toml").read_text("utf-8"))
    keys = {f"{section}.{name}" for section, names in texts.items() if section not in shipped_terms() for name in names}
    dead = {
        key for key in keys - named if not any(key.startswith(one) and key.removeprefix(one) in named for one in begun)
    }
    assert dead == set()


def test_templates_ask_only_for_sections_that_there_are() -> None:
    texts = [path.read_text("utf-8") for path in TEMPLATES.rglob("*.txt")]
    asked = {section for text in texts for section in re.findall(r"""said["']?[,(] ?["'](\w+)["']""", text)}
    assert {"kind", "event", "role", "clock", "code", "subject"} <= asked
    assert asked <= shipped_terms().keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_letters_name_every_factor_and_way_of_dispute(language: str) -> None:
    text = (TEMPLATES / "letters" / f"{language}.txt").read_text("utf-8")
    for table, section in (("factors", "factor"), ("ways_said", "path")):
        found = re.search(rf"set {table} = (\{{.*?\}}) %", text, re.DOTALL)
        assert found is not None
        assert set(re.findall(r'"(\w+)":', found[1])) == shipped_terms()[section], (table, language)


# --- what pages show ------------------------------------------------------------------------------


class Strict(PageTranslations):
    """Has no word of last resort: a term without a word is an error."""

    def word(self, section: str, term: Any) -> str:
        base = str(term).partition(":")[0] if section == "clock" else str(term)
        if term is not None and section not in OPEN and not self.has(section, base):
            raise AssertionError(f"{self.language}: [{section}] {term} has no word")
        return super().word(section, term)


class StrictForm(FormTranslations, Strict):
    """The same with the words that a form brings along."""


def _formatter(language: str, prepared: Prepared | None = None) -> Formatter:
    """Return a formatter; one for a form that is rehearsed knows its titles."""
    words: Strict = Strict(language, WORDS_OF[language].sections)
    if prepared is not None and prepared.kind in prepared.policy.form:
        words = StrictForm(words, prepared.kind, prepared.policy.form[prepared.kind])
    return Formatter(words, Times(ZoneInfo("Asia/Shanghai"), words, datetime(2026, 3, 10, tzinfo=UTC)), Directory())


def _event_fields() -> set[tuple[str, str]]:
    return {
        (type_, field.alias or name) for type_, model in EVENTS.items() for name, field in model.model_fields.items()
    }


def test_every_field_of_an_event_is_shown_and_no_renderer_is_dead() -> None:
    there = _event_fields()
    by_type = {one for one in there - formatting.BY_EVENT.keys() if one[1] not in formatting.FIELDS}
    assert sorted(f"{type_}.{name}" for type_, name in by_type if event_sort(type_, name) is None) == []
    assert formatting.BY_EVENT.keys() - there == set()
    # A renderer by name serves the events that have none of their own.
    assert formatting.FIELDS.keys() - {name for type_, name in there - formatting.BY_EVENT.keys()} == set()
    for type_, name in by_type:
        # What the type says is shown in words: the label of an answer, the terms of a choice.
        section, term = {"flag": ("field", name), "choice": (name, "")}.get(event_sort(type_, name) or "", ("", ""))
        for language, words in WORDS_OF.items():
            found = words.has(section, term) if term else section in words.sections
            assert not section or found, f"{_file('field', language)}: [{section}] {term} is missing ({type_}.{name})"


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_the_scenarios_record_is_shown_in_words(language: str) -> None:
    kinds = set()
    for path in SCENARIOS:
        prepared = load_scenario(path, Policies()).case
        shown = _formatter(language, prepared)
        events = run_case(prepared)
        kinds.add(prepared.kind)
        # A rehearsal tells of an intake that was refused as if filing were a command.
        for event in (one for one in events if one.data.get("command") != "file"):
            plain = event.as_json()
            shown.words.word("event", plain["type"])
            shown.details(plain)
            if plain["type"].startswith("liability_"):
                assert shown.words.has("reason", plain["data"]["reason"]), plain
        recorded = [event for event in events if event.seq > 0]
        if recorded:
            case = kind_of(prepared.kind, prepared.policy).replay(prepared.policy, recorded)
            # As those see it who read its texts, and as those who do not.
            _show(shown, with_texts(case), recorded)
            _show(shown, resolved(case.view(), lambda seq, path: None), recorded)
    assert set(KINDS) <= kinds


def _show(shown: Formatter, view: dict[str, Any], recorded: list[Event]) -> None:
    if isinstance(shown.words, FormTranslations):
        # A page shows the fields of a form by their types.
        values_of(shown.words.table, view["fields"], shown.words, shown)
    else:
        for name, _, _ in shown.facts(view):
            shown.words.word("fact", name)
        shown.signatures(view)
    for section, values in {
        "status": [view["status"]],
        "outcome": [view["outcome"]],
        "role": [view["rung"]],
        "state": [clock["state"] for clock in view["clocks"]],
        "approval_state": [approval["state"] for approval in view["approvals"]],
    }.items():
        for value in values:
            shown.words.word(section, value)
    if view.get("assessment"):
        for note in view["assessment"]["notes"]:
            assert shown.note(note).isascii() is (shown.words.language == "en")
        for line in view["assessment"]["lines"]:
            shown.words.word("line", line["name"])
            assert ("元" in shown.formula(line)) <= (shown.words.language == "zh")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_form_asks_in_words(language: str) -> None:
    words = Strict(language, WORDS_OF[language].sections)
    asked = [field for model in vocabulary.commands().values() for field in _flat(fields_of(model, words, {}))]
    assert {field.kind for field in asked} >= {"choice", "yesno", "group", "area", "amount", "instant"}
    # No label stands twice in one form.
    for name, model in vocabulary.commands().items():
        labels = [field.label for field in fields_of(model, words, {})]
        assert len(set(labels)) == len(labels), name


def _flat(fields: tuple[Field, ...]) -> list[Field]:
    return [one for field in fields for one in (field, *_flat(field.inner))]


def test_facts_are_shown_by_their_types() -> None:
    few = vocabulary.enums().keys() & vocabulary.facts()
    for name in few - formatting.FACTS.keys():
        # What one kind chooses from a few, another may count in yuan.
        assert "choice" in {fact_sorts(kind).get(name) for kind in KINDS}, name
    assert formatting.FACTS.keys() <= vocabulary.facts()
    amounts = {name for name, sort in fact_sorts(None).items() if sort == "yuan"}
    assert {"base_freight", "demand", "estimated_amount", "insured_amount", "total_value"} <= amounts
    assert amounts.isdisjoint({"weight_kg", "found_weight_kg", "declared_quantity"})
