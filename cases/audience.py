"""Whom a case concerns by their role: which kinds a role sees, and who reads what people wrote freely in a case.

The doors ask it of those who come (`starter.access`, which knows their units too), notices of those who are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cases.case import OTHERS
from cases.directory import OUTSIDE
from cases.registry import KINDS, kind_named

# Who sees every case.
SEE_ALL = frozenset({"qa_manager", "general_manager", "headquarters", "auditor"})
# Who sees the cases of the own units, and those of whom also all of the units below.
AND_BELOW = frozenset({"supervisor", "area_office"})
OWN_UNITS = frozenset({"agent", "window_and_site", "other_company_agent"}) | AND_BELOW
# Who stands on a ladder, and reads every text of the cases that they see.
RUNGS = SEE_ALL | OWN_UNITS


def kinds_seen_by(role: str) -> frozenset[str]:
    """Return the kinds that a role beside the rungs sees: those that name it, else those that are for all others."""
    named = frozenset(name for name, kind in KINDS.items() if role in kind.SEEN_BY)
    others = frozenset(name for name, kind in KINDS.items() if OTHERS in kind.SEEN_BY)
    return named or others


def asked(view: Mapping[str, Any]) -> set[str]:
    """Return the roles that are or were asked to decide or to sign a case."""
    signed = view.get("signed") or []
    roles = {one["role"] for one in ([signed] if isinstance(signed, Mapping) else signed)}
    for one in view.get("approvals", ()):
        roles |= {one["role"], *one.get("also", ())}
    return roles | {one["role"] for one in view.get("waits_for", ()) if one["role"] is not None}


def is_told_of_parcel(role: str, view: Mapping[str, Any]) -> bool:
    """Whether a notice to a role names the parcel that the case is about: whether the role sees cases of the kind.

    Nobody of outside does, and a form is about no parcel.
    """
    return role not in OUTSIDE and (role in RUNGS or view.get("kind") in kinds_seen_by(role))


def is_told_why(role: str, view: Mapping[str, Any]) -> bool:
    """Whether a notice to a role holds the reasons of what was asked and decided in a case: whether it may read them.

    That is who stands on a rung, who holds the case, who is or was asked; of a form whoever is told of it at all.
    """
    if role in OUTSIDE:
        return False
    kind = kind_named(str(view.get("kind")))
    is_form = kind is not None and view.get("kind") not in KINDS
    return is_form or role in RUNGS or role in (view.get("rung"), view.get("holder")) or role in asked(view)
