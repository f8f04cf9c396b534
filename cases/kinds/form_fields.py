"""What people fill in: the models of a form's fields, what is computed of them, and the rules between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from cases.policy.forms import BY_FIELD, CheckRule, FieldRule, FormTable
from cases.policy.tables import CUSTOMER, meets
from cases.vocabulary.commands import Sign
from cases.vocabulary.facts import Facts, Intake, Staff
from cases.vocabulary.refusals import WITHHELD, Refused, shown
from cases.vocabulary.texts import marked
from cases.vocabulary.values import MOST_LISTED, CaseId, Exact, Instant, Model, Month, Role, Sha256, Text, Token, Yuan

if TYPE_CHECKING:
    from cases.policy.model import Policy


class FormFields(Model):
    """The fields of a form; `fields_model` and `filled_model` make one with the fields of a table."""

    # Fields of the form that are not given here, each with the reason.
    NOT_HERE: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _given_elsewhere(cls, raw: Any) -> Any:
        for name in raw if isinstance(raw, Mapping) else ():
            if name in cls.NOT_HERE:
                raise ValueError(f"{name} is not given here: {cls.NOT_HERE[name]}")
        return raw


class FilledFields(FormFields):
    """What a signature fills; which fields the step takes, the case decides."""

    model_config = ConfigDict(extra="allow")


class Attachment(Model):
    """A paper that lies elsewhere: its name, the SHA-256 of its content, and where it is."""

    name: Text
    sha256: Sha256
    where: Text


def _week_of_iso(value: str) -> str:
    try:
        date.fromisoformat(f"{value}-1")
    except ValueError:
        raise ValueError("there is no such week in that year; allowed is an ISO week like 2026-W10") from None
    return value


def _day_in_reach(value: date) -> date:
    if not 2000 <= value.year <= 9998:
        raise ValueError("a date lies in the years 2000 to 9998")
    return value


Week = Annotated[str, StringConstraints(pattern=r"^(19|20)[0-9]{2}-W[0-9]{2}$"), AfterValidator(_week_of_iso)]
_TYPES: Mapping[str, Any] = {
    "text": Text,
    "token": Token,
    "yuan": Yuan,
    "number": Exact,
    "integer": StrictInt,
    "bool": StrictBool,
    "date": Annotated[date, AfterValidator(_day_in_reach)],
    "instant": Instant,
    "month": Month,
    "week": Week,
    "staff": Token,
    "role": Role,
    "case": CaseId,
    "attachment": Attachment,
}


class Filer(Staff):
    """Who files a form; ``person`` where a system files it for somebody with more than one account (see `Actor`)."""

    person: Token | None = None


class AnyFormFacts(Facts):
    """What is known of a form as long as its policy is not: who files it, and fields of any types."""

    filed_by: Filer
    fields: dict[str, Any]


class AnyFormIntake(Intake):
    """Input of the workflow ``Form`` as long as the policy of the form is not known."""

    facts: AnyFormFacts


class FormFacts(Facts):
    """What is known of a form when it is filed: who files it, and its fields."""

    filed_by: Filer
    fields: FormFields


class FormIntake(Intake):
    """Input of the workflow ``Form``; `form_intake` makes the model of one form."""

    # Which fields are kept as personal data are.
    PERSONAL_FIELDS: ClassVar[frozenset[str]] = frozenset()

    facts: FormFacts

    def private(self) -> dict[str, Any]:
        """Return which facts are personal, with the fields that the form says are."""
        return {**super().private(), "fields": dict.fromkeys(self.PERSONAL_FIELDS, True)}

    def personal(self) -> dict[str, Any]:
        """Return the personal part of the facts, as plain JSON: erasable, never in the ledger."""
        personal = super().personal()
        return personal if personal["fields"] else {name: personal[name] for name in personal if name != "fields"}

    def written(self) -> list[str]:
        """Return the paths of the free texts among the open facts, like ``facts.fields.objection``."""
        found = marked(type(self.facts), self.open_facts(), "facts.")
        return [path for path, _ in found if path.startswith("facts.fields.")]


@lru_cache(maxsize=256)
def form_intake(name: str, table: FormTable) -> type[FormIntake]:
    """Return the model of a form's intake.

    Args:
        name: of the form, like ``car_hire``.
    """
    title, called = _camel(name), table.title or name.replace("_", " ")
    facts = create_model(f"{title}Facts", __base__=FormFacts, __doc__=called, fields=(fields_model(table, title), ...))
    intake = create_model(f"{title}Intake", __base__=FormIntake, __doc__=called, facts=(facts, ...))
    intake.PERSONAL_FIELDS = personal_fields(table)
    return intake


@lru_cache(maxsize=256)
def fields_model(table: FormTable, title: str = "") -> type[FormFields]:
    """Return the model of the fields that are given when a form is filed: neither computed nor filled at a step.

    Args:
        title: what its name and those of its rows begin with, so that schemas of several forms stand beside each other.
    """
    not_here = {name: f"it is the sum of {rule.sum}" for name, rule in table.fields.items() if rule.sum is not None}
    not_here |= {name: f"step {step.name} fills it" for step in table.steps for name in step.fills}
    return _model(f"{title}Fields", table.taken, not_here)


@lru_cache(maxsize=256)
def filled_model(table: FormTable, step: str) -> type[FormFields]:
    """Return the model of the fields that a step fills, each of them needed.

    Raises:
        LookupError: the form has no such step.
    """
    fields = {name: table.fields[name].model_copy(update={"required": True}) for name in table.step(step).fills}
    return _model("Filled", fields, {})


@lru_cache(maxsize=256)
def signing(table: FormTable) -> type[Sign]:
    """Return the command ``sign`` of a form: its ``fields`` are of the types of those that the steps fill.

    Which of them a step needs, the case decides.
    """
    fields = {name: table.fields[name].model_copy(update={"required": False}) for name in sorted(table.filled)}
    filled: Any = _model("Filled", fields, {}, FilledFields)
    made: type[Sign] = create_model("Sign", __base__=Sign, __doc__=Sign.__doc__, fields=(filled | None, None))
    return made


def _model(
    title: str, fields: Mapping[str, FieldRule], not_here: Mapping[str, str], base: type[FormFields] = FormFields
) -> type[FormFields]:
    made: dict[str, Any] = {}
    for name, rule in fields.items():
        type_ = _type(name, rule, title.removesuffix("Fields"))
        if rule.personal:
            type_ = Annotated[type_, WrapValidator(_withholding)]
        described = Field(title=rule.title) if rule.required else Field(default=None, title=rule.title)
        made[name] = (type_ if rule.required else type_ | None, described)
    model: type[FormFields] = create_model(title, __base__=base, **made)
    model.NOT_HERE = not_here
    return model


def _type(name: str, rule: FieldRule, title: str = "") -> Any:
    """Return the type of a field, with its limits."""
    if rule.type == "choice":
        return Literal[rule.of]
    if rule.type == "rows":
        columns: dict[str, Any] = {column: (_type(column, its), ...) for column, its in rule.columns.items()}
        row = create_model(f"{title}{_camel(name)}", __base__=Model, **columns)
        return Annotated[tuple[row, ...], Field(max_length=MOST_LISTED)]
    type_ = _TYPES[rule.type]
    whole = int if rule.type == "integer" else Decimal
    limits: dict[str, Any] = {"ge": rule.min, "le": rule.max}
    limits = {key: whole(value) for key, value in limits.items() if value is not None}
    return Annotated[type_, Field(**limits)] if limits else type_


def _withholding(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    # What people sent in a personal field is in no message.
    try:
        return handler(value)
    except ValidationError as error:
        message = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
        raise PydanticCustomError(WITHHELD, "{said}", {"said": message.removeprefix("Value error, ")}) from None


def _camel(name: str) -> str:
    # No two names give one: a_b is AB and a__b is A_B, car1 is Car1 and car_1 is Car_1.
    return "".join(part.capitalize() if part[:1].isalpha() else f"_{part}" for part in name.split("_"))


# --- what is read of them -------------------------------------------------------------------------


def personal_fields(table: FormTable) -> frozenset[str]:
    """Return the fields that are kept as personal data are: never in the ledger, erasable."""
    return frozenset(name for name, rule in table.fields.items() if rule.personal)


def text_paths(table: FormTable, fields: Mapping[str, Any]) -> list[str]:
    """Return where texts that people wrote freely stand in the JSON of fields, like ``entries.0.cause``.

    Those of personal fields are not among them: they stand with the personal data.
    """
    personal = personal_fields(table)
    return [path for path, _ in marked(_all_model(table), fields) if path.partition(".")[0] not in personal]


@lru_cache(maxsize=256)
def _all_model(table: FormTable) -> type[FormFields]:
    return _model("AllFields", {name: rule for name, rule in table.fields.items() if rule.sum is None}, {})


def computed(table: FormTable, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sums of a form as JSON: yuan and numbers as text, integers as numbers; without rows 0."""
    sums: dict[str, Any] = {}
    for name, rule in table.fields.items():
        if rule.sum is None:
            continue
        rows, column = rule.summed
        total = sum((Decimal(str(row[column])) for row in fields.get(rows) or ()), Decimal(0))
        sums[name] = int(total) if rule.type == "integer" else f"{total:.2f}" if rule.type == "yuan" else f"{total:f}"
    return sums


