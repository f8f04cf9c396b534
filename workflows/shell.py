"""The durable shell around a case: it receives commands, sleeps until the case is due, has effects done.

A run starts from an intake, from what the run before it carried over, or from the ledger. Handlers
change the case synchronously. `run_case` lets time pass; effects go on beside the clock
(`workflows.effects`), so that no outage outside stops a ladder.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, ClassVar, NoReturn, Self

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from activities.messages import CHECK_SENDER, Mark, SenderOrder, Sent
    from activities.refusals import failure
    from activities.senders import statement
    from activities.senders.gate import GATE
    from cases import rules
    from cases.case import Case, closed
    from cases.policy.model import Policy
    from cases.registry import kind_of
    from cases.vocabulary.commands import Command, read_command
    from cases.vocabulary.contract import OPENED, RECORD_AGAIN, UnreadablePayload, key_missing, missing
    from cases.vocabulary.events import SYSTEM
    from cases.vocabulary.facts import read_again, read_intake
    from cases.vocabulary.refusals import Refused, shown

from workflows import state
from workflows.beginning import begin, load
from workflows.effects import Outside
from workflows.moving import go_on, moving
from workflows.recording import BACK_OFF, MOST_WAITING, Known, bytes_of

# Commands that are signals too, without an answer; everything else is an update (design contract "Commands").
SIGNALS = frozenset({"approve", "reject", "escalate", "acknowledge"})
# Answers to repeated request ids are kept for this many requests of a case.
REMEMBERED = 500
# Histories beyond this many events replay slowly; the next run starts with a short one.
LONG_HISTORY = 2000
# So many bytes of events at most are the answer to a query: the engine takes twice as many.
MOST_ANSWERED = 1_000_000
# How long filing and an offer wait for what the casebook knows of the parcel.
LOOKING = timedelta(seconds=3)
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
        if not workflow.patched(rules.marker()):
            raise rules.OtherRules(workflow.info().workflow_id)
        self._start = state.Start("")
        self._rehearsal: state.Rehearsal | None = None
        self._problem: Refused | None = None
        self._unreadable: UnreadablePayload | None = None
        # The recorded view, where the ledger has this case of another run.
        self._recorded_view: dict[str, Any] | None = None
        # What recognizes the intake that the case was filed with.
        self._mark: Mark | None = None
        self._outside: Outside | None = None
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: datetime | None = None
        self._rang = False
        # How many events are packed for the next run, they, and what senders proved; or that they are too large.
        self._packed = (0, "", "")
        self._too_large = False
        # Commands are taken in the order in which they came, however long it takes to see who sent a signal.
        self._turn = asyncio.Lock()
        # How many signals have come, and whether they need a proof.
        self._signals, self._signed = 0, False
        try:
            content = _read_json("intake", () if raw is NO_INPUT else (raw,))
            info = workflow.info()
            if info.cron_schedule is not None:
                # Each further run would look as if the one before it had handed over what the sender wrote.
                raise Refused("invalid", "a case is started once: without a cron schedule")
            continued = info.continued_run_id is not None and info.attempt == 1
            self._start = start = state.read_start(self.CASE, info.workflow_id, content, continued=continued)
            self._rehearsal = start.rehearsal
            self._mark = None if start.intake is None else Mark("", start.intake.digest())
            if start.carried is not None:
                self._restore(start.carried)
        except UnreadablePayload as error:
            self._unreadable = error
        except Refused as refusal:
            self._problem = refusal

    def _restore(self, carried: state.Carried) -> None:
        policy = Policy.from_document(carried.policy_document)
        case = kind_of(self._kind, policy).replay(policy, state.unpack(carried.events))
        self._mark = carried.mark
        sent, intake = state.unpack_sent(carried.sent), self._start.intake
        intake = intake and read_again(intake, case.INTAKE)
        self._take(case, Known(intake, carried.recorded, carried.number, dict(carried.seen), sent))

    def _take(self, case: Case, known: Known) -> None:
        self._outside = Outside(case, known, self._now, self._rehearsal is not None)

    @property
    def _kind(self) -> str:
        """The name of the kind, as the workflow id has it."""
        return workflow.info().workflow_id.partition(":")[0]

    @property
    def _case_type(self) -> type[Case]:
        """The kind of the case; of a form, until its policy is known, what all forms have in common."""
        return self.CASE if self._outside is None else type(self._outside.case)

    # --- updates, signals, queries ----------------------------------------------------------------

    @workflow.update(dynamic=True, description="A command of the case, with one JSON object")
    async def command(self, name: str, args: Sequence[RawValue]) -> dict[str, Any]:
        """Do what is asked and answer with the case view, or fail with ``Refused``."""
        try:
            if name == OPENED:
                return await self._answer_opened(args)
            if name == RECORD_AGAIN:
                return await self._record_again()
            command = self._read(name, args)
            outside = await self._opened()
            if name in self.CASE.LOOKS_FIRST:
                await self._looked(outside)
            outside.spoke()
            async with self._turn:
                self._apply(outside, command)
            return outside.view()
        except Refused as refusal:
            fail(refusal)

    @command.validator
    def check_command(self, name: str, args: Sequence[RawValue]) -> None:
        """Turn away what is badly formed before anything is written."""
        try:
            if name not in (OPENED, RECORD_AGAIN):
                command = self._read(name, args)
                self._refuse_unsigned(command)
                self._refuse_busy()
            elif args:
                with contextlib.suppress(Refused):
                    _read_json("intake", args)
        except UnreadablePayload as error:
            # Once it is written, the case could not go on before a worker has the key.
            fail(key_missing(error))
        except Refused as refusal:
            fail(refusal)

    def _refuse_unsigned(self, command: Command) -> None:
        """Refuse what its sender does not prove, if they have to. Only for a validator, which is never replayed.

        Raises:
            Refused: code ``unsigned``. It is counted and logged, since a validator writes nothing.
        """
        if self._rehearsal is not None:
            return
        try:
            # The library of signatures imports when it is first used, which it does not survive in the sandbox.
            with workflow.unsafe.imports_passed_through():
                GATE.check(_said(command), workflow.now())
        except Refused as refusal:
            self._count_unsigned(command, refusal.message)
            raise

    def _count_unsigned(self, command: Command, reason: str) -> None:
        counter = workflow.metric_meter().create_counter(
            "caseladder_unsigned", "Commands that were refused for want of a proof of their sender"
        )
        counter.add(1, {"command": command.NAME})
        workflow.logger.warning("an unsigned command was refused", extra={"command": command.NAME, "reason": reason})

    def _refuse_busy(self) -> None:
        # Not in the handler: the engine would keep the refusal and repeat it under the same id.
        recording = self._outside.recording if self._outside and not self._rehearsal else None
        if recording is None or recording.complete:
            return
        if recording.waiting > MOST_WAITING:
            raise Refused("busy", "the ledger is away, and the case has no room for more until it is back; retry later")
        if self._too_large:
            # Under a steady load there would never be an instant at which the ledger has everything.
            raise Refused("busy", "the case goes on in a new run once the ledger has all of it; retry")

    @workflow.signal(dynamic=True, description="approve, reject, escalate or acknowledge, without an answer")
    async def signalled(self, name: str, args: Sequence[RawValue]) -> None:
        """Do what is asked; a refusal is recorded, since the sender does not hear it."""
        try:
            outside = await self._opened()
        except Refused as refusal:
            workflow.logger.warning("a signal came to a run that has no case", extra={"reason": refusal.code})
            return
        outside.heard()
        case, by, command = outside.case, SYSTEM, None
        async with self._turn:
            try:
                if name not in SIGNALS:
                    raise Refused("unknown_command", f"signal = {name!r}: allowed: {', '.join(sorted(SIGNALS))}")
                command = self._read(name, args)
                await self._check_sender(command)
                by = command.by.actor()
                self._apply(outside, command)
            except Refused as refusal:
                known = name if name in self.CASE.COMMANDS else "unknown"
                case.refused(known, by, refusal, self._now())
                if command is not None and command.proof is not None and by is not SYSTEM:
                    # It names its sender, who has proven it.
                    self._keep(outside, len(case.events), _said(command), list(command.proof.salts.values()))

    async def _check_sender(self, command: Command) -> None:
        """Have the worker say whether a signal is of its sender, if it has to be or says that it is.

        Raises:
            Refused: code ``unsigned``.
        """
        if self._rehearsal is not None or not (self._is_signed() or command.proof is not None):
            return
        why_not: str = await workflow.execute_activity(
            CHECK_SENDER,
            SenderOrder(_said(command), workflow.now().isoformat()),
            result_type=str,
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=BACK_OFF,
        )
        if why_not:
            self._count_unsigned(command, why_not)
            raise Refused(statement.UNSIGNED, why_not)

    def _is_signed(self) -> bool:
        """Whether signals need a proof: once a worker has said so, to the end of the run, which its history marks.

        Asked once for each signal, so that a replay finds the mark at the one at which it was made.
        """
        self._signals += 1
        if not self._signed and (workflow.unsafe.is_replaying() or GATE.mode == "signed"):
            self._signed = workflow.patched(f"signed-{self._signals}")
        return self._signed

    async def _answer_opened(self, args: Sequence[RawValue]) -> dict[str, Any]:
        """Answer with the view once the case is open, and whoever files it, with whether this run opened it.

        Raises:
            Refused: ``conflict`` where it was filed with other content, what keeps it from opening, or ``busy``.
        """
        intake = read_intake(self.CASE.INTAKE, _object("intake", args)) if args else None
        await self._settled()
        if intake is not None and self._rehearsal is not None:
            # It is recorded nowhere, so nobody may take it for their case.
            raise Refused("conflict", f"key = {intake.key!r} is being rehearsed")
        if intake is not None and self._mark is not None and not state.matches(self._mark, intake.digest()):
            if self._problem is not None and self._recorded_view is None:
                # A run that turned its own content away knows nothing of this one; the next run will.
                raise Refused("busy", f"key = {intake.key!r} was just filed with what makes no case; retry")
            raise _conflict(intake.key)
        if self._recorded_view is not None:
            return self._recorded_view if intake is None else {"view": self._recorded_view, "new": False}
        outside = await self._opened()
        if intake is not None:
            await self._looked(outside)
        outside.spoke()
        return outside.view() if intake is None else {"view": outside.view(), "new": True}

    async def _record_again(self) -> dict[str, Any]:
        """Have the ledger compared with what this run knows, and what it lacks appended."""
        outside = await self._opened()
        outside.spoke()
        recording = outside.recording
        recording.again()
        await workflow.wait_condition(
            lambda: recording.complete or recording.superseded or recording.trouble is not None
        )
        return outside.view()

    @workflow.query(name="case", description="The case as it stands")
    def case_view(self) -> dict[str, Any]:
        """Return the case view (design contract "Queries")."""
        if self._recorded_view is not None:
            return self._recorded_view
        if self._outside is None:
            waiting = {"id": workflow.info().workflow_id, "status": "opening"}
            refusal = self._problem
            return waiting if refusal is None else {**waiting, "status": "refused", "refusal": refusal.as_json()}
        return self._outside.view()

    @workflow.query(description="The events of the case, or those after the first so many")
    def timeline(self, after: int = 0) -> list[dict[str, Any]]:
        """Return events, oldest first, as many as an answer has room for; the next ones follow the last of them.

        A run that was started from the ledger does not know the texts of earlier events.
        """
        events = self._outside.case.events[max(after, 0) :] if self._outside else []
        before = accumulate(map(bytes_of, events), initial=0)
        return [event.as_json() for event, size in zip(events, before, strict=False) if size < MOST_ANSWERED]

    @workflow.query(description="Why each clock is due when it is")
    def explain(self) -> list[dict[str, Any]]:
        """Return the clocks with start, limit, pauses, days off and clause."""
        return self._outside.case.explain(self._now()) if self._outside else []

    def _read(self, name: str, args: Sequence[RawValue]) -> Command:
        command = read_command(self._case_type.COMMANDS, name, _read_json(name, args))
        if command.at is not None and self._rehearsal is None:
            raise Refused("invalid", f"{name}: at is taken only by a rehearsed case")
        return command

    async def _opened(self) -> Outside:
        """Return the case with its effects, once it is open.

        Raises:
            Refused: it never will be, or another run holds it by now.
        """
        await self._settled()
        if self._recorded_view is not None:
            known = self._recorded_view
            raise closed() if known["status"] == "closed" else missing(known["id"])
        if self._outside is None or self._problem is not None:
            raise self._problem or Refused("invalid", "the case could not be opened")
        if self._outside.recording.superseded:
            raise Refused("superseded", "another run of this case has taken over; send the command again")
        return self._outside

    async def _looked(self, outside: Outside) -> None:
        """Wait a moment for what the case asked for and whoever sends this should see; outages stop nobody."""
        if outside.case.looking():
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(lambda: not outside.case.looking(), timeout=LOOKING)
            # Another run may have taken over meanwhile.
            await self._opened()

    async def _settled(self) -> None:
        """Wait until it is known what becomes of this run: a case, a known one, or none."""
        if not self._is_settled():
            await workflow.wait_condition(self._is_settled)

    def _is_settled(self) -> bool:
        return any(one is not None for one in (self._outside, self._problem, self._recorded_view))

    # --- deciding ---------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return self._on_the_case(workflow.now())

    def _on_the_case(self, instant: datetime) -> datetime:
        """Return an instant of the workflow on the case's clock."""
        return instant + self._rehearsal.offset if self._rehearsal else instant

    def _settle(self, at: datetime) -> None:
        """In a rehearsal effects come out at the instant at which they were asked for."""
        if self._rehearsal is not None and self._outside is not None:
            told = self._rehearsal
            effects = told.notices, told.payout, told.earlier_claims, told.serial, told.merge, told.reply
            self._outside.case.rehearse_effects(at, *effects)

    def _apply(self, outside: Outside, command: Command) -> None:
        """Decide a command once; a repeated request id is answered again, not applied again.

        Raises:
            Refused: now, or when the same request was first decided.
        """
        case, digest, requests = outside.case, command.digest(), outside.recording.known.seen
        seen = requests.get(command.request_id) if command.request_id else None
        if seen is not None:
            if not seen.matches(digest):
                message = f"request_id = {shown(command.request_id)} was used with other content"
                raise Refused("request_id_reused", message)
            if seen.refusal is not None:
                raise Refused(seen.refusal["code"], seen.refusal["message"], seen.refusal["clause"])
            return
        refused: Refused | None = None
        before = len(case.events)
        at = self._now() if command.at is None else command.at
        # What falls due before it is not of its sender, and may be more than is recorded in one call.
        case.elapse(at, inclusive=False, after_each=self._settle)
        first = len(case.events) + 1
        try:
            case.decide(command, at, self._settle)
        except Refused as refusal:
            refused = refusal
        self._settle(case.policy.local(at))
        if command.proof is not None and len(case.events) >= first:
            self._keep(outside, first, _said(command), list(command.proof.salts.values()))
        if command.request_id:
            seq = len(case.events) if refused is None and len(case.events) > before else None
            why_not = None if refused is None else refused.as_json()
            requests[command.request_id] = state.Seen(digest=digest, refusal=why_not, seq=seq)
            if len(requests) > REMEMBERED:
                del requests[next(iter(requests))]
        if refused is not None:
            raise refused

    def _keep(self, outside: Outside, first: int, said: statement.Said | None, salts: list[str]) -> None:
        """Keep what a sender proved beside the events that it led to."""
        if said is not None and self._rehearsal is None:
            body = statement.kept(said, rules.RULES)
            outside.recording.known.sent.append(Sent(first, len(outside.case.events), body, salts))

    # --- running ----------------------------------------------------------------------------------

    async def run_case(self) -> dict[str, Any]:
        """Open the case, let time pass until it is closed and everything outside is done.

        Raises:
            UnreadablePayload: this worker cannot decrypt its input; the task is done again until one can.
        """
        if self._unreadable is not None:
            raise self._unreadable
        try:
            await self._open()
        except Refused as refusal:
            self._problem = refusal
        if self._problem is not None:
            await workflow.wait_condition(workflow.all_handlers_finished)
            fail(self._problem)
        if self._recorded_view is not None:
            await workflow.wait_condition(workflow.all_handlers_finished)
            return self._recorded_view
        outside = await self._opened()
        case = outside.case
        if self._start.from_ledger is not None:
            # The engine knows nothing of it, and nothing may be recorded for long.
            outside.tell_attributes()
        recorder = None if self._rehearsal else asyncio.create_task(outside.recording.keep_recording())
        while not _is_over(outside):
            rang, self._rang = self._rang, False
            self._elapse(case, rang)
            outside.start()
            if self._arm(case):
                outside.spoke()
            outside.keep_apart()
            outside.show()
            if (next_input := self._next_input(outside)) is not None:
                # What is under way is not cancelled: a cancellation in the task that ends the run
                # would hang it, and the next run does all of it again.
                go_on(next_input)
            await workflow.wait_condition(lambda: self._has_work(outside))
        if outside.recording.superseded:
            fail(Refused("superseded", "another run of this case has taken over"))
        if recorder is not None:
            recorder.cancel()
        return outside.ledger_view()

    async def _open(self) -> None:
        """Come to the case: open it or take it over, unless an earlier run brought it along or the ledger has it.

        Raises:
            Refused: there will be no case.
        """
        start = self._start
        if self._outside is not None or self._problem is not None:
            return
        if start.from_ledger is not None:
            taken = await load(self._kind, start.from_ledger)
            self._mark = taken.mark
            self._take(taken.case, Known(None, len(taken.case.events), taken.number, taken.seen))
            return
        assert start.intake is not None
        proof = None if self._rehearsal is not None else start.intake.proof
        if self._rehearsal is not None:
            document = self._rehearsal.policy_document
        else:
            begun = await begin(start.intake)
            document, self._recorded_view = begun.policy_document, begun.known
            if begun.mark is not None:
                # Others may file under this key by now: they get the case, whatever becomes of this intake.
                self._mark = begun.mark
                if not state.matches(begun.mark, start.intake.digest()):
                    raise _conflict(start.key)
        if self._recorded_view is None:
            # Received when it was started, however long a worker and the policy took to come.
            started = self._on_the_case(workflow.info().workflow_start_time)
            policy = Policy.from_document(document)
            kind = kind_of(self._kind, policy)
            intake = read_again(start.intake, kind.INTAKE)
            case = kind.open(intake, policy, started)
            self._take(case, Known(intake))
            if self._outside is not None and proof is not None:
                said = statement.said_of_intake(workflow.info().workflow_id, intake)
                self._keep(self._outside, 1, said, list(proof.salts.values()))
            self._settle(case.events[-1].at)

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
        waiting = self._rang or nearer or bool(outside.startable())
        return waiting or outside.news or _is_over(outside) or self._next_input(outside) is not None

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
        return info.is_continue_as_new_suggested() or info.get_current_history_length() > limit or moving()

    def _next_input(self, outside: Outside) -> dict[str, Any] | None:
        """Return what the next run starts from, when it is time for one; None when it is not.

        A case that is too long to carry waits until the ledger has all of it.
        """
        if not self._long() or not workflow.all_handlers_finished():
            return None
        case, recording = outside.case, outside.recording
        if self._rehearsal is None and len(case.events) > state.MOST_EVENTS_CARRIED:
            self._too_large = True
        if not self._too_large and self._packed[0] != len(case.events):
            self._packed = (len(case.events), state.pack(case.events), state.pack_sent(outside.recording.known.sent))
            self._too_large = self._rehearsal is None and sum(map(len, self._packed[1:])) > state.MOST_CARRIED
        if self._too_large:
            if not recording.complete or recording.under_way:
                return None
            return {"key": self._start.key, state.FROM_LEDGER: {"head_seq": len(case.events)}}
        known = recording.known
        carried = state.Carried(
            policy_document=case.policy.document,
            events=self._packed[1],
            recorded=known.recorded,
            number=known.number,
            mark=self._mark,
            sent=self._packed[2],
            seen=known.seen,
        )
        return {**self._raw_start(), state.CARRIED: carried.model_dump(mode="json")}

    def _raw_start(self) -> dict[str, Any]:
        intake, rehearsal = self._start.intake, self._rehearsal
        raw: dict[str, Any] = (
            {"key": self._start.key} if intake is None else intake.model_dump(mode="json", exclude_none=True)
        )
        if rehearsal is not None:
            raw[state.REHEARSAL] = rehearsal.model_dump(mode="json", exclude_none=True)
        return raw


