"""What people wrote freely, for callers who may read it, in place of the references in views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cases.registry import kind_named
from cases.vocabulary.events import texts_shown
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import put, references, resolved
from starter.access import Caller, may_read_texts
from starter.api.actions import NoAnswer, patiently
from starter.api.services import Services

Json = dict[str, Any]
# A reference to no text, which nobody can read.
_NOTHING = {"seq": 0, "field": ""}


async def shown(services: Services, caller: Caller, views: Sequence[Json]) -> list[Json]:
    """Return views with the texts that they refer to; null where the caller may not read it, or it was erased."""
    hidden = [view if may_read_texts(caller, view) else _hidden(view) for view in views]
    told = await services.casebook.with_texts(hidden)
    return [await _told_by_case(services, view) if any(references(view)) else view for view in told]


async def shown_one(services: Services, caller: Caller, view: Json) -> Json:
    """Return one view as `shown` does; one that says less than a case does stays as it is."""
    return (await shown(services, caller, [view]))[0] if "rung" in view else view


async def _told_by_case(services: Services, view: Json) -> Json:
    """Return a view with what was said a moment ago, which the case knows and the ledger does not yet."""
    try:
        async with patiently():
            return await services.cases.with_texts(view)
    except (NoAnswer, Refused):
        return _resolved(view)


def _hidden(view: Json) -> Json:
    kind = kind_named(view["kind"])
    texts = {} if kind is None else texts_shown(kind.VIEW, view)
    # Which fields of a form are texts, its policy says; each of them is a reference here.
    return _resolved(put(view, dict.fromkeys(texts, _NOTHING)))


def _resolved(view: Json) -> Json:
    shown: Json = resolved(view, lambda seq, field: None)
    return shown