# --- the rules between them -----------------------------------------------------------------------


def check_fields(
    table: FormTable, fields: Mapping[str, Any], filed: datetime, policy: Policy, key: str | None = None
) -> None:
    """Refuse fields that the rules of a form do not take, by the first rule in the order of the table.

    Args:
        fields: as JSON, personal ones too.
        filed: when the form is filed.
        key: of the case; without it the key is not checked.

    Raises:
        Refused: the code of the check; ``invalid`` for a key that is not what the form says, and for a role that the
            policy does not have.
    """
    if key is not None and table.key_field is not None and key != fields.get(table.key_field):
        value = fields.get(table.key_field)
        raise Refused("invalid", f"key = {key!r}: the key is fields.{table.key_field}, {value}", table.clause)
    for path, role in _roles(table, fields):
        if role not in policy.all_roles:
            roles = ", ".join(policy.all_roles)
            raise Refused("invalid", f"fields.{path} = {shown(role)} is not a role; allowed: {roles}", table.clause)
        if role == CUSTOMER and f"{BY_FIELD}{path}" in table.copies:
            message = f"fields.{path} = {role!r}: it gets a copy, and a copy never goes to the customer"
            raise Refused("invalid", message, table.clause)
    local = policy.local(filed)
    for check in table.checks:
        if check.unless is not None and fields.get(check.unless) is True:
            continue
        broken = _CHECKS[check.rule](check, fields, local, policy)
        if broken is not None:
            raise Refused(check.code or "not_ended", broken, table.clause)
    if table.effect is not None and _comparable(fields["from"]) >= _comparable(fields["to"]):
        message = f"fields.from = {fields['from']} must lie before fields.to = {fields['to']}"
        raise Refused("invalid", message, table.clause)
    if not table.asks_somebody({**fields, **computed(table, fields)}):
        raise Refused("invalid", "fields: no step of the form is asked of anybody with these", table.clause)