def _said(command: Command) -> statement.Said | None:
    """Return what a command says with the proof of it; None where it has none.

    Raises:
        Refused: code ``unsigned``: the proof lacks a salt.
    """
    if command.proof is None:
        return None
    return statement.said(statement.of_command(workflow.info().workflow_id, command), command.proof)


def _is_over(outside: Outside) -> bool:
    finished = outside.recording.superseded or (outside.case.status == "closed" and outside.idle)
    # A signal whose sender is being looked at may still leave something to be recorded.
    return finished and workflow.all_handlers_finished()


def _conflict(key: str) -> Refused:
    return Refused("conflict", f"key = {key!r} was filed with other content")


def _object(what: str, args: Sequence[RawValue]) -> dict[str, Any]:
    value = _read_json(what, args)
    if not isinstance(value, dict):
        raise Refused("invalid", f"{what}: takes one JSON object")
    return value


def _read_json(what: str, args: Sequence[RawValue]) -> Any:
    """Return the one JSON value that was sent.

    Raises:
        Refused: there is none or more than one, or it is not JSON.
        UnreadablePayload: it is encrypted, and this worker lacks the key.
    """
    if len(args) != 1:
        raise Refused("invalid", f"{what}: takes one JSON object, got {len(args)} arguments")
    try:
        return workflow.payload_converter().from_payload(args[0].payload)
    except UnreadablePayload:
        raise
    except Exception:
        # Whatever a sender's payload does to the converter is the sender's error; any other
        # exception here would fail the workflow task and wedge the case.
        raise Refused("invalid", f"{what}: the argument is not JSON") from None


def fail(refusal: Refused) -> NoReturn:
    """Let a sender hear of a refusal: as the failure of their update or of their workflow."""
    raise failure(refusal) from None
