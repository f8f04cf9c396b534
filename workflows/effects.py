"""What a case has done outside, beside its clock: recorded, told, paid, opened.

No outage outside may stop a ladder, so each effect runs in a task of its own and what comes of it
returns to the case as an event.

What is done outside must stand in the history first, so it is done by ordinary activities. A local
one runs before its workflow task is completed: when the worker or the server dies in between, the
task is done again, at another time and perhaps without the update that it was about, and then the
ledger holds, and people were told of, what never happened. Nor are local activities used elsewhere:
with sdk-core up to temporalio 1.35 a query that is answered while one runs makes replays differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    TimeoutError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

from activities.messages import (
    NOTIFY,
    PAY,
    RECORD,
    Batch,
    Burst,
    CallOrder,
    NoticeBatch,
    NoticeOrder,
    NoticeResult,
    PayoutOrder,
    PayoutResult,
    Recorded,
)
from cases.case import Case
from cases.registry import KINDS
from cases.vocabulary.effects import ActivityCall, Effect, Notice, Opening, Payment
from cases.vocabulary.events import SYSTEM
from cases.vocabulary.facts import Intake, read_intake
from cases.vocabulary.refusals import Refused
from workflows import attributes, details

# How long a notice is tried before it counts as failed: longer than a mail server is away for a day.
GIVE_UP = timedelta(hours=48)
# How long a gateway is asked before a payout counts as failed; it is tried again later.
PAYOUT_PATIENCE = timedelta(minutes=30)
BACK_OFF = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))


class Outside:
    """The effects of one case.

    Args:
        now: the instant on the case's clock.
        rehearsed: nothing is done outside; the case has its effects come out at once.
        recorded: how many events an earlier run has recorded.
        number: the case number, if an earlier run knows it.
    """

    def __init__(
        self,
        case: Case,
        intake: Intake,
        now: Callable[[], datetime],
        rehearsed: bool,
        *,
        recorded: int = 0,
        number: str | None = None,
    ) -> None:
        self.case, self._intake, self._rehearsed = case, intake, rehearsed
        self._now = now
        self.recorded, self.number = recorded, number
        # What keeps the ledger from taking events, for people to see.
        self._trouble: str | None = None
        self._digest = intake.digest()
        self._tasks: dict[int, tuple[list[Effect], asyncio.Task[None]]] = {}
        self._started = 0
        self._viewed: tuple[tuple[int, str | None, str | None], dict[str, Any]] | None = None
        self._shown: dict[str, Any] = {}
        # The view that the search attributes say.
        self._told: dict[str, Any] = {}
        # Whether something came from outside that the loop has not seen yet.
        self.news = False
        self._recording = False
        # The workflow task under way, and whether it and the one before it have given no command.
        self._task, self._quiet, self._quiet_before = 0, False, False

    @property
    def idle(self) -> bool:
        """Whether everything is recorded and nothing is under way."""
        recorded = self._rehearsed or self.recorded == len(self.case.events)
        return recorded and not self.case.outbox and not self._tasks

    @property
    def under_way(self) -> list[Effect]:
        """Effects that were asked for and have not come out yet."""
        return [effect for effects, _ in self._tasks.values() for effect in effects] + self.case.outbox

    def view(self) -> dict[str, Any]:
        """Return the case view with what only the outside knows: the number, the digest of the intake."""
        # A case is its events, so as long as there are no new ones the view stays as it was.
        stamp = (len(self.case.events), self.number, self._trouble)
        if self._viewed is None or self._viewed[0] != stamp:
            view = {**self.case.view(), "number": self.number, "intake_digest": self._digest}
            if self._trouble:
                view["trouble"] = self._trouble
            self._viewed = (stamp, view)
        return self._viewed[1]

    def show(self) -> None:
        """Let the Temporal Web UI show the case as it stands."""
        view = self.view()
        if view is not self._shown:
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
        self.news = False
        will_record = not self._recording and self.recorded < len(self.case.events)
        if self._quiet and self._quiet_before and not will_record and not self._rehearsed:
            workflow.upsert_memo({"unrecorded": len(self.case.events) - self.recorded})
            self.spoke()

    def start_waiting(self) -> None:
        """Have done what waits: all notices as one batch, everything else by itself."""
        waiting, self.case.outbox = self.case.outbox, []
        notices = [effect for effect in waiting if isinstance(effect, Notice)]
        if notices:
            self._start(list(notices), self._tell(notices))
        for effect in waiting:
            match effect:
                case Payment():
                    self._start([effect], self._pay(effect))
                case Opening():
                    self._start([effect], self._open(effect))
                case ActivityCall():
                    self._start([effect], self._run(effect))

    def _start(self, effects: list[Effect], work: Coroutine[Any, Any, None]) -> None:
        self._started += 1
        number = self._started
        self.spoke()

        async def done() -> None:
            try:
                await work
            except Exception as error:
                # A fault in the program, such as a worker that lacks the activity: the case stays
                # open and says so, instead of ending as if the effect had come out.
                if is_cancelled_exception(error):
                    raise
                self._trouble = f"an effect failed: {error}"
                workflow.logger.exception("an effect failed")
            else:
                del self._tasks[number]
            self.news = True

        self._tasks[number] = (effects, asyncio.create_task(done()))

    # --- recording --------------------------------------------------------------------------------

    async def keep_recording(self) -> None:
        """Record events in order, all that wait in one call, for as long as the case runs."""
        while not self._rehearsed:
            # Not waited for when it is so already: what the opening brings is on its way before a
            # command is heard that came with it, as it is in a replay.
            if self.recorded == len(self.case.events):
                await workflow.wait_condition(lambda: self.recorded < len(self.case.events))
            first, last = self.recorded, len(self.case.events)
            batch = Batch(
                case_id=workflow.info().workflow_id,
                kind=self.case.KIND,
                events=[event.as_json() for event in self.case.events[first:last]],
                view=self.view(),
                personal=self._intake.personal() if first == 0 else None,
                policy_document=self.case.policy.document if first == 0 else None,
            )
            self._tell_attributes()
            self._recording = True
            recorded = await self._record(batch)
            self._recording, self.news = False, True
            self.recorded, self.number = last, recorded.number
            self._tell_attributes()

    async def _record(self, batch: Batch) -> Recorded:
        """Record a batch, however long the casebook is away.

        What it refuses for good is tried again every hour and shown meanwhile: the ladder goes on, and
        the events are kept here.
        """
        while True:
            self.spoke()
            try:
                recorded: Recorded = await workflow.execute_activity(
                    RECORD,
                    batch,
                    result_type=Recorded,
                    start_to_close_timeout=timedelta(seconds=20),
                    retry_policy=BACK_OFF,
                )
            except ActivityError as error:
                self._trouble = str(error.cause or error)
                workflow.logger.error("the ledger refused events", extra={"reason": self._trouble})
                await workflow.sleep(timedelta(hours=1), summary="until the ledger is tried again")
            else:
                self._trouble = None
                return recorded

    def _tell_attributes(self) -> None:
        view = self.view()
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
                f"{case_id}/{n.seq}/{n.name}",
                n.name,
                list(n.roles),
                n.clause,
                self.case.event(n.seq).as_json(),
                list(n.meets),
                n.acknowledge,
            )
            for n in notices
        ]
        rule = self.case.policy.digest
        burst = Burst(rule.more_than, rule.within.total_seconds()) if rule else None
        batch = NoticeBatch(case_id, self.view(), orders, burst)
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
        self.case.notices.came_out(notice, result.outcome, result.channel, at, result.reasons, **more)

    # --- paying and opening -----------------------------------------------------------------------

    async def _pay(self, payment: Payment) -> None:
        case_id = workflow.info().workflow_id
        order = PayoutOrder(case_id, f"{case_id}/payout", f"{payment.amount:.2f}")
        try:
            result: PayoutResult = await workflow.execute_activity(
                PAY,
                order,
                result_type=PayoutResult,
                schedule_to_close_timeout=PAYOUT_PATIENCE,
                start_to_close_timeout=timedelta(seconds=30),
                retry_policy=BACK_OFF,
                summary=f"pay {order.amount} yuan",
            )
        except ActivityError as error:
            self.case.payout_failed(str(error.cause or error), self._now())
            return
        if result.state == "paid":
            self.case.payout_made(result.reference, self._now())
        elif result.state == "failed":
            self.case.payout_failed(result.reason, self._now())

    async def _open(self, opening: Opening) -> None:
        """Start the other case as a workflow of its own; it lives on when this one ends."""
        personal = self._intake.personal()
        facts = {**opening.intake["facts"], **({"customer": personal["customer"]} if "customer" in personal else {})}
        content = {**opening.intake, "facts": facts, "policy": self._intake.policy}
        kind = KINDS[opening.kind]
        intake = read_intake(kind.INTAKE, content)
        case_id = f"{opening.kind}:{intake.key}"
        try:
            await workflow.start_child_workflow(
                kind.WORKFLOW,
                content,
                id=case_id,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                memo={"digest": intake.digest()},
            )
        except WorkflowAlreadyStartedError:
            refusal = Refused("conflict", f"{case_id} was filed already")
            self.case.refused("open_claim", SYSTEM, refusal, self._now())

    # --- what a kind has of its own -----------------------------------------------------------------

    async def _run(self, call: ActivityCall) -> None:
        """Run an activity of the kind's own, however long what it needs is away."""
        case_id, at = workflow.info().workflow_id, self.case.event(call.seq).at
        order = CallOrder(case_id, call.order, call.seq, at.isoformat(), self.case.policy.hash)
        result: dict[str, Any] = await workflow.execute_activity(
            call.activity,
            order,
            result_type=dict[str, Any],
            start_to_close_timeout=timedelta(minutes=10),
            heartbeat_timeout=timedelta(seconds=30),
            retry_policy=BACK_OFF,
        )
        self.case.activity_done(call, result, self._now())


def _given_up(error: ActivityError, orders: Sequence[NoticeOrder]) -> list[NoticeResult]:
    """Return what came of notices that could not all be delivered: the last attempt says which were."""
    cause = error.cause
    if isinstance(cause, TimeoutError) and isinstance(cause.cause, ApplicationError):
        cause = cause.cause
    if isinstance(cause, ApplicationError) and cause.type == "NoticeDelayed" and cause.details:
        return [NoticeResult(**result) for result in cause.details[0]]
    reasons = {"*": str(cause or error)}
    return [NoticeResult(order.id, order.name, order.roles, "failed", reasons=reasons) for order in orders]
