"""The durable shell around a case: it receives commands, sleeps until the case is due, has effects done.

Handlers change the case synchronously. `run_case` lets time pass; recording and telling go on
beside the clock in tasks of their own, so that no outage outside stops a ladder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, NoReturn, Self

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    TimeoutError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.messages import LOAD_POLICY, NOTIFY, RECORD, Batch, NoticeBatch, NoticeOrder, NoticeResult, Recorded
    from cases.case import Case
    from cases.commands import Command, read_command
    from cases.events import SYSTEM, Actor, EventType
    from cases.facts import Intake
    from cases.policy import Policy
    from cases.refusals import Refused
    from cases.timeline import Notice
    from workflows import attributes, details, state

# Fire-and-forget doors; everything else is asked by update (design contract "Commands").
SIGNALS = frozenset({"approve", "reject", "escalate", "acknowledge"})
# Answers to repeated request ids are kept for this many requests of a case.
REMEMBERED = 500
# Histories beyond this many events replay slowly; the next run starts with a short one.
LONG_HISTORY = 2000
# A local activity holds up the workflow task, so it gets one short attempt.
BRIEFLY = timedelta(seconds=2)
# How long a notice is tried before it counts as failed.
GIVE_UP = timedelta(hours=24)
BACK_OFF = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
# Stands for the argument that a workflow was started without.
NO_INPUT = RawValue(Payload())


class Shell:
    """One case as one workflow. Subclasses name the kind."""

    CASE: ClassVar[type[Case]]

    def __new__(cls, raw: RawValue = NO_INPUT, *more: Any) -> Self:
        """Turn away a start with more than one argument: the SDK hands over as many as were sent."""
        if more:
            _fail(Refused("invalid", f"intake: takes one JSON object, got {len(more) + 1} arguments"))
        return super().__new__(cls)

    @workflow.init
    def __init__(self, raw: RawValue = NO_INPUT) -> None:
        """Read the input; a handler may run before `run_case` does.

        It is taken undecoded: what the SDK cannot decode fails the workflow task again and again,
        while a refusal fails the workflow, so that its sender hears of it.
        """
        self._case: Case | None = None
        self._intake: Intake | None = None
        self._rehearsal: state.Rehearsal | None = None
        self._problem: Refused | None = None
        self._seen: dict[str, state.Seen] = {}
        self._recorded = 0
        self._number: str | None = None
        # What keeps the ledger from taking events, for people to see.
        self._trouble: str | None = None
        self._sending: dict[int, tuple[list[Notice], asyncio.Task[None]]] = {}
        self._batches = 0
        self._slow: set[str] = set()
        self._shown: dict[str, Any] = {}
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: datetime | None = None
        self._rang = False
        try:
            content = _read_json("intake", () if raw is NO_INPUT else (raw,))
            info = workflow.info()
            self._intake, self._rehearsal, carried = state.read_start(
                self.CASE, info.workflow_id, content, continued=info.continued_run_id is not None
            )
            if carried is not None:
                self._restore(carried)
        except Refused as refusal:
            self._problem = refusal

    def _restore(self, raw: Any) -> None:
        self._case, carried = state.restore(self.CASE, raw)
        self._seen, self._recorded, self._number = dict(carried.seen), carried.recorded, carried.number
        self._case.outbox = [
            Notice(one.name, one.roles, self._case.events[one.seq - 1], one.clause) for one in carried.pending
        ]

    # --- doors ------------------------------------------------------------------------------------

    @workflow.update(dynamic=True, description="A command of the case, with one JSON object")
    async def command(self, name: str, args: Sequence[RawValue]) -> dict[str, Any]:
        """Do what is asked and answer with the case view, or fail with ``Refused``."""
        try:
            command = self._read(name, args)
            case = await self._opened()
            self._apply(case, command)
            return self._view(case)
        except Refused as refusal:
            _fail(refusal)

    @command.validator
    def check_command(self, name: str, args: Sequence[RawValue]) -> None:
        """Turn away what is badly formed before anything is written."""
        try:
            self._read(name, args)
        except Refused as refusal:
            _fail(refusal)

    @workflow.signal(dynamic=True, description="approve, reject, escalate or acknowledge, without an answer")
    async def signalled(self, name: str, args: Sequence[RawValue]) -> None:
        """Do what is asked; a refusal is recorded, since the sender does not hear it."""
        try:
            case = await self._opened()
        except Refused:
            workflow.logger.warning("a signal came for an intake that was refused")
            return
        by = SYSTEM
        try:
            if name not in SIGNALS:
                raise Refused("unknown_command", f"signal = {name!r}: allowed: {', '.join(sorted(SIGNALS))}")
            command = self._read(name, args)
            by = command.by.actor()
            self._apply(case, command)
        except Refused as refusal:
            known = name if name in self.CASE.COMMANDS else "unknown"
            self._refused(case, known, by, refusal)

    @workflow.query(name="case", description="The case as it stands")
    def case_view(self) -> dict[str, Any]:
        """The case view (design contract "Queries")."""
        if self._case is None:
            waiting = {"id": workflow.info().workflow_id, "status": "opening"}
            refusal = self._problem
            return waiting if refusal is None else {**waiting, "status": "refused", "refusal": refusal.as_json()}
        return self._view(self._case)

    @workflow.query(description="All events of the case")
    def timeline(self) -> list[dict[str, Any]]:
        """All events, oldest first."""
        return [event.as_json() for event in self._case.events] if self._case else []

    @workflow.query(description="Why each clock is due when it is")
    def explain(self) -> list[dict[str, Any]]:
        """The clocks with start, limit, pauses, days off and clause."""
        return self._case.explain(self._now()) if self._case else []

    def _read(self, name: str, args: Sequence[RawValue]) -> Command:
        command = read_command(self.CASE.COMMANDS, name, _read_json(name, args))
        if command.at is not None and self._rehearsal is None:
            raise Refused("invalid", f"{name}: at is taken only by a rehearsed case")
        return command

    async def _opened(self) -> Case:
        """The case, once it is open.

        Raises:
            Refused: it never will be.
        """
        if self._case is None and self._problem is None:
            await workflow.wait_condition(lambda: self._case is not None or self._problem is not None)
        if self._case is None:
            raise self._problem or Refused("invalid", "the case could not be opened")
        return self._case

    # --- deciding ---------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return workflow.now() + self._rehearsal.offset if self._rehearsal else workflow.now()

    def _settle(self, at: datetime) -> None:
        """In a rehearsal effects come out at the instant at which they were asked for."""
        if self._rehearsal is not None and self._case is not None:
            self._case.rehearse_effects(at, self._rehearsal.notices)

    def _apply(self, case: Case, command: Command) -> None:
        """Decide a command once; a repeated request id is answered again, not applied again.

        Raises:
            Refused: now, or when the same request was first decided.
        """
        digest = command.digest()
        seen = self._seen.get(command.request_id) if command.request_id else None
        if seen is not None:
            if seen.digest != digest:
                message = f"request_id = {command.request_id!r} was used with other content"
                raise Refused("request_id_reused", message)
            if seen.refusal is not None:
                raise Refused(**seen.refusal)
            return
        refused: Refused | None = None
        at = self._now() if command.at is None else command.at
        try:
            case.decide(command, at, self._settle)
        except Refused as refusal:
            refused = refusal
        self._settle(case.policy.local(at))
        if command.request_id:
            self._seen[command.request_id] = state.Seen(digest=digest, refusal=refused.as_json() if refused else None)
            if len(self._seen) > REMEMBERED:
                del self._seen[next(iter(self._seen))]
        if refused is not None:
            raise refused

    def _refused(self, case: Case, name: str, by: Actor, refusal: Refused) -> None:
        case.refused(name, by, refusal, self._now())

    def _view(self, case: Case) -> dict[str, Any]:
        view = {**case.view(), "number": self._number, "intake_digest": self._intake.digest() if self._intake else ""}
        if self._trouble:
            view["trouble"] = self._trouble
        return view

    # --- running ----------------------------------------------------------------------------------

    async def run_case(self) -> dict[str, Any]:
        """Open the case, let time pass until it is closed and all is recorded and told."""
        await self._open()
        if self._problem is not None:
            await workflow.wait_condition(workflow.all_handlers_finished)
            _fail(self._problem)
        case = await self._opened()
        recorder = asyncio.create_task(self._keep_recording(case))
        while not self._finished(case):
            rang, self._rang = self._rang, False
            self._elapse(case, rang)
            self._send_waiting(case)
            self._arm(case)
            self._show(case)
            if self._long() and workflow.all_handlers_finished():
                # What is under way is not cancelled: a cancellation in the task that ends the run
                # would hang it, and the next run does all of it again.
                self._continue_as_new(case)
            await workflow.wait_condition(lambda: self._has_work(case))
        await workflow.wait_condition(workflow.all_handlers_finished)
        recorder.cancel()
        return self._view(case)

    async def _open(self) -> None:
        """Pin the policy and open the case, unless an earlier run did."""
        if self._case is not None or self._intake is None:
            return
        try:
            document = await self._policy_document(self._intake.policy)
            policy = Policy.from_document(document)
            case = self.CASE.open(self._intake, policy, self._now())
        except Refused as refusal:
            self._problem = refusal
            return
        self._case = case
        if case.opened_at is not None:
            self._settle(case.opened_at)

    async def _policy_document(self, name: str) -> str:
        if self._rehearsal is not None:
            return self._rehearsal.policy_document
        try:
            document: str = await workflow.execute_local_activity(
                LOAD_POLICY, name, result_type=str, start_to_close_timeout=timedelta(seconds=10), retry_policy=BACK_OFF
            )
            return document
        except FailureError as error:
            # The failure of a local activity may come bare, without an ActivityError around it.
            cause = error.cause if isinstance(error, ActivityError) else error
            if isinstance(cause, ApplicationError) and cause.type == "Refused":
                raise Refused(cause.details[0]["code"], cause.message, cause.details[0]["clause"]) from None
            raise

    def _elapse(self, case: Case, rang: bool) -> None:
        now = self._now()
        for event in case.elapse(now, after_each=self._settle):
            if rang and event.type in (EventType.CLOCK_BREACHED, EventType.CLOCK_WARNED, EventType.REMINDED):
                self._lateness(event.data.get("clock", "reminder"), now - event.at)

    def _lateness(self, clock: str, late: timedelta) -> None:
        meter = workflow.metric_meter().with_additional_attributes({"clock": clock.partition(":")[0]})
        histogram = meter.create_histogram_timedelta(
            "caseladder_timer_lateness", "How late a timer of a case was acted on", "duration"
        )
        histogram.record(late)

    def _has_work(self, case: Case) -> bool:
        due = case.due()
        nearer = due is not None and (self._alarm_at is None or due < self._alarm_at)
        return self._rang or nearer or bool(case.outbox) or self._finished(case) or self._long()

    def _finished(self, case: Case) -> bool:
        recorded = self._recorded == len(case.events) or self._rehearsal is not None
        return case.status == "closed" and recorded and not case.outbox and not self._sending

    def _arm(self, case: Case) -> None:
        """Wake up no later than the case is due. A timer that rings early costs less history than
        one that is cancelled and set again at every command."""
        due = case.due()
        if due is None or (self._alarm_at is not None and self._alarm_at <= due):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = asyncio.create_task(self._ring(max(due - self._now(), timedelta(milliseconds=1))))

    async def _ring(self, wait: timedelta) -> None:
        await workflow.sleep(wait, summary="until the case is due")
        self._alarm_at, self._alarm, self._rang = None, None, True

    def _show(self, case: Case) -> None:
        workflow.set_current_details(details.markdown(self._view(case)))

    # --- continuing as new ------------------------------------------------------------------------

    def _long(self) -> bool:
        info = workflow.info()
        limit = (self._rehearsal and self._rehearsal.continue_after) or LONG_HISTORY
        return info.is_continue_as_new_suggested() or info.get_current_history_length() > limit

    def _continue_as_new(self, case: Case) -> NoReturn:
        under_way = [notice for notices, _ in self._sending.values() for notice in notices]
        carried = state.Carried(
            policy_document=case.policy.document,
            events=state.pack(case.events),
            recorded=self._recorded,
            number=self._number,
            seen=self._seen,
            pending=tuple(state.pending(notice) for notice in (*under_way, *case.outbox)),
        )
        workflow.continue_as_new({**self._raw_input(), state.CARRIED: carried.model_dump(mode="json")})

    def _raw_input(self) -> dict[str, Any]:
        if self._intake is None:
            raise ApplicationError("a case without an intake does not continue", non_retryable=True)
        raw = self._intake.model_dump(mode="json", exclude_none=True)
        if self._rehearsal is not None:
            raw["rehearsal"] = self._rehearsal.model_dump(mode="json", exclude_none=True)
        return raw

    # --- effects ----------------------------------------------------------------------------------

    async def _keep_recording(self, case: Case) -> None:
        """Record events in order, all that wait in one call, for as long as the case runs."""
        if self._rehearsal is not None or self._intake is None:
            return
        while True:
            await workflow.wait_condition(lambda: self._recorded < len(case.events))
            first, last = self._recorded, len(case.events)
            batch = Batch(
                case_id=workflow.info().workflow_id,
                kind=case.KIND,
                events=[event.as_json() for event in case.events[first:last]],
                view=self._view(case),
                personal=self._intake.personal() if first == 0 else None,
                policy_document=case.policy.document if first == 0 else None,
            )
            recorded = await self._briefly(RECORD, batch, Recorded)
            if recorded is None:
                self._tell_attributes(case)
                recorded = await self._record_patiently(batch)
            self._recorded, self._number = last, recorded.number
            self._tell_attributes(case)

    async def _record_patiently(self, batch: Batch) -> Recorded:
        """Record however long the casebook is away. What it refuses for good is tried again every
        hour and shown meanwhile: the ladder goes on, and the events are kept here."""
        while True:
            try:
                recorded: Recorded = await workflow.execute_activity(
                    RECORD,
                    batch,
                    result_type=Recorded,
                    start_to_close_timeout=timedelta(seconds=30),
                    retry_policy=BACK_OFF,
                    summary="the casebook was away",
                )
            except ActivityError as error:
                self._trouble = str(error.cause or error)
                workflow.logger.error("the ledger refused events", extra={"reason": self._trouble})
                await workflow.sleep(timedelta(hours=1), summary="until the ledger is tried again")
            else:
                self._trouble = None
                self._slow.discard(RECORD)
                return recorded

    def _tell_attributes(self, case: Case) -> None:
        view = self._view(case)
        changes = attributes.updates(view, self._shown)
        self._shown = view
        if changes:
            workflow.upsert_search_attributes(changes)
        self._show(case)

    def _send_waiting(self, case: Case) -> None:
        """Send what waits as one batch beside the clock; each batch has a task of its own."""
        if not case.outbox:
            return
        notices, case.outbox = case.outbox, []
        self._batches += 1
        number = self._batches
        self._sending[number] = (notices, asyncio.create_task(self._send(case, number, notices)))

    async def _send(self, case: Case, number: int, notices: list[Notice]) -> None:
        case_id = workflow.info().workflow_id
        orders = [
            NoticeOrder(f"{case_id}/{n.event.seq}/{n.name}", n.name, list(n.roles), n.clause, n.event.as_json())
            for n in notices
        ]
        batch = NoticeBatch(case_id, self._view(case), orders)
        try:
            results: list[NoticeResult] | None = await self._briefly(NOTIFY, batch, list[NoticeResult])
            if results is None:
                results = await workflow.execute_activity(
                    NOTIFY,
                    batch,
                    result_type=list[NoticeResult],
                    schedule_to_close_timeout=GIVE_UP,
                    start_to_close_timeout=timedelta(minutes=2),
                    heartbeat_timeout=timedelta(minutes=1),
                    retry_policy=BACK_OFF,
                    summary="a channel was away",
                )
                self._slow.discard(NOTIFY)
        except ActivityError as error:
            results = _given_up(error, orders)
        del self._sending[number]
        for notice, result in zip(notices, results, strict=True):
            case.told(notice, result.outcome, result.channel, self._now(), result.reasons)

    async def _briefly(self, name: str, batch: Any, result: Any) -> Any:
        """One short attempt inside the workflow task; None when it failed and must be done patiently."""
        if name in self._slow:
            return None
        try:
            return await workflow.execute_local_activity(
                name,
                batch,
                result_type=result,
                schedule_to_close_timeout=BRIEFLY,
                start_to_close_timeout=BRIEFLY,
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except FailureError as error:
            # Not only ActivityError: the failure of a local activity may come bare.
            if is_cancelled_exception(error):
                raise
            # Until the outside answers again, the patient way is the only one.
            self._slow.add(name)
            return None


def _given_up(error: ActivityError, orders: Sequence[NoticeOrder]) -> list[NoticeResult]:
    """What came of notices that could not all be delivered: the last attempt says which were."""
    cause = error.cause
    if isinstance(cause, TimeoutError) and isinstance(cause.cause, ApplicationError):
        cause = cause.cause
    if isinstance(cause, ApplicationError) and cause.type == "NoticeDelayed" and cause.details:
        return [NoticeResult(**result) for result in cause.details[0]]
    reasons = {"*": str(cause or error)}
    return [NoticeResult(order.id, order.name, order.roles, "failed", reasons=reasons) for order in orders]


def _read_json(what: str, args: Sequence[RawValue]) -> Any:
    """The one JSON value that was sent.

    Raises:
        Refused: there is none or more than one, or it is not JSON.
    """
    if len(args) != 1:
        raise Refused("invalid", f"{what}: takes one JSON object, got {len(args)} arguments")
    try:
        return workflow.payload_converter().from_payload(args[0].payload)
    except Exception:
        # Whatever a sender's payload does to the converter is the sender's error; any other
        # exception here would fail the workflow task and wedge the case.
        raise Refused("invalid", f"{what}: the argument is not JSON") from None


def _fail(refusal: Refused) -> NoReturn:
    details = {"code": refusal.code, "clause": refusal.clause}
    raise ApplicationError(refusal.message, details, type="Refused", non_retryable=True) from None
