"""What the fields of a form hold, as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cases.policy.forms import FieldRule, FormTable

if TYPE_CHECKING:
    from starter.console.formatting import Formatter
    from starter.console.papers.titles import FormTranslations

How = Literal["text", "case", "attachment", "rows", "personal"]


@dataclass(frozen=True)
class Value:
    """A field of a form on a page.

    Args:
        how: ``text``, ``case`` (its id), ``attachment`` (its parts), ``rows``, or ``personal``: it is kept apart.
        rows: of rows, the cells of each, under ``columns``.
    """

    label: str
    how: How
    value: Any = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def values_of(
    table: FormTable, fields: Mapping[str, Any], words: FormTranslations, formatter: Formatter
) -> list[Value]:
    """Return the fields of a form, in its order; those that nobody has given yet are left out."""
    return [
        _value(words.title(rule, name), rule, fields.get(name), words, formatter)
        for name, rule in table.fields.items()
        if rule.personal or fields.get(name) not in (None, [])
    ]


def _value(label: str, rule: FieldRule, value: Any, words: FormTranslations, formatter: Formatter) -> Value:
    if rule.personal:
        return Value(label, "personal")
    if rule.type == "rows":
        columns = tuple(words.title(its, name) for name, its in rule.columns.items())
        rows = tuple(
            tuple(said(words, formatter, its, row.get(name)) for name, its in rule.columns.items()) for row in value
        )
        return Value(label, "rows", columns=columns, rows=rows)
    if rule.type in ("case", "attachment"):
        return Value(label, "case" if rule.type == "case" else "attachment", value)
    return Value(label, "text", said(words, formatter, rule, value))


def said(words: FormTranslations, formatter: Formatter, rule: FieldRule, value: Any) -> str:
    """Return one value, which may be a cell of a row, as text."""
    if value is None:
        return "—"
    match rule.type:
        case "yuan":
            return formatter.yuan(value)
        case "bool":
            return formatter.yes_or_no(value)
        case "instant":
            moment = formatter.times.moment(value)
            return moment.full if moment else ""
        case "choice":
            return words.choice(rule, value)
        case "role":
            return words.word("role", value)
        case "staff":
            return formatter.person(value)
        case "attachment":
            return str(value["name"])
        case "rows":
            return "; ".join(
                ", ".join(said(words, formatter, its, row.get(name)) for name, its in rule.columns.items())
                for row in value
            )
    return str(value)
