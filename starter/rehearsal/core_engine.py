"""The engine ``core``: the pure rules in virtual time, thousands of cases in a few seconds."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType

from cases.registry import kind_of
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import Actor, Event
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from starter.rehearsal.engine import Prepared, refused_entry, refused_intake


class CoreEngine:
    """Runs cases in the pure core, without any server."""

    parallel = 1

    async def __aenter__(self) -> CoreEngine:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def run_case(self, case: Prepared) -> list[Event]:
        """Run a case (see `Engine.run_case`)."""
        return run_case(case)


def run_case(prepared: Prepared) -> list[Event]:
    """Run a case and return its events in order, including its refused commands."""
    kind, effects = kind_of(prepared.kind, prepared.policy), prepared.effects
    try:
        case = kind.open(read_intake(kind.INTAKE, prepared.intake), prepared.policy, prepared.received_at)
    except Refused as refusal:
        return [refused_intake(prepared, refusal)]

    def settle(at: datetime) -> None:
        told = (effects.notices, effects.payout, effects.earlier_claims, effects.serial, effects.merge, effects.reply)
        case.rehearse_effects(at, *told)

    settle(case.events[-1].at)
    refused: list[tuple[int, Event]] = []
    for step in prepared.steps:
        # Until just before the step, so that the rung that holds the case then is known.
        case.elapse(step.at, inclusive=False, after_each=settle)
        by = Actor(step.by, step.role or case.ladder.rung, step.person)
        try:
            raw = {**step.fields, "by": by.as_json()}
            case.decide(read_command(kind.COMMANDS, step.command, raw), step.at, settle)
        except Refused as refusal:
            entry = refused_entry(step.command, by, refusal, prepared.policy.local(step.at))
            refused.append((len(case.events), entry))
        settle(step.at)
    if prepared.until is not None:
        case.elapse(prepared.until, after_each=settle)
    entries = list(case.events)
    for position, entry in reversed(refused):
        entries.insert(position, entry)
    return entries
