"""What sort of value a field of a model holds, by its type, so that pages can show a field that no table names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import AwareDatetime, BaseModel

from cases.registry import KINDS
from cases.vocabulary.events import EVENTS
from cases.vocabulary.values import InYuan

Sort = Literal["yuan", "instant", "flag", "choice", "plain"]

_PLAIN = (str, int, Decimal, date)


@cache
def fact_sorts(kind: str | None) -> dict[str, Sort]:
    """Return the sorts of the facts of a kind by name, those of the models within them among them.

    Of a kind that is not declared, or none, they are what other kinds mean by the names.
    """
    found: dict[str, Sort] = {}
    for declared in (KINDS[kind],) if kind in KINDS else KINDS.values():
        for name, sort in _sorts(get_type_hints(declared.INTAKE)["facts"]):
            found.setdefault(name, sort)
    return found


@cache
def event_sort(type_: str, name: str) -> Sort | None:
    """Return the sort of a field of an event, as the JSON names it; None for one that holds several values."""
    model = EVENTS.get(type_)
    if model is None:
        return "plain"
    hints = get_type_hints(model, include_extras=True)
    own = next((own for own, field in model.model_fields.items() if (field.alias or own) == name), None)
    return "plain" if own is None else _sort(hints[own])


def _sorts(model: type[BaseModel]) -> Iterator[tuple[str, Sort]]:
    hints = get_type_hints(model, include_extras=True)
    for name in model.model_fields:
        inner = _model(hints[name])
        sort = _sort(hints[name])
        if inner is not None:
            yield from _sorts(inner)
        elif sort is not None:
            yield name, sort


def _model(hint: Any) -> type[BaseModel] | None:
    """Return the model that a field holds, one or a list of them."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint
    return next((found for found in map(_model, get_args(hint)) if found is not None), None)


def _sort(hint: Any) -> Sort | None:
    if get_origin(hint) in (Union, UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        return _sort(options[0]) if len(options) == 1 else None
    plain, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if any(isinstance(mark, InYuan) for mark in marks):
        return "yuan"
    if get_origin(plain) is Literal:
        return "choice"
    if plain is bool:
        return "flag"
    if plain in (datetime, AwareDatetime):
        return "instant"
    return "plain" if isinstance(plain, type) and issubclass(plain, _PLAIN) else None
