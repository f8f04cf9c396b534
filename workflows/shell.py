"""The durable shell around a case: it receives commands, sleeps until the case is due, has effects done.

Handlers change the case synchronously. `run_case` lets time pass; effects go on beside the clock
(`workflows.effects`), so that no outage outside stops a ladder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, NoReturn, Self

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.messages import LOAD_POLICY
    from activities.refusals import failure
    from cases.case import Case
    from cases.policy.model import Policy
    from cases.vocabulary.commands import Command, read_command
    from cases.vocabulary.contract import OPENED, refusal_of
    from cases.vocabulary.events import SYSTEM
    from cases.vocabulary.facts import Intake
    from cases.vocabulary.refusals import Refused
    from workflows import state
    from workflows.effects import BACK_OFF, Outside

# Commands that are signals too, without an answer; everything else is an update (design contract "Commands").
SIGNALS = frozenset({"approve", "reject", "escalate", "acknowledge"})
# Answers to repeated request ids are kept for this many requests of a case.
REMEMBERED = 500
# Histories beyond this many events replay slowly; the next run starts with a short one.
LONG_HISTORY = 2000
# Stands for the argument that a workflow was started without.
NO_INPUT = RawValue(Payload())


class Shell:
    """One case as one workflow. Subclasses name the kind."""

    CASE: ClassVar[type[Case]]

    def __new__(cls, raw: RawValue = NO_INPUT, *more: Any) -> Self:
        """Turn away a start with more than one argument: the SDK hands over as many as were sent."""
        if more:
            fail(Refused("invalid", f"intake: takes one JSON object, got {len(more) + 1} arguments"))
        return super().__new__(cls)

    @workflow.init
    def __init__(self, raw: RawValue = NO_INPUT) -> None:
        """Read the input; a handler may run before `run_case` does.

        It is taken undecoded: what the SDK cannot decode fails the workflow task again and again,
        while a refusal fails the workflow, so that its sender hears of it.
        """
        self._intake: Intake | None = None
        self._rehearsal: state.Rehearsal | None = None
        self._problem: Refused | None = None
        self._seen: dict[str, state.Seen] = {}
        self._outside: Outside | None = None
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
                self._restore(carried, self._intake)
        except Refused as refusal:
            self._problem = refusal

    def _restore(self, raw: Any, intake: Intake) -> None:
        case, carried = state.restore(self.CASE, raw)
        self._seen = dict(carried.seen)
        self._take(case, intake, recorded=carried.recorded, number=carried.number)

    def _take(self, case: Case, intake: Intake, *, recorded: int = 0, number: str | None = None) -> None:
        rehearsed = self._rehearsal is not None
        self._outside = Outside(case, intake, self._now, rehearsed, recorded=recorded, number=number)

    # --- updates, signals, queries ----------------------------------------------------------------

    @workflow.update(dynamic=True, description="A command of the case, with one JSON object")
    async def command(self, name: str, args: Sequence[RawValue]) -> dict[str, Any]:
        """Do what is asked and answer with the case view, or fail with ``Refused``."""
        try:
            if name == OPENED:
                outside = await self._opened()
                outside.spoke()
                return outside.view()
            command = self._read(name, args)
            outside = await self._opened()
            outside.spoke()
            self._apply(outside.case, command)
            return outside.view()
        except Refused as refusal:
            fail(refusal)

    @command.validator
    def check_command(self, name: str, args: Sequence[RawValue]) -> None:
        """Turn away what is badly formed before anything is written."""
        try:
            if name != OPENED:
                self._read(name, args)
        except Refused as refusal:
            fail(refusal)

    @workflow.signal(dynamic=True, description="approve, reject, escalate or acknowledge, without an answer")
    async def signalled(self, name: str, args: Sequence[RawValue]) -> None:
        """Do what is asked; a refusal is recorded, since the sender does not hear it."""
        try:
            outside = await self._opened()
        except Refused:
            workflow.logger.warning("a signal came for an intake that was refused")
            return
        outside.heard()
        case, by = outside.case, SYSTEM
        try:
            if name not in SIGNALS:
                raise Refused("unknown_command", f"signal = {name!r}: allowed: {', '.join(sorted(SIGNALS))}")
            command = self._read(name, args)
            by = command.by.actor()
            self._apply(case, command)
        except Refused as refusal:
            known = name if name in self.CASE.COMMANDS else "unknown"
            case.refused(known, by, refusal, self._now())

    @workflow.query(name="case", description="The case as it stands")
    def case_view(self) -> dict[str, Any]:
        """Return the case view (design contract "Queries")."""
        if self._outside is None:
            waiting = {"id": workflow.info().workflow_id, "status": "opening"}
            refusal = self._problem
            return waiting if refusal is None else {**waiting, "status": "refused", "refusal": refusal.as_json()}
        return self._outside.view()

    @workflow.query(description="All events of the case")
    def timeline(self) -> list[dict[str, Any]]:
        """All events, oldest first."""
        return [event.as_json() for event in self._outside.case.events] if self._outside else []

    @workflow.query(description="Why each clock is due when it is")
    def explain(self) -> list[dict[str, Any]]:
        """Return the clocks with start, limit, pauses, days off and clause."""
        return self._outside.case.explain(self._now()) if self._outside else []

    def _read(self, name: str, args: Sequence[RawValue]) -> Command:
        command = read_command(self.CASE.COMMANDS, name, _read_json(name, args))
        if command.at is not None and self._rehearsal is None:
            raise Refused("invalid", f"{name}: at is taken only by a rehearsed case")
        return command

    async def _opened(self) -> Outside:
        """Return the case with its effects, once it is open.

        Raises:
            Refused: it never will be.
        """
        if self._outside is None and self._problem is None:
            await workflow.wait_condition(lambda: self._outside is not None or self._problem is not None)
        if self._outside is None:
            raise self._problem or Refused("invalid", "the case could not be opened")
        return self._outside

    # --- deciding ---------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return self._on_the_case(workflow.now())

    def _on_the_case(self, instant: datetime) -> datetime:
        """Return an instant of the workflow on the case's clock."""
        return instant + self._rehearsal.offset if self._rehearsal else instant

    def _settle(self, at: datetime) -> None:
        """In a rehearsal effects come out at the instant at which they were asked for."""
        if self._rehearsal is not None and self._outside is not None:
            self._outside.case.rehearse_effects(at, self._rehearsal.notices, self._rehearsal.payout)

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

    # --- running ----------------------------------------------------------------------------------

    async def run_case(self) -> dict[str, Any]:
        """Open the case, let time pass until it is closed and everything outside is done."""
        await self._open()
        if self._problem is not None:
            await workflow.wait_condition(workflow.all_handlers_finished)
            fail(self._problem)
        outside = await self._opened()
        case = outside.case
        recorder = asyncio.create_task(outside.keep_recording())
        while not _finished(outside):
            rang, self._rang = self._rang, False
            self._elapse(case, rang)
            outside.start_waiting()
            if self._arm(case):
                outside.spoke()
            outside.keep_apart()
            outside.show()
            if self._long() and workflow.all_handlers_finished():
                # What is under way is not cancelled: a cancellation in the task that ends the run
                # would hang it, and the next run does all of it again.
                self._continue_as_new(outside)
            await workflow.wait_condition(lambda: self._has_work(outside))
        await workflow.wait_condition(workflow.all_handlers_finished)
        recorder.cancel()
        return outside.view()

    async def _open(self) -> None:
        """Pin the policy and open the case, unless an earlier run did."""
        if self._outside is not None or self._intake is None:
            return
        try:
            policy = Policy.from_document(await self._policy_document(self._intake.policy))
            # Received when it was started, however long a worker and the policy took to come.
            start = self._on_the_case(workflow.info().workflow_start_time)
            case = self.CASE.open(self._intake, policy, start)
        except Refused as refusal:
            self._problem = refusal
            return
        self._take(case, self._intake)
        self._settle(case.events[-1].at)

    async def _policy_document(self, name: str) -> str:
        if self._rehearsal is not None:
            return self._rehearsal.policy_document
        try:
            document: str = await workflow.execute_activity(
                LOAD_POLICY, name, result_type=str, start_to_close_timeout=timedelta(seconds=10), retry_policy=BACK_OFF
            )
            return document
        except ActivityError as error:
            raise refusal_of(error.cause) or error from None

    def _elapse(self, case: Case, rang: bool) -> None:
        now = self._now()
        for event in case.elapse(now, after_each=self._settle):
            if rang and event.type in ("clock_breached", "clock_warned", "reminded"):
                self._lateness(event.data.get("clock", "reminder"), now - event.at)

    def _lateness(self, clock: str, late: timedelta) -> None:
        meter = workflow.metric_meter().with_additional_attributes({"clock": clock.partition(":")[0]})
        histogram = meter.create_histogram_timedelta(
            "caseladder_timer_lateness", "How late a timer of a case was acted on", "duration"
        )
        histogram.record(late)

    def _has_work(self, outside: Outside) -> bool:
        due = outside.case.due()
        nearer = due is not None and (self._alarm_at is None or due < self._alarm_at)
        waiting = self._rang or nearer or bool(outside.case.outbox)
        return waiting or outside.news or _finished(outside) or self._long()

    def _arm(self, case: Case) -> bool:
        """Wake up no later than the case is due. Returns whether that took a new timer.

        One that rings early costs less history than one that is cancelled and set again at every command.
        """
        due = case.due()
        if due is None or (self._alarm_at is not None and self._alarm_at <= due):
            return False
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due
        wait = max(due - self._now(), timedelta(milliseconds=1))
        self._alarm = asyncio.create_task(self._ring(wait))
        return True

    async def _ring(self, wait: timedelta) -> None:
        await workflow.sleep(wait, summary="until the case is due")
        self._alarm_at, self._alarm, self._rang = None, None, True

    # --- continuing as new ------------------------------------------------------------------------

    def _long(self) -> bool:
        info = workflow.info()
        limit = (self._rehearsal and self._rehearsal.continue_after) or LONG_HISTORY
        return info.is_continue_as_new_suggested() or info.get_current_history_length() > limit

    def _continue_as_new(self, outside: Outside) -> NoReturn:
        carried = state.carry(outside.case, outside.recorded, outside.number, self._seen, outside.under_way)
        workflow.continue_as_new({**self._raw_input(), state.CARRIED: carried.model_dump(mode="json")})

    def _raw_input(self) -> dict[str, Any]:
        if self._intake is None:
            raise ApplicationError("a case without an intake does not continue", non_retryable=True)
        raw = self._intake.model_dump(mode="json", exclude_none=True)
        if self._rehearsal is not None:
            raw["rehearsal"] = self._rehearsal.model_dump(mode="json", exclude_none=True)
        return raw


def _finished(outside: Outside) -> bool:
    return outside.case.status == "closed" and outside.idle


def _read_json(what: str, args: Sequence[RawValue]) -> Any:
    """Return the one JSON value that was sent.

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


def fail(refusal: Refused) -> NoReturn:
    """Let a sender hear of a refusal: as the failure of their update or of their workflow."""
    raise failure(refusal) from None
