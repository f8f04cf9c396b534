"""The tables of forms: what people fill in, who signs after whom, by when, and what it brings about.

A form is a kind of case that a policy declares, ``[form.NAME]``, without code. What the tables say of each other is
checked in `cases.policy.form_faults`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, field_validator, model_validator

from cases.policy.tables import ClockRule, Days, KindTable, Reminders, RetainYears, meets
from cases.vocabulary.values import Exact, Model, Role

FieldType = Literal[
    "text", "token", "yuan", "number", "integer", "bool", "date", "instant", "month", "week", "staff", "role", "case",
    "choice", "attachment", "rows",
]  # fmt: skip
# So many fields and steps a form has at most.
MOST_FIELDS, MOST_STEPS = 100, 50
# The commands that go by the permissions of a form. Who signs, decides or withdraws, its other tables say.
PERMITTED = ("acknowledge", "assign", "attach", "escalate", "load_calendar", "note", "reopen", "resend")
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


def _one_line(text: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("a title is one line, without control characters")
    return text


Title = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_one_line)
]
# ROLE, ROLE+, ladder, or field:NAME for the role that a field names.
Who = Annotated[str, StringConstraints(pattern=r"^(field:)?[a-z][a-z0-9_]*\+?$")]
# Of a field the values with which it holds, as notices match: a bool is "true" or "false".
When = dict[str, tuple[str, ...]]
BY_FIELD = "field:"
_CHINESE = re.compile("[\u3000-\u303f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")


def titles(text: str) -> dict[str, str]:
    """Split a title like ``Leave 请假`` into ``en`` and ``zh``; one in a single language serves for both."""
    found = _CHINESE.search(text)
    place = len(text) if found is None else found.start()
    english, chinese = text[:place].strip(), text[place:].strip()
    return {"en": english or chinese, "zh": chinese or english}


def titles_of(title: str | None, name: str) -> dict[str, str]:
    """Return the titles of what has this name; without a title the name itself, with blanks."""
    return titles(title or name.replace("_", " "))


class FieldRule(Model):
    """One field of a form.

    Args:
        labels: of a choice, the title of each value.
        of: of a choice, its values.
        personal: whether it is kept as personal data are: never in the ledger, erasable.
        columns: of rows, what stands in each of them.
        sum: ``ROWS.COLUMN``: it is computed, and nobody gives it.
        key: whether the key of the case is its value.
        place: its place among the fields, which a document does not keep the order of; see `in_place`.
    """

    type: FieldType
    title: Title | None = None
    labels: dict[str, Title] = Field(default_factory=dict)
    required: bool = False
    min: Exact | None = None
    max: Exact | None = None
    of: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")], ...] = ()
    personal: bool = False
    columns: Annotated[dict[FieldName, FieldRule], Field(max_length=MOST_FIELDS)] = Field(default_factory=dict)
    sum: str | None = None
    key: bool = False
    place: int = 0

    @field_validator("columns")
    @classmethod
    def _in_order(cls, columns: dict[str, FieldRule]) -> dict[str, FieldRule]:
        return _in_order(columns)

    @property
    def summed(self) -> tuple[str, str]:
        """The rows and the column whose sum it is."""
        rows, _, column = (self.sum or "").partition(".")
        return rows, column


def _in_order(fields: Mapping[str, FieldRule]) -> dict[str, FieldRule]:
    return dict(sorted(fields.items(), key=lambda item: item[1].place))


def in_place(form: Any) -> None:
    """Note in the raw table of a form the order in which its fields and columns stand in the file."""
    fields = form.get("fields") if isinstance(form, dict) else None
    for place, field in enumerate(fields.values() if isinstance(fields, dict) else ()):
        if isinstance(field, dict):
            field.setdefault("place", place)
            in_place({"fields": field.get("columns")})


class CheckRule(Model):
    """A rule between fields, decided when the form is filed; without the fields that it names there is none.

    ``required_if``: ``fields`` are needed ``when`` others have these values. ``order``: ``from`` lies before ``to``.
    ``ahead``: the local day of filing is at most the local day of ``field`` minus ``days``. ``not_holiday``: no local
    day of [``from``, ``to``) is a published holiday. ``ended``: the month or week ``field`` is over. None of them where
    the bool field ``unless`` is true.
    """

    rule: Literal["required_if", "order", "ahead", "not_holiday", "ended"]
    fields: tuple[str, ...] = ()
    field: str | None = None
    start: str | None = Field(default=None, alias="from")
    to: str | None = None
    days: Days | None = None
    when: When = Field(default_factory=dict)
    unless: str | None = None
    code: Role | None = None


class RoleRule(Model):
    """A role that acts in a step, if the fields are so; in a file also the bare name of the role."""

    role: Who
    when: When = Field(default_factory=dict)


def _role_rule(raw: Any) -> Any:
    return {"role": raw} if isinstance(raw, str) else raw


class StepRule(Model):
    """A step of a form.

    Args:
        roles: who acts, all of them, in any order.
        any_of: instead of ``roles``: one of these acts.
        act: an opinion is signed with a text.
        fills: which fields are given here instead of when the form is filed; all of them.
        when: the step is asked only if the fields are so.
        decides: the yuan field that the form's authority decides; then nobody signs.
        own: whether who filed may act.
        superior: whether who acts stands above who filed.
        notify: who is told when it is done.
    """

    name: FieldName
    title: Title | None = None
    roles: tuple[Annotated[RoleRule, BeforeValidator(_role_rule)], ...] = ()
    any_of: tuple[Who, ...] = ()
    act: Literal["sign", "opinion"] = "sign"
    fills: tuple[str, ...] = ()
    when: When = Field(default_factory=dict)
    decides: str | None = None
    own: bool = False
    superior: bool = False
    refusable: bool = True
    clock: ClockRule | None = None
    notify: tuple[Who, ...] = ()

    @property
    def titles(self) -> dict[str, str]:
        """Its title in both languages."""
        return titles_of(self.title, self.name)


class EarlyRule(Model):
    """Who may let a form take effect before it is complete, and by when it is complete then (S3-1.2.4)."""

    roles: Annotated[tuple[Who, ...], Field(min_length=1)]
    clock: ClockRule


class FormDefaults(Model):
    """What a form does not say (``[form_defaults]``)."""

    retain_years: RetainYears | None = None
    reminders: Reminders | None = None
    clocks: dict[Literal["step", "approval"], ClockRule] = Field(default_factory=dict)

    @staticmethod
    def merged(table: Any, defaults: Any) -> Any:
        """Return the raw table of a form with what it does not say; a clock stands or falls as a whole."""
        if not (isinstance(table, dict) and isinstance(defaults, dict)):
            return table
        told = {**defaults, **table}
        clocks = [given.get("clocks", {}) for given in (defaults, table)]
        if all(isinstance(given, dict) for given in clocks):
            told["clocks"] = {**clocks[0], **clocks[1]}
        return told


class FormTable(KindTable):
    """One form: its fields, its steps and its numbers.

    ``notify`` is told when it takes effect. Clocks: ``step`` of each step that has none of its own, ``approval``,
    ``whole``, and ``early`` as ``early`` gives it.
    """

    CLOCKS: ClassVar[tuple[str, ...]] = ("step", "approval", "whole", "early")
    NEEDED: ClassVar[tuple[str, ...]] = ("step",)

    title: Title | None = None
    clause: str
    files: Annotated[tuple[Who, ...], Field(min_length=1)]
    fields: Annotated[dict[FieldName, FieldRule], Field(max_length=MOST_FIELDS)]
    steps: Annotated[tuple[StepRule, ...], Field(alias="step", min_length=1, max_length=MOST_STEPS)]
    checks: Annotated[tuple[CheckRule, ...], Field(alias="check", max_length=MOST_FIELDS)] = ()
    early: EarlyRule | None = None
    effect: Literal["absence"] | None = None
    outcome: Role = "approved"
    copies: tuple[Who, ...] = ()
    notify: tuple[Who, ...] = ()
    reminders: Reminders
    clocks: dict[str, ClockRule] = Field(default_factory=dict)
    # Without it, a form is closed when it is complete: see `reopens`.
    reopen_days: Days = 1
    reopen_clause: str = "INVENTED"

    @field_validator("fields")
    @classmethod
    def _in_order(cls, fields: dict[str, FieldRule]) -> dict[str, FieldRule]:
        return _in_order(fields)

    def __hash__(self) -> int:
        # One table is read once, and what is made of it is found by it.
        return id(self)

    @model_validator(mode="after")
    def _with_early(self) -> Self:
        if "early" in self.clocks:
            raise ValueError("clocks.early stands in the table early, as early.clock")
        if self.early is not None:
            self.clocks["early"] = self.early.clock
        return self

    @property
    def reopens(self) -> bool:
        """Whether a complete form may be reopened: only one whose table says for how long."""
        return "reopen_days" in self.model_fields_set

    def titles(self, name: str) -> dict[str, str]:
        """Return the titles of the form in both languages."""
        return titles_of(self.title, name)

    def clock(self, name: str) -> ClockRule | None:
        """Return the rule of a clock: of ``step:NAME`` the step's own, else that of ``clocks.step``."""
        base, _, step = name.partition(":")
        own = next((rule.clock for rule in self.steps if base == "step" and rule.name == step), None)
        return own or self.clocks.get(base)

    def step(self, name: str) -> StepRule:
        """Return the step of this name.

        Raises:
            LookupError: there is none.
        """
        for rule in self.steps:
            if rule.name == name:
                return rule
        raise LookupError(name)

    def everybody(self) -> tuple[str, ...]:
        """Return whoever acts in a step, lets it begin early, gets a copy or is told; ``field:NAME`` as it is."""
        who: list[str] = [*self.copies, *self.notify, *(() if self.early is None else self.early.roles)]
        for step in self.steps:
            who += [*step.any_of, *(one.role for one in step.roles), *step.notify]
        return tuple(dict.fromkeys(who))

    def asks_somebody(self, fields: Mapping[str, Any]) -> bool:
        """Whether any step is asked by these fields, computed ones among them."""
        return any(
            meets(fields, step.when)
            and (step.decides or step.any_of or any(meets(fields, one.when) for one in step.roles))
            for step in self.steps
        )

    @property
    def filled(self) -> frozenset[str]:
        """The fields that steps fill."""
        return frozenset(name for step in self.steps for name in step.fills)

    @property
    def taken(self) -> dict[str, FieldRule]:
        """The fields that are given when the form is filed: neither computed nor filled at a step."""
        filled = self.filled
        return {name: rule for name, rule in self.fields.items() if rule.sum is None and name not in filled}

    @property
    def key_field(self) -> str | None:
        """The field whose value the key of the case must be."""
        return next((name for name, rule in self.fields.items() if rule.key), None)

    def limits(self) -> Iterator[tuple[str, ClockRule]]:
        """Yield every clock of the table with its key path within it."""
        for name, rule in self.clocks.items():
            yield ("early.clock" if name == "early" else f"clocks.{name}"), rule
        for step in self.steps:
            if step.clock is not None:
                yield f"step.{step.name}.clock", step.clock
