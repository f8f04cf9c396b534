"""The names that whoever starts a case and whoever runs it must agree on, beside those of the kinds and commands."""

from __future__ import annotations

from typing import Any

from cases.vocabulary.refusals import Refused

TASK_QUEUE = "cases"
# An update that changes nothing: it answers with the view once the case is open. Whoever files waits
# by it and not by queries: one that is answered while the workflow has news before it makes the run
# differ from its replay (temporalio 1.35).
OPENED = "opened"
# The type of the error by which Temporal carries a refusal; its first detail is ``{code, clause}``.
REFUSED = "Refused"


def refusal_of(error: Any) -> Refused | None:
    """Return the refusal that an error of Temporal carries (see `activities.refusals`); None for any other error."""
    if getattr(error, "type", None) != REFUSED or not error.details:
        return None
    return Refused(error.details[0]["code"], error.message, error.details[0]["clause"])
