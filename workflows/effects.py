"""What a case has done outside, beside its clock: recorded, told, paid, opened.

No outage outside may stop a ladder, so each effect runs in a task of its own and what comes of it
returns to the case as an event. What is owed follows from the events, so nothing of it is carried along.

What is done outside must stand in the history first, so it is done by ordinary activities. A local
one runs before its workflow task is completed: when the worker or the server dies in between, the
task is done again, at another time and perhaps without the update that it was about, and then the
ledger holds, and people were told of, what never happened. Nor are local activities used elsewhere:
with sdk-core up to temporalio 1.35 a query that is answered while one runs makes replays differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, is_cancelled_exception

from activities.messages import (
    NOTIFY,
    PAY,
    Burst,
    CallOrder,
    NoticeBatch,
    NoticeOrder,
    NoticeResult,
    PayoutOrder,
    PayoutResult,
)
from cases.case import Case
from cases.vocabulary.effects import UNAVAILABLE, ActivityCall, Effect, Notice, Opening, Payment
from cases.vocabulary.events import Event, fingerprint
from cases.vocabulary.refusals import Refused
from workflows import attributes, details
from workflows.filing import file_case
from workflows.recording import BACK_OFF, Known, Recording, number_of, superseded

# How long a notice is tried before it counts as failed: longer than a mail server is away for a day.
GIVE_UP = timedelta(hours=48)
# How long a gateway is asked before a payout counts as failed; it is tried again later.
PAYOUT_PATIENCE = timedelta(minutes=30)
# So many notices at most are handed over in one call, and so many are under way at a time: what a case that was filed
# years late has to tell must not fill a history, nor be told again when the case continues as new.
MOST_NOTICES, MOST_UNDER_WAY = 100, 200


class Outside:
    """The effects of one case.

    Args:
        now: the instant on the case's clock.
        rehearsed: nothing is done outside; the case has its effects come out at once.
    """

    def __init__(self, case: Case, known: Known, now: Callable[[], datetime], rehearsed: bool) -> None:
        self.case, self._rehearsed, self._now = case, rehearsed, now
        self.recording = Recording(case, known, self.ledger_view, self.spoke, self.tell_attributes, now)
        # What keeps an effect from coming out, for people to see.
        self._trouble: str | None = None
        # What was started and has not come out, by identity: the same notice may be owed twice.
        self._begun: dict[int, Effect] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._viewed: tuple[tuple[int, str | None], dict[str, Any]] | None = None
        self._shown: dict[str, Any] = {}
        # The view that the search attributes say.
        self._told: dict[str, Any] = {}
        # Whether something came from outside that the loop has not seen yet.
        self._news = False
        # The workflow task under way, and whether it and the one before it have given no command.
        self._task, self._quiet, self._quiet_before = 0, False, False

    @property
    def idle(self) -> bool:
        """Whether everything is recorded and nothing is owed or under way."""
        recorded = self._rehearsed or self.recording.complete
        return recorded and not self.case.outbox and not self._tasks

    @property
    def news(self) -> bool:
        """Whether something came from outside that the loop has not seen yet."""
        return self._news or self.recording.news

    def view(self) -> dict[str, Any]:
        """Return the case view with what only the outside knows: the number, how much of it is recorded."""
        view = self.ledger_view()
        if self._rehearsed:
            return view
        trouble = self.recording.trouble or self._trouble
        return {**view, "recorded": self.recording.known.recorded, **({"trouble": trouble} if trouble else {})}

    def ledger_view(self) -> dict[str, Any]:
        """Return the case view as the ledger keeps it."""
        # A case is its events, so as long as there are no new ones the view stays as it was.
        number = number_of(self.case, self.recording.known)
        stamp = (len(self.case.events), number)
        if self._viewed is None or self._viewed[0] != stamp:
            self._viewed = (stamp, {**self.case.view(), "number": number})
        return self._viewed[1]

    def show(self) -> None:
        """Let the Temporal Web UI show the case as it stands."""
        view = self.view()
        if view != self._shown:
            self._shown = view
            workflow.set_current_details(details.markdown(view))

    # --- keeping workflow tasks apart -------------------------------------------------------------

    def heard(self) -> None:
        """Something came in the workflow task that is under way."""
        task = workflow.info().get_current_history_length()
        if task != self._task:
            self._task, self._quiet, self._quiet_before = task, True, self._quiet

    def spoke(self) -> None:
        """Note that the workflow task under way gives a command."""
        self.heard()
        self._quiet = False

    def keep_apart(self) -> None:
        """Give a command where two workflow tasks would have none.

        sdk-core (temporalio 1.35) takes the second for the heartbeat of the task after it, as long as
        it has not seen that an update was accepted there: a worker that takes the case over is handed
        the news of both at once, in another order than in every later replay.
        """
        self.heard()
        self._news = self.recording.news = False
        recording = self.recording
        will_record = not recording.under_way and not recording.complete
        if self._quiet and self._quiet_before and not will_record and not self._rehearsed:
            workflow.upsert_memo({"unrecorded": len(self.case.events) - recording.known.recorded})
            self.spoke()

    # --- starting ---------------------------------------------------------------------------------

    def startable(self) -> list[Effect]:
        """Return what is owed, has not been started, and can be.

        Money, numbers and other cases wait until what asks for them is recorded, notices until there is room for them.
        """
        if self._rehearsed:
            return []
        recorded, found = self.recording.known.recorded, list[Effect]()
        room = MOST_UNDER_WAY - sum(isinstance(effect, Notice) for effect in self.case.outbox if self._is_begun(effect))
        for effect in self.case.outbox:
            if self._is_begun(effect):
                continue
            if isinstance(effect, Notice):
                if room > 0:
                    found.append(effect)
                room -= 1
            elif effect.seq <= recorded or (isinstance(effect, ActivityCall) and not effect.recorded_first):
                found.append(effect)
        return found

    def _is_begun(self, effect: Effect) -> bool:
        return id(effect) in self._begun

    def start(self) -> None:
        """Have done what can be started: notices together, everything else by itself."""
        owed = {id(effect) for effect in self.case.outbox}
        self._begun = {key: effect for key, effect in self._begun.items() if key in owed}
        waiting = self.startable()
        notices = iter([effect for effect in waiting if isinstance(effect, Notice)])
        while some := list(islice(notices, MOST_NOTICES)):
            self._start(some, self._tell(some))
        for effect in waiting:
            match effect:
                case Payment():
                    self._start([effect], self._pay(effect))
                case Opening():
                    self._start([effect], self._open(effect))
                case ActivityCall():
                    self._start([effect], self._run(effect))

    def _start(self, effects: Iterable[Effect], work: Coroutine[Any, Any, None]) -> None:
        self._begun.update((id(effect), effect) for effect in effects)
        self.spoke()

        async def done() -> None:
            try:
                await work
            except Exception as error:
                if is_cancelled_exception(error):
                    raise
                if isinstance(error, ActivityError) and superseded(error):
                    self.recording.superseded = True
                else:
                    # A fault in the program, such as a worker that lacks the activity: the case stays
                    # open and says so, instead of ending as if the effect had come out.
                    self._trouble = f"an effect failed: {error}"
                    workflow.logger.exception("an effect failed")
            else:
                self._tasks.discard(task)
            self._news = True

        task = asyncio.create_task(done())
        self._tasks.add(task)

    def tell_attributes(self) -> None:
        """Let searches of the engine find the case as it stands."""
        view = self.ledger_view()
        changes = attributes.updates(view, self._told)
        self._told = view
        if changes:
            self.spoke()
            workflow.upsert_search_attributes(changes)
        self.show()

    # --- telling ----------------------------------------------------------------------------------

    async def _tell(self, notices: Sequence[Notice]) -> None:
        case_id = workflow.info().workflow_id
        orders = [
            NoticeOrder(
                notice_id(case_id, notice, self.case.event(notice.seq)),
                notice.name,
                list(notice.roles),
                notice.clause,
                self.case.event(notice.seq).as_json(),
                list(notice.meets),
                notice.acknowledge,
                notice.no,
                list(notice.people),
            )
            for notice in notices
        ]
        rule = self.case.policy.digest
        burst = Burst(rule.more_than, rule.within.total_seconds()) if rule else None
        batch = NoticeBatch(case_id, self.ledger_view(), orders, burst, self.case.policy.zone)
        try:
            results: list[NoticeResult] = await workflow.execute_activity(
                NOTIFY,
                batch,
                result_type=list[NoticeResult],
                schedule_to_close_timeout=GIVE_UP,
                # Long enough for every way to everybody to run into its time-out once.
                start_to_close_timeout=timedelta(minutes=10),
                heartbeat_timeout=timedelta(seconds=15),
                retry_policy=BACK_OFF,
            )
        except ActivityError as error:
            results = _given_up(error, orders)
        for notice, result in zip(notices, results, strict=True):
            self._came_out(notice, result, self._now())

    def _came_out(self, notice: Notice, result: NoticeResult, at: datetime) -> None:
        more: dict[str, Sequence[Any]] = {
            "meant": result.meant,
            "attempts": result.attempts,
            "remarks": result.remarks,
        }
        self.case.notices.came_out(notice, result.outcome, result.channel, at, result.reasons, id=result.id, **more)

    # --- paying and opening -----------------------------------------------------------------------

    async def _pay(self, payment: Payment) -> None:
        info = workflow.info()
        order = PayoutOrder.of(info.workflow_id, info.first_execution_run_id, payment)
        result: PayoutResult | None = None
        while result is None:
            try:
                result = await workflow.execute_activity(
                    PAY,
                    order,
                    result_type=PayoutResult,
                    schedule_to_close_timeout=PAYOUT_PATIENCE,
                    start_to_close_timeout=timedelta(seconds=30),
                    retry_policy=BACK_OFF,
                    summary=f"pay {order.amount} yuan",
                )
            except ActivityError as error:
                if superseded(error):
                    raise
                # No gateway was asked as long as cases are recovered, however long that takes.
                if not _recovering(error):
                    # It may have gone out all the same: the next attempt asks first.
                    self.case.payout_failed(str(error.cause or error), self._now(), unknown=True)
                    return
                self.spoke()
        if result.state == "paid":
            self.case.payout_made(result.reference, self._now())
        elif result.state == "failed":
            self.case.payout_failed(result.reason, self._now())
        elif result.state == "blocked":
            self.case.payout_blocked(result.found, self._now())
        else:
            self.case.payout_waits(self._now())

    async def _open(self, opening: Opening) -> None:
        """Have the other case filed, about the same customer; it lives on when this one ends."""
        try:
            opened = await file_case(opening.kind, opening.intake, workflow.info().workflow_id)
        except Refused as refusal:
            self.case.opening_done(opening, refusal.code, self._now())
        else:
            self.case.opening_done(opening, "opened" if opened.new else "same", self._now())

    # --- what a kind has of its own -----------------------------------------------------------------

    async def _run(self, call: ActivityCall) -> None:
        """Run an activity of the kind's own, however long what it needs is away, or for as long as it is tried."""
        info, at = workflow.info(), self.case.event(call.seq).at
        run = info.first_execution_run_id
        order = CallOrder(info.workflow_id, call.order, call.seq, at.isoformat(), self.case.policy.hash, run)
        try:
            result: Mapping[str, Any] = await workflow.execute_activity(
                call.activity,
                order,
                result_type=dict[str, Any],
                schedule_to_close_timeout=call.tried_for,
                start_to_close_timeout=timedelta(minutes=10),
                heartbeat_timeout=timedelta(seconds=30),
                retry_policy=BACK_OFF,
            )
        except ActivityError as error:
            if call.tried_for is None or superseded(error):
                raise
            result = UNAVAILABLE
        self.case.activity_done(call, result, self._now())


def _recovering(error: ActivityError) -> bool:
    """Whether an activity was waiting for the casebook to be recovered when its time was up."""
    cause = error.cause
    if isinstance(cause, TimeoutError):
        cause = cause.cause
    return isinstance(cause, ApplicationError) and cause.type == "Recovering"


def _given_up(error: ActivityError, orders: Sequence[NoticeOrder]) -> list[NoticeResult]:
    """Return what came of notices that could not all be delivered: the last attempt says which were."""
    cause = error.cause
    if isinstance(cause, TimeoutError) and isinstance(cause.cause, ApplicationError):
        cause = cause.cause
    if isinstance(cause, ApplicationError) and cause.type == "NoticeDelayed" and cause.details:
        return [NoticeResult(**result) for result in cause.details[0]]
    reasons = {"*": str(cause or error)}
    return [NoticeResult(order.id, order.name, order.roles, "failed", reasons=reasons) for order in orders]


def notice_id(case_id: str, notice: Notice, event: Event) -> str:
    """Return the id of a notice: the same over every retry, run and channel, and bound to what happened."""
    copy = "" if notice.no is None else f"/{notice.no}"
    return f"{case_id}/{notice.seq}/{notice.name}{copy}/{fingerprint(event.as_json())}"
