"""The options by which commands choose cases, made of the fields of a filter."""

from __future__ import annotations

from dataclasses import make_dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from activities.casebook.filter import Filter, FilterField, fields
from cases.vocabulary.refusals import Refused
from starter.cli.errors import BadInput
from starter.cli.intake import read_instant


def _option(field: FilterField) -> tuple[str, Any, None]:
    sort: Any = bool if field.sort == "flag" else str
    if field.one_of is not None and not callable(field.one_of.choices):
        sort = Literal[tuple(field.one_of.choices)]
    form = ", as RFC 3339" if field.sort == "instant" else ""
    return field.name, Annotated[sort | None, Parameter(help=f"{field.description}{form}")], None


# Typed loosely, since its fields are those of `Filter`. With a module, for else it counts as a built-in type.
Filters: Any = Parameter(name="*")(
    make_dataclass("Filters", map(_option, fields()), namespace={"__module__": __name__}, frozen=True)
)
EVERYTHING = Filters()


def read_filter(filters: Any, **also: Any) -> Filter:
    """Return the filter of the options that were given.

    Args:
        filters: the options.
        also: values that come from elsewhere, over those of the options.

    Raises:
        BadInput: naming option, value and what is allowed.
    """
    values: dict[str, Any] = {}
    for field in fields():
        value, flag = getattr(filters, field.name), f"--{field.name.replace('_', '-')}"
        if value is None:
            continue
        if field.sort == "instant":
            value = read_instant(value, flag)
        try:
            Filter.read({field.name: value})
        except Refused as refusal:
            raise BadInput(refusal.message.replace(field.name, flag, 1)) from None
        values[field.name] = value
    return Filter.read({**values, **also})
