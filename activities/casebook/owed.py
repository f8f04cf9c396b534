"""What a recorded case has asked for outside: nothing is done in its name that its record does not ask for."""

from __future__ import annotations

from activities.casebook.read import Casebook
from cases.policy.model import Policy
from cases.registry import kind_of
from cases.vocabulary.effects import Effect
from cases.vocabulary.events import Event


async def owed_by(casebook: Casebook, case_id: str) -> tuple[Effect, ...]:
    """Return what is owed by the record of a case; nothing where there is none.

    Raises:
        DatabaseAway: see `Database.connection`.
    """
    view = await casebook.case(case_id)
    document = None if view is None else await casebook.policy_document(view["policy_hash"])
    if view is None or document is None:
        return ()
    events = map(Event.from_json, await casebook.events(case_id))
    policy = Policy.from_document(document)
    return kind_of(view["kind"], policy).replay(policy, events).owed()
