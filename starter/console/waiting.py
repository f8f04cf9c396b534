"""What is next in a case and for whom, in sentences: the deadline that falls due first, and who is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cases.case import Case
from cases.mechanisms.clocks import Clock, ClockState
from starter.console.formatting import Formatter
from starter.console.translations import PageTranslations


@dataclass(frozen=True)
class Next:
    """What is next.

    Args:
        said: what falls due, as a sentence; empty where nothing does.
        due: when; None where nothing is due, or nobody knows when.
        waits: who is waited for and for what, a sentence each.
    """

    said: str
    due: datetime | None
    waits: tuple[str, ...]


def next_in(case: Case, words: PageTranslations, formatter: Formatter, me: str) -> Next:
    """Return what is next in a case as of its last event.

    Args:
        formatter: names the people that the reader may know by name.
        me: the id of the reader.
    """
    if case.status == "closed":
        return Next(words.say("next.closed", outcome=words.word("outcome", case.outcome)), None, ())
    running = [clock for clock in case.clocks.values() if clock.state is ClockState.RUNNING]
    clock = min(running, key=lambda one: one.due, default=None)
    if clock is not None:
        said, due = words.say("next.clock", clock=words.word("clock", clock.name)), clock.due
    elif paused := [clock for clock in case.clocks.values() if clock.live]:
        said, due = words.say("next.paused", reason=words.reason(paused[0].pauses[-1].reason)), None
    else:
        due = case.due()
        said = words.say("next.by_itself") if due is not None else words.say("next.nothing")
    return Next(said, due, tuple(dict.fromkeys(_waits(case, clock, words, formatter, me))))


def _waits(case: Case, clock: Clock | None, words: PageTranslations, formatter: Formatter, me: str) -> Iterator[str]:
    for approval in case.approvals.open():
        yield words.say(
            "next.approval",
            subject=words.word("subject", approval.subject),
            amount="" if approval.amount is None else f" {formatter.yuan(f'{approval.amount:.2f}')}",
            role=words.words("role", (approval.role, *approval.also)),
        )
    if case.status == "resolved":
        yield words.say("next.resolved")
        return
    others = case.waits_for()
    roles = [one.role for one in others if one.role is not None]
    people = [formatter.person(one.person) for one in others if one.person is not None]
    if roles or people:
        yield words.say(
            "next.others", who=words.join(dict.fromkeys([*people, *(words.word("role", one) for one in roles)]))
        )
    elif case.CLIMBS:
        ladder = case.ladder
        if not ladder.acknowledged:
            yield words.say("next.untaken", role=words.word("role", ladder.rung))
        elif ladder.holder == me:
            yield words.say("next.yours")
        else:
            yield words.say("next.held", who=formatter.staff({"id": ladder.holder, "role": ladder.rung}))
