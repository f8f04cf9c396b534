"""What every door looks at before it files a form: in whose name, and whether leave meets a swapped shift."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from activities.people.swap import Swaps
from cases.directory import Directory
from cases.kinds.form import Form
from cases.vocabulary.events import Actor
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused, shown
from starter.forms import table_of
from starter.swap import refuse_leave_in_swap

# The effect of a form by which who files it is away, in its fields ``from`` and ``to``.
ABSENCE = "absence"


def named_filer(directory: Directory, person: str, role: Any) -> dict[str, str]:
    """Return the facts' ``filed_by`` for somebody of the staff, with what their accounts have in common: four eyes.

    Raises:
        Refused: code ``unknown_person`` or ``invalid``.
    """
    known = directory.person(person)
    if known is None:
        raise Refused("unknown_person", f"facts.filed_by.id = {shown(person)} is nobody of the staff")
    if known.role != role:
        says = f"{person} is {known.role} in the directory of staff"
        raise Refused("invalid", f"facts.filed_by.role = {shown(role)}: {says}")
    return Actor(known.id, known.role, known.person).as_json()


async def check_roster(swaps: Swaps, form: type[Form], intake: Mapping[str, Any]) -> None:
    """Refuse leave over a shift that was given or taken in a valid swap (S1-1.7).

    A form with another effect is left as it is.

    Raises:
        Refused: code ``swapped_shift``; ``invalid``: it is no intake of the form.
    """
    if table_of(form).effect != ABSENCE:
        return
    facts: Any = read_intake(form.INTAKE, intake).facts
    fields = dict(facts.fields)
    begins, ends = (_instant(fields[name], form) for name in ("from", "to"))
    if begins < ends:
        await refuse_leave_in_swap(swaps, facts.filed_by.id, begins, ends)


def _instant(value: date | datetime, form: type[Form]) -> datetime:
    """Return when a date begins in the policy's zone, or the instant itself there."""
    policy = form.DECLARED_BY
    if isinstance(value, datetime):
        return policy.local(value)
    return datetime.combine(value, time(0), policy.working.zone)
