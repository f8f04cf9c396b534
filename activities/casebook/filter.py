"""By what cases are found: each column that lists, searches and exports filter by, declared once.

The statements of a search, the API's parameters, the options of the command line and the console's form
are made from `Filter`. A new column that the table ``case_file`` has is one more line in it, and its label
in the console's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cases.vocabulary.refusals import Refused, invalid
from cases.vocabulary.values import Instant, Model

Sort = Literal["choice", "text", "instant", "flag"]


@dataclass(frozen=True, slots=True)
class Column:
    """How the cases that a filter asks for are found.

    Args:
        sql: a condition on the case file ("file") with ``{}`` for the value, or one condition for each value.
            None where a search looks it up in other tables.
        words: of which vocabulary the values are, such as ``role`` or ``clock``; empty for free text.
    """

    sql: str | Mapping[Any, str] | None
    words: str = ""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Allow only some texts.

    Args:
        choices: the texts; may be a function, for what is not known at import.
        others: how others look that may be meant too; whether there is one, whoever knows them all says.
    """

    choices: Sequence[str] | Callable[[], Sequence[str]]
    others: str = ""

    def allowed(self) -> tuple[str, ...]:
        """Return the texts."""
        return tuple(self.choices() if callable(self.choices) else self.choices)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the text itself was checked."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Name the texts in the schema."""
        named: JsonSchemaValue = {"enum": list(self.allowed())}
        return {**handler(schema), **({"anyOf": [named, {"pattern": self.others}]} if self.others else named)}

    def _check(self, value: str) -> str:
        if value not in self.allowed() and not (self.others and re.fullmatch(self.others, value)):
            raise PydanticCustomError("one_of", "allowed: {allowed}", {"allowed": ", ".join(self.allowed())})
        return value


def _kinds() -> Sequence[str]:
    # Imported here: the command line knows its options before it knows the rules.
    from cases.registry import KINDS

    return tuple(KINDS)


def _storable(text: str) -> str:
    # What PostgreSQL does not take, no case has.
    if "\0" in text:
        raise ValueError("a text holds no NUL")
    return text


STATUSES = ("open", "resolved", "closed", "active")
SEVERITIES = ("normal", "serious", "critical")

# A kind that this build knows, or a form of a policy (`starter.forms.check_kind` knows which there are).
Kind = Annotated[str, OneOf(_kinds, others="^[a-z][a-z0-9_]{0,39}$")]
Status = Annotated[str, OneOf(STATUSES)]
Severity = Annotated[str, OneOf(SEVERITIES)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_storable)]
Number = Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(_storable)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_storable)]

# Open and resolved cases are active too: said twice, it lets the small index of active cases serve.
_BY_STATUS = {
    "open": "file.status = 'open' AND file.closed_at IS NULL",
    "resolved": "file.status = 'resolved' AND file.closed_at IS NULL",
    "closed": "file.status = 'closed' AND file.closed_at IS NOT NULL",
    "active": "file.closed_at IS NULL",
}
_BY_BREACH = {True: "file.breached <> '{}'", False: "file.breached = '{}'"}
# Of several of one sort, as promise:1 and promise:2, the name that they have in common means any. They are written out,
# so that the index of names serves, further than any case has come; steps alone are told apart by words.
_BY_CLOCK = (
    "file.breached <> '{{}}' AND (file.breached && ARRAY("
    "SELECT {0}::text UNION ALL SELECT {0} || ':' || number FROM generate_series(1, 200) AS number)"
    " OR {0} = 'step' AND EXISTS (SELECT FROM unnest(file.breached) AS one WHERE one LIKE 'step:%'))"
)


