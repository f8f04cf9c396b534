"""The workflow ``Subscription``: keeps the events of the ledger going to one subscriber."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.messages import PUMP_EVENTS, DeliveryOrder, DeliveryResult

from workflows.moving import go_on, moving

# Of its own, so that subscribers who take their time leave the cases' workers free.
EVENTS_QUEUE = "events"
# An attempt names its own wait when a subscriber fails; this is for a database that is away.
BACK_OFF = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))


@workflow.defn(name="Subscription")
class Subscription:
    """Delivers events as long as a subscription is active; its id is ``subscription:{id}``.

    Where it stands is in the database, so it may be started again at any time.
    """

    def __init__(self) -> None:
        self._woken = False
        self._delivery: workflow.ActivityHandle[DeliveryResult] | None = None

    @workflow.signal
    def wake(self) -> None:
        """Look at the subscription again now: it was changed."""
        self._woken = True

    @workflow.run
    async def run(self, id: str) -> str:
        """Have events delivered until the subscription is parked or removed, and answer with which."""
        while True:
            self._woken = False
            self._delivery = delivery = workflow.start_activity(
                PUMP_EVENTS,
                DeliveryOrder(id),
                result_type=DeliveryResult,
                task_queue=EVENTS_QUEUE,
                start_to_close_timeout=timedelta(minutes=20),
                heartbeat_timeout=timedelta(seconds=6),
                retry_policy=BACK_OFF,
                # Two that deliver at the same time would mix up the order.
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
            await workflow.wait_condition(self._moved)
            if not delivery.done():
                delivery.cancel()
                with suppress(ActivityError):
                    await delivery
            elif (result := await delivery).state != "active" and not self._woken:
                return str(result.state)
            if workflow.info().is_continue_as_new_suggested() or moving():
                go_on(id)

    def _moved(self) -> bool:
        return self._woken or (self._delivery is not None and self._delivery.done())
