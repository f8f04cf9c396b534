"""A refusal of the rules as Temporal carries it: the one place that turns one into the other."""

from __future__ import annotations

from temporalio.exceptions import ApplicationError

from cases.vocabulary.refusals import Refused

# The type of the error. Its first detail is ``{code, clause}``.
TYPE = "Refused"


def failure(refusal: Refused) -> ApplicationError:
    """Return the error that lets the sender of an update, a workflow or an activity hear of a refusal."""
    details = {"code": refusal.code, "clause": refusal.clause}
    return ApplicationError(refusal.message, details, type=TYPE, non_retryable=True)


def refusal_of(error: BaseException | None) -> Refused | None:
    """Return the refusal that an error carries; None for any other error."""
    if isinstance(error, ApplicationError) and error.type == TYPE and error.details:
        return Refused(error.details[0]["code"], error.message, error.details[0]["clause"])
    return None
