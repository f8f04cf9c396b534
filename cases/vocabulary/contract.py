"""The names that whoever starts a case and whoever runs it must agree on, beside those of the kinds and commands."""

from __future__ import annotations

from typing import Any

from cases.vocabulary.refusals import Refused

TASK_QUEUE = "cases"
# An update that changes nothing: it answers with the view once the case is open. Whoever files waits
# by it and not by queries: one that is answered while the workflow has news before it makes the run
# differ from its replay (temporalio 1.35).
OPENED = "opened"
# An update by which the ledger is compared with what the run of a case knows: what it lacks is appended.
RECORD_AGAIN = "record_again"
# Codes of refusals that say nothing of the command: sent again later, it may well be taken.
PASSING = frozenset({"busy", "superseded", "workflow_missing", "key_missing"})
# The type of the error by which Temporal carries a refusal; its first detail is ``{code, clause}``.
REFUSED = "Refused"


class UnreadablePayload(Exception):
    """Raised for what is encrypted and cannot be decrypted here; the message names the id of the key, and what to do.

    No refusal: what a case has taken must not be refused by a worker that lacks a key. The engine has the task of a
    workflow or an activity done again, until a worker can.
    """


def refusal_of(error: Any) -> Refused | None:
    """Return the refusal that an error of Temporal carries (see `activities.refusals`); None for any other error."""
    if getattr(error, "type", None) != REFUSED or not error.details:
        return None
    return Refused(error.details[0]["code"], error.message, error.details[0]["clause"])


def key_missing(error: UnreadablePayload) -> Refused:
    """Return what is said of a command that the worker cannot decrypt."""
    return Refused("key_missing", f"the worker cannot read it: {error}")


def missing(case_id: str) -> Refused:
    """Return what a command is answered on a case that only the ledger knows."""
    message = f"the workflow of {case_id} is missing: an operator runs `caseladder recover {case_id}`"
    return Refused("workflow_missing", message)
