"""Finding what a case needs, and doing it: see ``caseladder recover`` and docs/operations.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from operator import itemgetter
from typing import Any, Literal

from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.casebook.audit import Audit
from activities.casebook.read import Casebook
from activities.casebook.record import Recorder
from activities.casebook.restored import Restored
from activities.database.database import Database
from activities.messages import Batch
from cases import rules
from cases.policy.model import Policy
from cases.registry import case_types, kind_named, kind_of, numbered_later
from cases.vocabulary.contract import OPENED, RECORD_AGAIN, TASK_QUEUE, UnreadablePayload
from cases.vocabulary.events import EVENTS, Event, fingerprint
from cases.vocabulary.lifecycle import Closed
from cases.vocabulary.refusals import Refused
from starter.recovery.history import Answered, Remembered, recall, unheard
from workflows import attributes, state
from workflows.recording import end_of_call, view_before

Json = dict[str, Any]
# So many cases are looked after at a time; how long a run may take to answer.
AT_A_TIME, PATIENCE = 12, timedelta(seconds=10)
# How long one that was started may take to have its case, on a machine that has much to do.
STARTING = timedelta(seconds=30)
# The engine is asked so often whether it knows more than the ledger, so many seconds apart: a case that has just gone
# on has something to record for a moment.
LOOKS, LOOK_AGAIN = 3, 2.0

# What a run is for: the cases that are named, every open one, those that the engine does not have, those of which it
# knows more than the ledger, those that were started by other rules.
Mode = Literal["named", "all-open", "engine-lost", "from-engine", "other-rules"]
# After these the ledger and the engine agree, if every case could be brought back.
_OF_ALL: Sequence[Mode] = ("all-open", "engine-lost", "from-engine")


@dataclass(frozen=True)
class Outcome:
    """What became of a case, or with a dry run what would.

    Args:
        recorded: how many events the ledger took over from the engine.
        restarted: whether the case was started again from its ledger.
        ended: whether a run was ended of a case that has closed, as the ledger has it.
        lost: answered commands, and signals, that neither the ledger nor a reachable history holds.
        why_not: why the case could not be brought back; empty when it could, or needs nothing.
    """

    case_id: str
    recorded: int = 0
    restarted: bool = False
    ended: bool = False
    lost: list[str] = field(default_factory=list)
    why_not: str = ""


class UnknownEvents(Exception):
    """Raised where a case has events that this build does not know; the message names them."""


# What keeps one case from being brought back, and no other.
_FAULTS = (
    UnknownEvents,
    ApplicationError,
    RPCError,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    Refused,
    UnreadablePayload,
)


class Recovery:
    """Brings cases back.

    Args:
        client: the connection to the engine.
        dry_run: only say what would be done.
        discard: start a case again also where answered commands are lost by it.
    """

    def __init__(self, client: Client, database: Database, *, dry_run: bool = False, discard: bool = False) -> None:
        self._client, self._database, self._dry_run, self._discard = client, database, dry_run, discard
        self._casebook, self._recorder, self._restored = Casebook(database), Recorder(database), Restored(database)
        self._audit = Audit(database)
        # Cases without a number whose runs have ended: they get one when numbers are given again.
        self._unnumbered: set[str] = set()
        # Whether openings and payments waited, and go on now.
        self.went_on = False
        # Whether a run has answered that was started, or none has for as long as one may take.
        self._answered: bool | None = None

    async def run(self, mode: Mode, case_ids: Sequence[str] = ()) -> AsyncIterator[Outcome]:
        """Look after cases, several at a time; yields what became of each.

        Openings and payments wait while the ledger takes over what the engine knows. What is done is left alone when
        it is done again, so a run that was stopped may be repeated.
        """
        if mode == "from-engine" and not self._dry_run:
            await self._restored.begin()
            await self._restored.raise_numbers([number async for number in self._given()])
        wanted = self._named(case_ids) if mode == "named" else self._found(mode)
        failed = False
        async for outcome in self._look_after_all(wanted, mode):
            failed = failed or bool(outcome.why_not)
            if outcome.case_id not in self._unnumbered:
                yield outcome
        if mode in _OF_ALL and not self._dry_run and not failed:
            self.went_on = await self._let_go_on(mode)
        async for outcome in self._look_after_all(self._named(sorted(self._unnumbered)), "named"):
            yield outcome

    async def _look_after_all(self, case_ids: AsyncIterator[str], mode: Mode) -> AsyncIterator[Outcome]:
        under_way: set[asyncio.Task[Outcome]] = set()
        async for case_id in case_ids:
            under_way.add(asyncio.create_task(self._look_after(case_id, mode)))
            if len(under_way) >= AT_A_TIME:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield await task
        for finished in asyncio.as_completed(under_way):
            yield await finished

    async def _let_go_on(self, mode: Mode) -> bool:
        """Let openings and payments go on, if they wait and nothing is left that the ledger could take over."""
        if mode != "from-engine" and (not await self.waits() or await self._is_ahead()):
            return False
        return await self._restored.end()

    async def _is_ahead(self) -> bool:
        """Whether the engine knows of events that the ledger lacks, or may do so."""
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(LOOK_AGAIN)
            found = Recovery(self._client, self._database, dry_run=True).run("from-engine")
            if not [outcome async for outcome in found if outcome.recorded or outcome.why_not]:
                return False
        return True

    async def waits(self) -> bool:
        """Whether openings and payments wait until the casebook is recovered."""
        return await self._restored.since() is not None

    async def clashes(self) -> list[str]:
        """List what was given out twice before the ledger was brought up to date: case numbers, payment references."""
        return await self._restored.clashes()

    async def _given(self) -> AsyncIterator[tuple[str, str]]:
        """Yield the kinds and numbers of all cases that the engine knows."""
        async for found in self._client.list_workflows(f"{of_cases()} AND CaseNumber IS NOT NULL"):
            number = found.typed_search_attributes.get(attributes.KEYWORDS["number"])
            if number is not None:
                yield found.id.partition(":")[0], number

    # --- which cases ------------------------------------------------------------------------------

    async def _named(self, case_ids: Sequence[str]) -> AsyncIterator[str]:
        for case_id in case_ids:
            yield case_id

    async def _found(self, mode: Mode) -> AsyncIterator[str]:
        # A case that was continued as new has several runs there.
        seen: set[str] = set()
        if mode in ("all-open", "engine-lost"):
            after = ""
            while page := await self._restored.open_cases(after):
                for case_id in page:
                    seen.add(case_id)
                    yield case_id
                after = page[-1]
            if mode == "engine-lost":
                return
        query = of_cases()
        if mode == "all-open":
            # An engine of an earlier time may go on with what has closed since.
            query += " AND ExecutionStatus = 'Running'"
        if mode == "other-rules":
            # The engine keeps there by which rules a run was started.
            others = f"(TemporalChangeVersion IS NULL OR TemporalChangeVersion != '{rules.marker()}')"
            query += f" AND ExecutionStatus = 'Running' AND {others}"
        async for found in self._client.list_workflows(query):
            if found.id not in seen:
                seen.add(found.id)
                if mode != "all-open" or await self._has_closed(found.id):
                    yield found.id

    async def _has_closed(self, case_id: str) -> bool:
        view = await self._casebook.case(case_id)
        return view is not None and view["status"] == "closed"

    # --- one case ---------------------------------------------------------------------------------

    async def _look_after(self, case_id: str, mode: Mode) -> Outcome:
        try:
            return await self._bring_back(case_id, mode)
        except _FAULTS as error:
            return Outcome(case_id, why_not=_said(error))

    async def _bring_back(self, case_id: str, mode: Mode) -> Outcome:
        view = await self._casebook.case(case_id)
        events = [] if view is None else await self._casebook.events(case_id)
        known = events[-1]["seq"] if events else 0
        holder = await self._restored.holder(case_id)
        remembered = await recall(self._client, case_id, known)
        if mode == "other-rules" and remembered is not None and not remembered.is_of_other_rules:
            # The engine lists with some delay what it has.
            return Outcome(case_id)
        if view is None and remembered is None:
            return Outcome(case_id, why_not="neither the ledger nor the engine knows it")
        if view is None and remembered is not None and remembered.is_of_other_rules and remembered.filed is not None:
            if not self._dry_run:
                await self._start(case_id, remembered.filed, remembered)
            return Outcome(case_id, restarted=True)
        if mode == "engine-lost" and remembered is not None and remembered.alive:
            return Outcome(case_id)
        waits = remembered is not None and remembered.number is None and not numbered_later(case_id.partition(":")[0])
        if mode == "from-engine" and view is None and remembered is not None and waits:
            # It waits for its number, and records itself once the others have theirs.
            if not remembered.running:
                self._unnumbered.add(case_id)
            return Outcome(case_id)
        recorded, after = 0, known
        parted = None if remembered is None else _parted(events, remembered)
        if remembered is not None and mode != "engine-lost" and parted is None:
            recorded, after = await self._take_over(case_id, known, remembered, holder, ask=mode != "other-rules")
        lost = [] if remembered is None else _lost(remembered, after if parted is None else parted - 1)
        taken_over = remembered.events.values() if remembered is not None and recorded else ()
        closed = any(event["type"] == Closed.TYPE for event in taken_over)
        if view is not None and view["status"] == "closed":
            closed = True
            if remembered is not None and (parted is not None or max(remembered.events, default=known) < known):
                return await self._end(case_id, remembered, lost)
        needed = bool(view is not None or recorded) and not closed and self._needs_start(mode, remembered)
        if parted is not None and not needed:
            why = f"its run and the ledger tell of different events from seq {parted} on: recover {case_id}"
            return Outcome(case_id, lost=lost, why_not=why)
        if needed and lost and not self._discard:
            return Outcome(case_id, recorded, lost=lost, why_not=_look_first(lost))
        if needed:
            _refuse_unknown(await self._casebook.events(case_id) if recorded else events)
            # No run could go on from it: the one that is there stays.
            if (fault := (await self._audit.verify(case_id)).fault) is not None:
                return Outcome(case_id, recorded, lost=lost, why_not=f"{fault}: verify the casebook")
        found = Outcome(case_id, recorded, restarted=needed, lost=lost)
        return await self._replace(found, mode, remembered, after, parted) if needed and not self._dry_run else found

    async def _replace(
        self, found: Outcome, mode: Mode, remembered: Remembered | None, after: int, parted: int | None
    ) -> Outcome:
        """Start a case from its ledger, in place of a run that may be there; see `_bring_back`.

        Args:
            found: what has come of it up to now.
            after: how many events the ledger has.
        """
        case_id, recorded, lost = found.case_id, found.recorded, found.lost
        # What is thrown away is shown, whatever comes of the start.
        try:
            if remembered is not None and remembered.running and mode != "other-rules":
                # What it has answered since it was asked is in the ledger then, or shown.
                holder = await self._restored.holder(case_id)
                remembered = await self._stop(case_id, remembered, after)
                if parted is None:
                    more, after = await self._take_over(case_id, after, remembered, holder, ask=False)
                    recorded += more
                lost = _lost(remembered, after if parted is None else parted - 1)
            await self._start(case_id, {state.FROM_LEDGER: {"head_seq": after}}, remembered)
            # For other rules the new workers start when all of it is done.
            if mode != "other-rules":
                await self._wait_for(case_id)
        except _FAULTS as error:
            return Outcome(case_id, recorded, lost=lost, why_not=_said(error))
        return Outcome(case_id, recorded, restarted=True, lost=lost)

    async def _end(self, case_id: str, remembered: Remembered, lost: list[str]) -> Outcome:
        """End a run that an engine of an earlier time has of a case that has closed since: it would go on for ever."""
        if not remembered.running:
            return Outcome(case_id, lost=lost)
        if lost and not self._discard:
            return Outcome(case_id, lost=lost, why_not=_look_first(lost))
        if not self._dry_run:
            run = self._client.get_workflow_handle(case_id, run_id=remembered.last_run)
            await run.terminate("the case has closed, as the ledger has it")
        return Outcome(case_id, ended=True, lost=lost)

    @staticmethod
    def _needs_start(mode: Mode, remembered: Remembered | None) -> bool:
        return mode != "from-engine" or remembered is None or not remembered.alive

    async def _recorded(self, case_id: str) -> int:
        events = await self._casebook.events(case_id)
        return events[-1]["seq"] if events else 0

    async def _take_over(
        self, case_id: str, known: int, remembered: Remembered, holder: str | None, *, ask: bool
    ) -> tuple[int, int]:
        """Let the ledger have what the engine knows beyond it.

        Args:
            holder: who held the case before the engine was asked.

        Returns:
            How many events it took over, and how many it has then.
        """
        last = max(remembered.events, default=known)
        if self._dry_run:
            return max(last - known, 0), max(last, known)
        holds = (last > known or remembered.alive) and known > 0
        if holds and not await self._restored.claim(case_id, remembered.run, holder):
            raise ApplicationError("it was started again meanwhile, by somebody else: repeat this command")
        # Out of histories first: a run that was started from the ledger does not know the texts of what it has loaded.
        if last > known:
            await self._record(case_id, known, remembered)
        if remembered.alive and ask and await self._ask_again(case_id):
            last = await self._recorded(case_id)
            remembered.unrecorded.clear()
        return max(last - known, 0), max(last, known)

    async def _ask_again(self, case_id: str) -> bool:
        """Have the run itself compare the ledger with what it knows; whether it answered."""
        handle = self._client.get_workflow_handle(case_id)
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                view = await handle.execute_update(RECORD_AGAIN)
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError, RPCError, WorkflowUpdateFailedError):
            # No worker of its rules is there, or it is stuck: then its histories must do.
            return False
        return bool(view["recorded"] == view["events"])

    async def _record(self, case_id: str, known: int, remembered: Remembered) -> None:
        """Record events out of histories, in calls that a payload has room for."""
        policy_document = remembered.policy_document
        # The run may record as well, so that there may be more by now.
        recorded = (await self._casebook.events(case_id))[:known]
        fresh = [remembered.events[seq] for seq in sorted(remembered.events) if seq > known]
        _refuse_unknown([*recorded, *fresh])
        before = [Event.from_json(event) for event in recorded]
        if fresh[0]["seq"] != known + 1:
            left = fresh[0]["seq"]
            raise ApplicationError(f"the histories that are left begin at seq {left}, the ledger ends at {known}")
        if policy_document is None:
            opened = before[0].data if before else fresh[0]["data"]
            policy_document = await self._casebook.policy_document(opened["policy_hash"])
        if policy_document is None:
            raise ApplicationError("the policy that it is pinned to is in no history and not in the ledger")
        kind = case_id.partition(":")[0]
        events = [*before, *(Event.from_json(event) for event in fresh)]
        policy = Policy.from_document(policy_document)
        case = kind_of(kind, policy).replay(policy, events)
        number = remembered.number if case.NUMBERED_AT_OPENING else case.number
        view = {**case.view(), "number": number}
        first = known
        while first < len(events):
            last = end_of_call(events, case.steps, first)
            batch = Batch(
                case_id=case_id,
                kind=kind,
                events=fresh[first - known : last - known],
                view=view_before(view, events[last:]),
                run=remembered.run,
                personal=None if first else remembered.personal,
                policy_document=None if first else policy_document,
                requests=[one for one in remembered.requests.values() if first < one.seq <= last],
                intake=None if first else remembered.intake,
                number=number,
                numbered_later=not case.NUMBERED_AT_OPENING,
                sent=[one for one in remembered.sent.values() if first < one.seq <= last],
            )
            await self._recorder.record(batch)
            first = last

    async def _stop(self, case_id: str, remembered: Remembered, known: int) -> Remembered:
        """End a run that is to be replaced, and return what the engine knows then."""
        try:
            await self._client.get_workflow_handle(case_id).terminate("it goes on from the ledger: caseladder recover")
        except RPCError as error:
            # It may have ended by itself.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return await recall(self._client, case_id, known) or remembered

    async def _start(self, case_id: str, content: Json, remembered: Remembered | None) -> None:
        """Start a case again from its ledger or its intake, in place of a run that may still be there.

        Signals that the run before it never heard, as without a worker of its rules, are sent again.
        """
        kind, _, key = case_id.partition(":")
        known = kind_named(kind)
        if known is None:
            raise ApplicationError(f"this build knows no kind {kind!r}")
        handle = await self._client.start_workflow(
            known.WORKFLOW,
            {"key": key, **content},
            id=case_id,
            task_queue=TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
        )
        for name, arguments in [] if remembered is None else await unheard(self._client, case_id, remembered.last_run):
            await handle.signal(name, args=arguments)

    async def _wait_for(self, case_id: str) -> None:
        """Wait until a run that was started has its case, so that no case is paused for the sake of those behind it.

        Raises:
            WorkflowUpdateFailedError, WorkflowFailureError: it cannot have it, as it said when asked or had ended with.
            ApplicationError: it does not answer, as others do.
        """
        if self._answered is False:
            return
        handle = self._client.get_workflow_handle(case_id)
        try:
            async with asyncio.timeout(STARTING.total_seconds()):
                try:
                    await handle.execute_update(OPENED)
                except RPCError as error:
                    if error.status is not RPCStatusCode.NOT_FOUND:
                        raise
                    # It has ended by now: closed, or without its case.
                    await handle.result()
            self._answered = True
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            if self._answered:
                raise ApplicationError("it was started from the ledger, and does not answer") from None
            # Where none has answered, no worker is there yet, and so none for the other cases.
            self._answered = False


def _refuse_unknown(events: Iterable[Json]) -> None:
    """Refuse events that a later build wrote: this one does not know what they did.

    Raises:
        UnknownEvents: there are some.
    """
    unknown = sorted({event["type"] for event in events} - EVENTS.keys())
    if unknown:
        raise UnknownEvents(f"this build does not know the events {', '.join(unknown)}: a later one has written them")


def _look_first(lost: Sequence[str]) -> str:
    return f"{len(lost)} answered commands are in no ledger; look at them, then give --discard"


def of_cases() -> str:
    """Return the visibility query for the workflows of cases."""
    types = ", ".join(f"'{kind.WORKFLOW}'" for kind in case_types())
    return f"WorkflowType IN ({types})"


def _parted(recorded: Sequence[Json], remembered: Remembered) -> int | None:
    """Return the first seq of which a run and the ledger tell different things; None while they agree.

    A run of an engine that was restored to an earlier time goes on otherwise than the ledger has it.
    """
    for event in recorded:
        other = remembered.events.get(event["seq"])
        # Without the model nobody knows which of its fields are texts, which a run may lack.
        if other is not None and event["type"] in EVENTS and fingerprint(other) != fingerprint(event):
            return int(event["seq"])
    return None


def _lost(remembered: Remembered, recorded: int) -> list[str]:
    """List the answered commands and the signals whose events the ledger has not got."""
    answered: list[Answered] = [one for one in remembered.answered if one.events > recorded]
    signals = {*remembered.unrecorded}
    if answered:
        signals.update((name, at) for name, at in remembered.signals if at > answered[0].at)
    came = [
        f"signal {name}, come {at.isoformat(timespec='seconds')}" for name, at in sorted(signals, key=itemgetter(1))
    ]
    return [*map(str, answered), *came]


def _said(error: Exception) -> str:
    """Return what an error says, for the operator."""
    cause = error.cause if isinstance(error, (WorkflowFailureError, WorkflowUpdateFailedError)) else error
    return getattr(cause, "message", None) or str(cause)
