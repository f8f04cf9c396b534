"""A refusal of the rules as the error by which Temporal carries it; `cases.vocabulary.contract.refusal_of` reads it."""

from __future__ import annotations

from temporalio.exceptions import ApplicationError

from cases.vocabulary.contract import REFUSED
from cases.vocabulary.refusals import Refused


def failure(refusal: Refused) -> ApplicationError:
    """Return the error that lets the sender of an update, a workflow or an activity hear of a refusal."""
    details = {"code": refusal.code, "clause": refusal.clause}
    return ApplicationError(refusal.message, details, type=REFUSED, non_retryable=True)