class Filter(Model):
    """Which cases are meant; everything given must hold."""

    text: Annotated[Words | None, Column(None)] = Field(
        None,
        description="words, all of which are found somewhere: what pages show, such as kind, category, status, outcome"
        " and units, in Chinese or English; names of the staff; beginnings of key, number, waybill or policy, and any"
        " part of number and waybill from 4 characters on; what people wrote and what customers said, for whoever may"
        " read it",
    )
    number: Annotated[Number | None, Column("file.number = {}")] = Field(None, description="number, like 2026-03-0007")
    waybill: Annotated[Name | None, Column(None)] = Field(None, description="waybill of the shipment that it is about")
    kind: Annotated[Kind | None, Column("file.kind = {}", words="kind")] = Field(
        None, description="complaint, claim, exception, inquiry, ..., or a form such as leave"
    )
    status: Annotated[Status | None, Column(_BY_STATUS, words="status")] = Field(
        None, description="`active` is what is not closed"
    )
    rung: Annotated[Name | None, Column("file.rung = {}", words="role")] = Field(
        None, description="who holds it: agent, supervisor, ..."
    )
    holder: Annotated[Name | None, Column(None)] = Field(
        None, description="who holds it: a staff id, a role, or a name of the staff"
    )
    unit: Annotated[Name | None, Column("file.unit = {}", words="unit")] = Field(
        None, description="unit that it belongs to"
    )
    severity: Annotated[Severity | None, Column("file.severity = {}", words="severity")] = Field(
        None, description="normal, serious or critical"
    )
    breached: Annotated[Name | None, Column(_BY_CLOCK, words="clock")] = Field(
        None, description="name of a clock that was breached: resolution, interim_reply, ...; promise is any promise"
    )
    is_breached: Annotated[bool | None, Column(_BY_BREACH)] = Field(None, description="whether any clock was breached")
    due_before: Annotated[Instant | None, Column("file.next_due < {}")] = Field(
        None, description="the next deadline is before this instant"
    )
    opened_from: Annotated[Instant | None, Column("file.opened_at >= {}")] = Field(
        None, description="opened at this instant or later"
    )
    opened_to: Annotated[Instant | None, Column("file.opened_at < {}")] = Field(
        None, description="opened before this instant"
    )
    policy: Annotated[Name | None, Column("file.policy = {}")] = Field(None, description="policy that it is pinned to")

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Filter:
        """Return the filter of these values.

        Raises:
            Refused: code ``invalid``, naming field, value and what is allowed.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise Refused("invalid", invalid(error, "").message.removeprefix(": ")) from None

    def where(self, first: int) -> tuple[str, list[Any]]:
        """Return a condition on the case file ("file") and its parameters; ``true`` where nothing is asked for.

        Args:
            first: the number of the first parameter.
        """
        conditions: list[str] = []
        parameters: list[Any] = []
        for field in fields(type(self)):
            value, sql = getattr(self, field.name), field.column.sql
            if value is None or sql is None:
                continue
            if isinstance(sql, str):
                conditions.append(sql.format(f"${first + len(parameters)}"))
                parameters.append(value)
            else:
                conditions.append(sql[value])
        return " AND ".join(conditions) or "true", parameters


@dataclass(frozen=True, slots=True)
class FilterField:
    """A field of a filter, for whoever makes an option, a parameter or an input of it."""

    name: str
    sort: Sort
    column: Column
    description: str
    one_of: OneOf | None


@cache
def fields(model: type[Filter] = Filter) -> tuple[FilterField, ...]:
    """Return the fields of a filter that find cases, in order."""
    columns = []
    for name, info in model.model_fields.items():
        for column in info.metadata:
            if isinstance(column, Column):
                # The annotation is "type | None", the type with or without marks.
                [inner, _] = get_args(info.annotation)
                kind, *marks = get_args(inner) or (inner,)
                one_of = next((mark for mark in marks if isinstance(mark, OneOf)), None)
                sort: Sort = "choice" if one_of else _SORTS.get(kind, "text")
                columns.append(FilterField(name, sort, column, info.description or "", one_of))
    return tuple(columns)


_SORTS: Mapping[Any, Sort] = {AwareDatetime: "instant", bool: "flag"}
