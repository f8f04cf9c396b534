"""What a page asks for to file a case of a kind, in the order of the conversation; and what was typed as an intake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

from activities.casebook.related import Clues
from cases.case import Case
from cases.vocabulary.facts import Facts
from starter.console.forms import Field, Options, body_of, fields_in
from starter.console.translations import PageTranslations
from starter.console.vocabulary import resolved

Typed = Mapping[str, Sequence[str]]

# Who is on the phone and where they are reached, and about which parcel.
_WHO = ("customer.name", "customer.phone", "customer.email", "customer.ref")
_WHICH = "shipment.waybill"
# In whose name it is filed nobody types: it is whoever files it.
_FILER = "filed_by"
# What stands beside the facts of an intake, as fields of the page.
POLICY, PARENT = "intake.policy", "intake.parent"
_LONG = frozenset({"area", "lines"})


class IntakeWords(PageTranslations):
    """The words of a language, in which a field is called as the fact that it becomes."""

    def __init__(self, words: PageTranslations) -> None:
        super().__init__(words.language, words.sections)

    def label(self, path: str, command: str = "") -> str:
        """Return what a fact is called."""
        name = path.rpartition(".")[2]
        own = {"unit": "case.unit", "severity": "case.severity"}.get(path)
        return self.say(own) if own else self.word("fact", name)


@dataclass(frozen=True)
class Asked:
    """The fields of a page that files a case.

    Args:
        who: on the phone.
        what: what it is about, and what the kind needs.
        more: what else there may be.
        filer: whether the intake says who files it.
    """

    who: tuple[Field, ...]
    what: tuple[Field, ...]
    more: tuple[Field, ...]
    filer: bool

    @property
    def all(self) -> tuple[Field, ...]:
        """Every field, in the order of the page."""
        return (*self.who, *self.what, *self.more)


def asked(
    kind: type[Case],
    words: PageTranslations,
    choices: Mapping[str, Options],
    offered: Mapping[str, Sequence[str]],
    defaults: Mapping[str, str],
) -> Asked:
    """Return what is asked for.

    Args:
        choices: for fields of which more is known than their type, by path.
        offered: for fields that take any words, what the policy offers, by name.
        defaults: what stands in a field before anybody types, by path.
    """
    schema = kind.INTAKE.model_json_schema()
    known = schema["$defs"]
    facts = resolved(schema["properties"]["facts"], known)
    needed = frozenset(_needed(facts, known))
    own = IntakeWords(words)
    fields = {
        field.name: replace(field, default=defaults.get(field.name, field.default), required=field.name in needed)
        for field in _leaves(fields_in(facts, known, own, choices, offered))
        if not field.name.startswith(f"{_FILER}.")
    }
    told = [name for name in ("question", "description") if name in fields][:1]
    # With the waybill goes what a shipment cannot be without.
    group = resolved(facts["properties"]["shipment"], known)
    parcel = [_WHICH, *(f"shipment.{name}" for name in group["required"] if f"shipment.{name}" != _WHICH)]
    for name in parcel[1:]:
        if not fields[name].required:
            fields[name] = replace(fields[name], hint=own.say("new.with_waybill"))
    texts = [name for name in fields if name in needed and fields[name].kind in _LONG and name not in told]
    first = [name for name in fields if (name in needed or name == kind.ABOUT) and name not in texts]
    front = list(dict.fromkeys((*parcel, *first, *texts, *told)))
    beside = [
        Field(POLICY, "choice", own.say("case.policy"), False, options=choices.get(POLICY, ()), default="default"),
        Field(PARENT, "text", own.say("new.parent"), False, hint=own.say("new.parent_hint")),
    ]
    rest = [field for name, field in fields.items() if name not in (*_WHO, *front)]
    return Asked(
        tuple(fields[name] for name in _WHO if name in fields),
        tuple(fields[name] for name in front if name in fields),
        (*rest, *(field for field in beside if field.kind != "choice" or len(field.options) > 1)),
        _FILER in facts["properties"],
    )


def _leaves(fields: Iterable[Field]) -> Iterator[Field]:
    for field in fields:
        if field.kind == "group":
            yield from _leaves(field.inner)
        else:
            yield field


def _needed(schema: Mapping[str, Any], known: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Yield the paths of what an intake cannot be without."""
    for name in schema.get("required", ()):
        shape = resolved(schema["properties"][name], known)
        if "properties" in shape:
            yield from _needed(shape, known, f"{above}{name}.")
        else:
            yield f"{above}{name}"


# --- what was typed ---------------------------------------------------------------------------------


def facts_of(fields: Sequence[Field], sent: Typed, zone: ZoneInfo) -> dict[str, Any]:
    """Return what was typed as the facts of an intake; what was left empty is left out."""
    facts: dict[str, Any] = {}
    for field in fields:
        if field.name in (POLICY, PARENT):
            continue
        for name, value in body_of((field,), sent, zone).items():
            at = facts
            for group in field.name.split(".")[:-1]:
                at = at.setdefault(group, {})
            at[name] = value
    return facts


def clues_of(facts: Mapping[str, Any]) -> Clues:
    """Return what other cases of the same matter are found by."""

    def text(*path: str) -> str | None:
        value: Any = facts
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value if isinstance(value, str) and "\0" not in value else None

    return Clues(
        text("shipment", "waybill"), text("customer", "phone"), text("customer", "ref"), text("order_number"),
        text("customer", "email"),
    )  # fmt: skip


def said(fields: Sequence[Field], sent: Typed) -> list[str]:
    """Return what was typed as lines, for a note on a case that there is; whom it is about that case knows.

    What stands in a field by itself, nobody said.
    """
    lines = []
    for field in fields:
        text = (sent.get(field.name) or [""])[0].strip()
        if not text or text == field.default or field.name.partition(".")[0] == "customer" or field.name == POLICY:
            continue
        shown = dict(field.options).get(text, text)
        lines.append(shown if field.name in Facts.PERSONAL else f"{field.label}: {shown}")
    return lines
