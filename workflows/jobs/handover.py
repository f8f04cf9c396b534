"""The workflow ``ShiftEnd``: waits for the end of one shift and begins its handover."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from activities.messages import SHIFT_END, ShiftOrder
    from activities.messages import ShiftEnd as Ending
    from cases.kinds.handover import key_of
    from cases.vocabulary.refusals import Refused, invalid
    from cases.vocabulary.values import Model, Token

from workflows.filing import file_case
from workflows.moving import go_on, moving
from workflows.recording import BACK_OFF
from workflows.shell import fail

# The roster is read again after every such time, also when nobody says that it changed.
LONGEST_SLEEP = timedelta(days=30)


class Awaited(Model):
    """Whose end is waited for, and by which policy it is handed over."""

    shift: Token
    policy: Token = "default"


@workflow.defn(name="ShiftEnd")
class ShiftEnd:
    """Sleeps until a shift is about to end and begins its handover (S4-3.3.1).

    The roster may change meanwhile, so it is read when the time has come and when the signal
    ``roster_changed`` says so: a shift that is gone ends this, one that has moved is waited for anew.
    """

    def __init__(self) -> None:
        """Nothing has changed yet."""
        self._changed = False

    @workflow.signal
    def roster_changed(self) -> None:
        """Read the roster again."""
        self._changed = True

    @workflow.run
    async def run(self, raw: Any = None) -> dict[str, Any]:
        """Wait, gather, start the case, and answer with its id, or with why there is none.

        Fails with ``Refused``: a wrong input, an unknown policy, one without handovers.
        """
        try:
            awaited = Awaited.model_validate({} if raw is None else raw)
        except ValidationError as error:
            fail(invalid(error, "shift_end"))
        while True:
            self._changed = False
            if moving():
                go_on(raw)
            ending = await self._look(awaited, gather=False)
            if ending.state != "coming":
                return {"id": None, "why": ending.state}
            wait = datetime.fromisoformat(ending.tell_at) - workflow.now()
            if wait > timedelta(0):
                await self._sleep(min(wait, LONGEST_SLEEP))
                continue
            ending = await self._look(awaited, gather=True)
            if ending.facts:
                return await self._begin(ending.facts, awaited.policy)

    async def _sleep(self, span: timedelta) -> None:
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._changed, timeout=span, timeout_summary="until the shift is about to end"
            )

    async def _look(self, awaited: Awaited, *, gather: bool) -> Ending:
        # Patiently: a casebook that is away must not cost a handover.
        found: Ending = await workflow.execute_activity(
            SHIFT_END,
            ShiftOrder(awaited.shift, awaited.policy, gather),
            result_type=Ending,
            start_to_close_timeout=timedelta(minutes=1),
            retry_policy=BACK_OFF,
        )
        return found

    async def _begin(self, facts: dict[str, Any], policy: str) -> dict[str, Any]:
        """File the case, which lives on by itself."""
        content = {"key": key_of(facts["shift"]), "policy": policy, "facts": facts}
        try:
            opened = await file_case("handover", content)
        except Refused as refusal:
            if refusal.code != "conflict":
                fail(refusal)
            # It was filed by the roster as it was then.
            return {"id": f"handover:{content['key']}", "new": False}
        return {"id": opened.id, "new": opened.new}
