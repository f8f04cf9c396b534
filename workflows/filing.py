"""Filing another case from a workflow: by the same door as everybody, so that every key gives one case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.messages import OPEN_CASE, Opened, OpenOrder
from cases.vocabulary.contract import refusal_of
from workflows.recording import BACK_OFF


async def file_case(kind: str, intake: dict[str, Any], parent: str | None = None) -> Opened:
    """File a case, which lives on by itself; whether it is new is in the answer.

    Args:
        kind: of the case to be filed.
        intake: as plain JSON.
        parent: the id of the case whose customer is the other's too.

    Raises:
        Refused: ``conflict`` (the key was filed with other content), or what keeps it from opening.
    """
    try:
        opened: Opened = await workflow.execute_activity(
            OPEN_CASE,
            OpenOrder(kind, intake, parent),
            result_type=Opened,
            start_to_close_timeout=timedelta(seconds=30),
            retry_policy=BACK_OFF,
        )
    except ActivityError as error:
        raise refusal_of(error.cause) or error from None
    return opened
