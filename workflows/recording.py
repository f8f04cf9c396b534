"""Recording the events of a case in the ledger, in order, for as long as its run holds the case."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from activities.messages import RECORD, Batch, Recorded, Request, Sent
from cases.case import Case
from cases.vocabulary.events import Event, canonical, lacks_text
from cases.vocabulary.facts import Intake
from cases.vocabulary.lifecycle import Closed
from workflows.state import Seen

BACK_OFF = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
# At most so much goes to the casebook in one call, unless a single step is larger: events, and bytes of their JSON.
MOST_EVENTS, MOST_BYTES = 200, 300_000
# With so many bytes of events waiting for a casebook that is away, the case takes no commands.
MOST_WAITING = 500_000


@dataclass
class Known:
    """What a run knows of its case beside the case itself, and takes along.

    Args:
        intake: what the case was filed with; None where the run was started from the ledger.
        recorded: how many events the ledger has.
        number: the case number as the casebook has it, once there is one.
        seen: the request ids that were decided.
        sent: what senders proved, oldest first; not of before this run was started from the ledger.
    """

    intake: Intake | None
    recorded: int = 0
    number: str | None = None
    seen: dict[str, Seen] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)


class Recording:
    """The recording of one case.

    Args:
        view: returns the case view as the ledger keeps it.
        spoke: is called before a command is given to the engine.
        told: is called when the view has changed by what was recorded.
        now: the instant on the case's clock.
    """

    def __init__(
        self,
        case: Case,
        known: Known,
        view: Callable[[], dict[str, Any]],
        spoke: Callable[[], None],
        told: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._case, self.known = case, known
        self._view, self._spoke, self._told, self._now = view, spoke, told, now
        # What keeps the ledger from taking events, for people to see.
        self.trouble: str | None = None
        # Whether another run records for this case, so that this one has no say any more.
        self.superseded = False
        # Whether something was recorded that the loop has not seen yet.
        self.news = False
        self.under_way = False
        self._again = False
        self._sized, self._waiting = known.recorded, 0

    @property
    def complete(self) -> bool:
        """Whether the ledger has every event."""
        return self.known.recorded == len(self._case.events)

    @property
    def waiting(self) -> int:
        """How many bytes of events wait for the casebook."""
        events = self._case.events
        self._waiting += sum(map(bytes_of, events[self._sized :]))
        self._sized = len(events)
        return self._waiting

    def again(self) -> None:
        """Record everything once more: what the ledger has already is compared, what it lacks is appended."""
        self.trouble = None
        if self.under_way:
            self._again = True
        else:
            self.known.recorded = 0

    async def keep_recording(self) -> None:
        """Record events in order, whole steps that wait in one call, for as long as the case runs."""
        case, known = self._case, self.known
        self._renumber()
        while not self.superseded:
            # Not waited for when it is so already: what the opening brings is on its way before a
            # command is heard that came with it, as it is in a replay.
            if self.complete:
                await workflow.wait_condition(lambda: not self.complete)
            proofs = {one.seq: len(one.body) for one in known.sent if one.seq > known.recorded}
            first, last = known.recorded, end_of_call(case.events, case.steps, known.recorded, proofs)
            begins = known.intake if first == 0 else None
            batch = Batch(
                case_id=workflow.info().workflow_id,
                kind=case.KIND,
                events=[event.as_json() for event in case.events[first:last]],
                view=view_before(self._view(), case.events[last:]),
                run=workflow.info().first_execution_run_id,
                personal=begins.personal() if begins else None,
                policy_document=case.policy.document if first == 0 else None,
                requests=[
                    Request(seen.seq, id, seen.digest)
                    for id, seen in known.seen.items()
                    if seen.seq is not None and not seen.salt and first < seen.seq <= last
                ],
                intake=begins.digest() if begins else None,
                number=number_of(case, known),
                numbered_later=not case.NUMBERED_AT_OPENING,
                sent=[one for one in known.sent if first < one.seq <= last],
            )
            self._told()
            self.under_way = True
            recorded = await self._record(batch)
            self.under_way, self.news = False, True
            if recorded is not None:
                known.number, known.recorded = recorded.number, last
                self._renumber()
            if recorded is None or self._again:
                self._again, known.recorded = False, 0
            self._sized, self._waiting = known.recorded, 0
            self._told()

    def _renumber(self) -> None:
        """Let the case ask for another number, where another case has its own since an older casebook was restored."""
        case, known = self._case, self.known
        says = not case.NUMBERED_AT_OPENING and self.complete and case.number is not None
        if says and case.number != known.number:
            case.number_taken(self._now())

    def _lacks(self, end: int) -> bool:
        """Whether this run lacks something that a ledger which ends there lacks too.

        Started from the ledger, it knows neither the texts nor the intake of before. Histories may have
        them, so it waits for ``caseladder recover`` instead of recording events without them for good.
        """
        if end == 0 and self.known.intake is None:
            return True
        return any(lacks_text(event.as_json()) for event in self._case.events[end:])

    async def _record(self, batch: Batch) -> Recorded | None:
        """Record a batch, however long the casebook is away; None when all must be recorded anew, or nothing any more.

        What it refuses for good is tried again every hour and shown meanwhile: the ladder goes on, and
        the events are kept here.
        """
        while True:
            self._spoke()
            try:
                recorded: Recorded = await workflow.execute_activity(
                    RECORD,
                    batch,
                    result_type=Recorded,
                    start_to_close_timeout=timedelta(seconds=20),
                    retry_policy=BACK_OFF,
                )
            except ActivityError as error:
                if superseded(error):
                    self.superseded = True
                    return None
                # Where the casebook was restored to an earlier time.
                end = _behind(error)
                if end is not None and not self._lacks(end):
                    return None
                self.trouble = str(error.cause or error)
                workflow.logger.error("the ledger refused events", extra={"reason": self.trouble})
                with suppress(asyncio.TimeoutError):
                    await workflow.wait_condition(
                        lambda: self._again,
                        timeout=timedelta(hours=1),
                        timeout_summary="until the ledger is tried again",
                    )
                if self._again:
                    return None
            else:
                self.trouble = None
                return recorded


def number_of(case: Case, known: Known) -> str | None:
    """Return the number of a case: the casebook gives it at opening, or an event says it later (S1-5.9.3)."""
    return known.number if case.NUMBERED_AT_OPENING else case.number


def end_of_call(
    events: Sequence[Event], steps: Iterable[int], first: int, proofs: Mapping[int, int] | None = None
) -> int:
    """Return until where events go to the casebook in one call: as many whole steps as fit, at least one.

    Args:
        steps: after how many events each step was complete.
        first: how many events are recorded.
        proofs: how many bytes go along with steps, by their last event.
    """
    end, size, beside = first, 0, proofs or {}
    for step in [*(step for step in steps if step > first), len(events)]:
        size += sum(map(bytes_of, events[end:step])) + beside.get(step, 0)
        if end > first and (size > MOST_BYTES or step - first > MOST_EVENTS):
            break
        end = step
    return end


def view_before(view: dict[str, Any], later: Iterable[Event]) -> dict[str, Any]:
    """Return a case view for a call that does not hold these later events.

    As long as the ledger lacks the end of a case, the case is open there: else nobody would look for it.
    """
    if any(event.type == Closed.TYPE for event in later):
        return {**view, "status": "open", "outcome": None, "closed_at": None}
    return view


def bytes_of(event: Event) -> int:
    """Return how many bytes of JSON an event is."""
    return len(canonical(event.as_json()).encode())


def _behind(error: ActivityError) -> int | None:
    """Return where the ledger ends, if an activity found it to end too early."""
    if isinstance(error.cause, ApplicationError) and error.cause.type == "LedgerBehind":
        return int(error.cause.details[0])
    return None


def superseded(error: ActivityError) -> bool:
    """Whether an activity did nothing because another run holds the case."""
    return isinstance(error.cause, ApplicationError) and error.cause.type == "Superseded"
