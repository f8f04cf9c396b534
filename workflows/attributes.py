"""The search attributes of a case: the one registry. Never personal data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

KEYWORDS: dict[str, SearchAttributeKey[str]] = {
    view: SearchAttributeKey.for_keyword(name)
    for view, name in {
        "kind": "CaseKind",
        "status": "CaseStatus",
        "number": "CaseNumber",
        "rung": "Rung",
        "holder": "Holder",
        "unit": "Unit",
    }.items()
}
BREACHED = SearchAttributeKey.for_keyword_list("Breached")
NEXT_DUE = SearchAttributeKey.for_datetime("NextDue")

ALL: tuple[SearchAttributeKey[Any], ...] = (*KEYWORDS.values(), BREACHED, NEXT_DUE)
# Their types by name, as a Temporal server names types ("KeywordList").
TYPES = {key.name: key.indexed_value_type.name.title().replace("_", "") for key in ALL}


def updates(view: Mapping[str, Any], known: Mapping[str, Any]) -> list[SearchAttributeUpdate[Any]]:
    """Return what must change so that the attributes say what the case view says.

    Args:
        view: the case view now.
        known: the view that the attributes say now; empty at the start.
    """
    changes: list[SearchAttributeUpdate[Any]] = []
    for name, key in KEYWORDS.items():
        if view[name] != known.get(name):
            changes.append(key.value_unset() if view[name] is None else key.value_set(view[name]))
    if view["breached"] != known.get("breached", []):
        changes.append(BREACHED.value_set(view["breached"]))
    if view["next_due"] != known.get("next_due"):
        due = view["next_due"]
        changes.append(NEXT_DUE.value_unset() if due is None else NEXT_DUE.value_set(datetime.fromisoformat(due)))
    return changes
