"""Errors of the command line: one line on stderr, and an exit code."""

from __future__ import annotations

import sys

from cases.vocabulary.refusals import Refused
from starter.embedded import StackError
from starter.settings import SettingsError

OK, FAILED, BAD_INPUT = 0, 1, 2
# Codes of refusals that mean malformed input; the others mean that the rules do not allow it now.
_MALFORMED = frozenset(
    {"invalid", "unknown_kind", "unknown_command", "unknown_role", "unknown_policy", "bad_policy", "bad_directory"}
)


class BadInput(Exception):
    """Raised for an argument or a file that cannot be used; the message names it, its value and what is allowed."""


class Failed(Exception):
    """Raised when a command cannot be carried out now; the message says why and what to do."""


def say(message: str) -> None:
    """Print an error as one line on stderr."""
    print(f"caseladder: {' '.join(message.split())}", file=sys.stderr)


def explained(error: Exception) -> tuple[str, int] | None:
    """Return the message and the exit code of an expected error; None for any other."""
    if isinstance(error, Refused):
        clause = f" [{error.clause}]" if error.clause else ""
        return f"{error.message}{clause}", BAD_INPUT if error.code in _MALFORMED else FAILED
    if isinstance(error, (BadInput, SettingsError)):
        return str(error), BAD_INPUT
    if isinstance(error, (Failed, StackError)):
        return str(error), FAILED
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error), FAILED
    # The other errors come from modules that import Temporal's client, which takes half a second; if
    # it has not been imported, none of them was raised.
    if "temporalio" in sys.modules and (line := _from_outside(error)) is not None:
        from activities.database.errors import TooPowerful

        return line, BAD_INPUT if isinstance(error, TooPowerful) else FAILED
    return None


def _from_outside(error: Exception) -> str | None:
    from temporalio.exceptions import FailureError, TemporalError
    from temporalio.service import RPCError, RPCStatusCode

    from activities.database.errors import BadDatabaseAddress, MigrationFailed
    from cases.vocabulary.contract import UnreadablePayload
    from starter.connection import Unreachable
    from starter.encryption import BadPayloadKeys

    unanswered = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION)
    if isinstance(error, RPCError):
        if error.status in unanswered:
            return f"no worker answers; start one with `caseladder worker` or `caseladder up` ({error.message})"
        return f"the Temporal server does not do it: {error.message} ({error.status.name})"
    if isinstance(error, FailureError):
        return error.message
    if isinstance(error, UnreadablePayload):
        return f"the answer cannot be read, and what was asked may be done all the same: {error}"
    if isinstance(error, (TemporalError, Unreachable, BadDatabaseAddress, MigrationFailed, BadPayloadKeys)):
        return str(error)
    return None
