"""Shift swaps from outside: ask for one (S1-1.7). Agreeing, signing and refusing are commands of the case."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from activities.people.handover import Swaps
from cases.directory import Directory, Shift
from cases.kinds.swap import CLAUSE, SwapFacts
from cases.policy.model import Policy
from cases.vocabulary.refusals import Refused
from starter.client import CaseClient

# How often the same swap may be asked for anew, after it was refused or lapsed.
MOST_TRIES = 20


def facts_of(
    directory: Directory, policy: Policy, initiator: str, counterparty: str, given: str, returned: str | None
) -> SwapFacts:
    """The facts of a swap between two of the staff, by the roster; times in the policy's zone.

    Raises:
        Refused: codes ``unknown_person`` and ``unknown_shift``.
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


async def ask(
    client: CaseClient, swaps: Swaps, facts: SwapFacts, policy: Policy, now: datetime, key: str | None = None
) -> dict[str, Any]:
    """Look at a swap and file it. The same asked for again is the same case, as long as it is not over.

    Args:
        policy: the one that the case is pinned to.
        key: the caller's own; without it one is made of the people and the shifts.

    Returns:
        The case view.

    Raises:
        Refused: the rules do not allow it (`cases.kinds.swap.check`), and nothing was filed.
    """
    await swaps.check(facts, policy, now)
    plain = facts.model_dump(mode="json", exclude_none=True)
    for tried in [key] if key is not None else _keys(facts):
        try:
            view = await client.file("swap", {"key": tried, "policy": policy.name, "facts": plain})
        except Refused as refusal:
            # Under a key that was made the content differs only where the roster has changed since.
            if refusal.code != "conflict" or key is not None:
                raise
            continue
        if key is not None or view["status"] != "closed" or view["valid"]:
            return view
    raise Refused("too_often", f"this swap was asked for {MOST_TRIES} times; give a key of your own", CLAUSE)


def _keys(facts: SwapFacts) -> list[str]:
    """Keys of the people and the shifts; their ids may be longer than a key, so a digest stands for them."""
    ids = (facts.initiator.id, facts.counterparty.id, *(shift.id for shift in facts.shifts))
    base = hashlib.sha256("\0".join(ids).encode()).hexdigest()[:16]
    return [f"{base}-{number}" for number in range(1, MOST_TRIES + 1)]
