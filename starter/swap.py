"""Filing of shift swaps, and of leave beside them (S1-1.7); agreeing, signing and refusing are commands of the case."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from activities.people.swap import Swaps
from cases.directory import Directory, Shift
from cases.kinds.swap import CLAUSE, SwapFacts
from cases.policy.model import Policy
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient

# How often the same swap may be filed, each time after the one before was refused or lapsed.
MOST_TRIES = 20


def facts_of(
    directory: Directory, policy: Policy, initiator: str, counterparty: str, given: str, returned: str | None
) -> SwapFacts:
    """Build the facts of a swap from the directory and its roster.

    Args:
        directory: the directory.
        policy: the policy, whose zone the times are in.
        initiator: the id of the person who gives a shift.
        counterparty: the id of the person who is asked to take it.
        given: the id of that shift.
        returned: the id of the shift that is given back for it, if any.

    Raises:
        Refused: code ``unknown_person`` or ``unknown_shift``.
    """
    people = [directory.person(id_) for id_ in (initiator, counterparty)]
    for id_, person in zip((initiator, counterparty), people, strict=True):
        if person is None:
            raise Refused("unknown_person", f"{id_!r} is nobody of the staff", CLAUSE)
    by_id = {shift.id: shift for shift in directory.shifts}
    content: dict[str, Any] = {"given": _shift(by_id, given, policy)}
    if returned is not None:
        content["returned"] = _shift(by_id, returned, policy)
    one, other = ({"id": person.id, "role": person.role} for person in people if person)
    unit = people[0].unit if people[0] else None
    return SwapFacts.model_validate({"initiator": one, "counterparty": other, "unit": unit, **content})


def _shift(by_id: dict[str, Shift], id_: str, policy: Policy) -> dict[str, Any]:
    shift = by_id.get(id_)
    if shift is None:
        raise Refused("unknown_shift", f"shift {id_!r} is not in the roster", CLAUSE)
    return {"id": id_, "starts_at": policy.local(shift.starts_at), "ends_at": policy.local(shift.ends_at)}


async def file_swap(
    client: CaseClient, swaps: Swaps, facts: SwapFacts, policy: Policy, now: datetime, key: str | None = None
) -> dict[str, Any]:
    """Check a swap against the rules and file it. The same swap gives the same case until that case is closed.

    Args:
        client: files the case.
        swaps: checks the swap against the roster.
        facts: the swap.
        policy: the policy that the case is pinned to.
        now: the current time.
        key: the caller's own key; without it, a key is derived from the people and the shifts.

    Returns:
        The case view.

    Raises:
        Refused: the rules do not allow the swap (`cases.kinds.swap.check`), so nothing was filed; or code
            ``too_often``, the same swap was filed too often.
    """
    await swaps.check(facts, policy, now)
    plain = facts.model_dump(mode="json", exclude_none=True)
    for candidate in [key] if key is not None else _keys(facts):
        try:
            view = await client.file("swap", {"key": candidate, "policy": policy.name, "facts": plain})
        except Refused as refusal:
            # Under a derived key, the content can differ only because the roster has changed.
            if refusal.code != "conflict" or key is not None:
                raise
            continue
        if key is not None or view["status"] != "closed" or view["valid"]:
            return view
    raise Refused("too_often", f"this swap was asked for {MOST_TRIES} times; give a key of your own", CLAUSE)


async def refuse_leave_in_swap(swaps: Swaps, person: str, begins: datetime, ends: datetime) -> None:
    """Refuse leave in [begins, ends) that overlaps a shift which a person gave or took in a valid swap (S1-1.7).

    Raises:
        Refused: code ``swapped_shift``, naming the swap and the shift.
    """
    found = await swaps.overlapping(person, begins, ends)
    if found is not None:
        starts, over = (found[at].astimezone(begins.tzinfo).isoformat() for at in ("starts_at", "ends_at"))
        shift = f"the shift {found['shift']!r} from {starts} to {over}"
        message = f"from = {begins.isoformat()}: {person!r} has swapped {shift}: {found['swap']}"
        raise Refused("swapped_shift", message, CLAUSE)


def _keys(facts: SwapFacts) -> list[str]:
    """List the keys of a swap, one for each time that it may be filed.

    They are derived from a digest, since the ids of the people and the shifts may be longer than a key.
    """
    ids = (facts.initiator.id, facts.counterparty.id, *(shift.id for shift in facts.shifts))
    base = hashlib.sha256("\0".join(ids).encode()).hexdigest()[:16]
    return [f"{base}-{number}" for number in range(1, MOST_TRIES + 1)]