def _roles(table: FormTable, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, rule in table.fields.items():
        value = fields.get(name)
        if value is None:
            continue
        if rule.type == "role":
            yield name, value
        for column, its in rule.columns.items():
            if its.type == "role":
                yield from ((f"{name}.{place}.{column}", row[column]) for place, row in enumerate(value))


def _required_if(check: CheckRule, fields: Mapping[str, Any], filed: datetime, policy: Policy) -> str | None:
    missing = [name for name in check.fields if fields.get(name) is None]
    if not missing or not meets(fields, check.when):
        return None
    because = " and ".join(f"{name} is {' or '.join(values)}" for name, values in check.when.items())
    return f"fields.{', fields.'.join(missing)}: needed, since {because}"


def _order(check: CheckRule, fields: Mapping[str, Any], filed: datetime, policy: Policy) -> str | None:
    start, to = _both(check, fields)
    if start is None or to is None or _comparable(start) < _comparable(to):
        return None
    return f"fields.{check.start} = {start} must lie before fields.{check.to} = {to}"


def _comparable(value: Any) -> Any:
    """Return what a value is ordered by: an instant, a number, or the text of a date, month or week."""
    if isinstance(value, str) and "T" in value:
        return datetime.fromisoformat(value)
    if isinstance(value, str) and ("-" in value):
        return value
    return Decimal(str(value))


def _ahead(check: CheckRule, fields: Mapping[str, Any], filed: datetime, policy: Policy) -> str | None:
    value = fields.get(check.field or "")
    if value is None:
        return None
    last = _day(value, policy) - timedelta(days=check.days or 0)
    if filed.date() <= last:
        return None
    return f"fields.{check.field} = {value}: it is filed on {last} at the latest, and this is {filed:%Y-%m-%d}"


def _not_holiday(check: CheckRule, fields: Mapping[str, Any], filed: datetime, policy: Policy) -> str | None:
    start, to = _both(check, fields)
    if start is None or to is None:
        return None
    day, last = _day(start, policy), _last_day(to, policy)
    holidays = policy.working.holidays_between(day, last)
    return f"fields.{check.start} to fields.{check.to}: {holidays[0]} is a published holiday" if holidays else None


def _ended(check: CheckRule, fields: Mapping[str, Any], filed: datetime, policy: Policy) -> str | None:
    value = fields.get(check.field or "")
    if value is None or value < (f"{filed:%G-W%V}" if "W" in value else f"{filed:%Y-%m}"):
        return None
    now = f"{filed:%Y-%m-%d %H:%M} ({filed:%z})"
    return f"fields.{check.field} = {value} has not ended: it is {now}; file it afterwards"


_CHECKS = {
    "required_if": _required_if,
    "order": _order,
    "ahead": _ahead,
    "not_holiday": _not_holiday,
    "ended": _ended,
}


def _both(check: CheckRule, fields: Mapping[str, Any]) -> tuple[Any, Any]:
    return fields.get(check.start or ""), fields.get(check.to or "")


def begin_of(value: str, policy: Policy) -> str:
    """Return an instant as it is, of a date the instant at which it begins in the policy's zone."""
    if "T" in value:
        return value
    return datetime.combine(date.fromisoformat(value), time(0), policy.working.zone).isoformat()


def _day(value: str, policy: Policy) -> date:
    """Return the local day of a date or an instant."""
    return policy.local(datetime.fromisoformat(value)).date() if "T" in value else date.fromisoformat(value)


def _last_day(value: str, policy: Policy) -> date:
    """Return the last local day before a date or an instant begins."""
    if "T" not in value:
        return date.fromisoformat(value) - timedelta(days=1)
    return policy.local(datetime.fromisoformat(value) - timedelta(microseconds=1)).date()
