"""How a run comes to its case: opened from an intake, unless the ledger has it, or loaded from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.messages import BEGIN, LOAD, BeginOrder, Begun, Loaded, LoadOrder, Mark
from activities.senders.statement import said_of_intake
from cases.case import Case
from cases.kinds.form_fields import AnyFormIntake
from cases.policy.model import Policy
from cases.registry import kind_of
from cases.vocabulary.contract import refusal_of
from cases.vocabulary.facts import Intake
from cases.vocabulary.refusals import Refused
from workflows import state
from workflows.recording import BACK_OFF

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Taken:
    """A case that this run has taken over from the ledger.

    Args:
        seen: the requests that were answered, by id.
        mark: recognizes its intake; None where that was erased.
    """

    case: Case
    number: str | None
    seen: dict[str, state.Seen]
    mark: Mark | None


async def begin(intake: Intake) -> Begun:
    """Ask for the policy of a new case, whether the ledger has the case already, and whether it is its sender's.

    Raises:
        Refused: nobody knows the policy, or ``unsigned``.
    """
    info = workflow.info()
    filed, form = info.workflow_start_time.isoformat(), None
    said = None if isinstance(intake, AnyFormIntake) else said_of_intake(info.workflow_id, intake)
    if isinstance(intake, AnyFormIntake) and intake.proof is not None:
        form = intake.model_dump(mode="json", exclude_unset=True)
    order = BeginOrder(info.workflow_id, intake.policy, info.first_execution_run_id, said, filed, form)
    return await _ask(BEGIN, order, Begun)


async def load(kind: str, wanted: state.FromLedger) -> Taken:
    """Take a case of a kind over as the ledger has it, part by part; from then on this run holds it.

    Raises:
        Refused: ``not_found``, ``ledger_broken``, ``ledger_behind`` (the ledger ends too early), or ``superseded``
            (by a run that took the case over meanwhile).
    """
    info = workflow.info()
    first: Loaded = await _ask(LOAD, LoadOrder(info.workflow_id, info.first_execution_run_id), Loaded)
    if wanted.head_seq is not None and first.head_seq < wanted.head_seq:
        message = f"the ledger ends at seq {first.head_seq} and was at {wanted.head_seq}: restore a later backup"
        raise Refused("ledger_behind", message)
    if first.policy_document is None:
        raise Refused("ledger_broken", f"{info.workflow_id}: the policy that it is pinned to is not in the ledger")
    policy = Policy.from_document(first.policy_document)
    replayed, last = kind_of(kind, policy)(policy), first
    # Part by part, each in a workflow task of its own: a task has two seconds.
    replayed.follow(state.unpack(first.events))
    while last.last_seq < first.head_seq:
        order = LoadOrder(info.workflow_id, info.first_execution_run_id, after=last.last_seq)
        last = await _ask(LOAD, order, Loaded)
        replayed.follow(state.unpack(last.events))
    replayed.end_step()
    seen = {one.id: state.Seen(digest=one.mark.digest, salt=one.mark.salt) for one in first.requests}
    return Taken(replayed, first.number, seen, first.intake)


async def _ask(activity: str, order: Any, answer: type[Answer]) -> Answer:
    """Ask the casebook, however long it is away.

    Raises:
        Refused: it says no.
    """
    try:
        answered: Answer = await workflow.execute_activity(
            activity, order, result_type=answer, start_to_close_timeout=timedelta(seconds=20), retry_policy=BACK_OFF
        )
    except ActivityError as error:
        raise _refusal(error.cause) or error from None
    return answered


def _refusal(cause: BaseException | None) -> Refused | None:
    """Return what a run is refused with that cannot have its case; None for a fault."""
    if not isinstance(cause, ApplicationError):
        return None
    match cause.type:
        case "NoSuchCase":
            return Refused("not_found", cause.message)
        case "Superseded":
            return Refused("superseded", cause.message)
        case "LedgerBroken":
            return Refused("ledger_broken", cause.message)
    return refusal_of(cause)
