"""What goes wrong, as one line on stderr and an exit code."""

from __future__ import annotations

import sys

from cases.vocabulary.refusals import Refused
from starter.embedded import StackError
from starter.settings import SettingsError

OK, FAILED, BAD_INPUT = 0, 1, 2
# Refusals that say "this is not well formed" rather than "the rules do not allow this now".
_MALFORMED = frozenset(
    {"invalid", "unknown_kind", "unknown_command", "unknown_role", "unknown_policy", "bad_policy", "bad_directory"}
)


class BadInput(Exception):
    """An argument or a file that cannot be used: which, the value, and what is allowed."""


class Failed(Exception):
    """What was asked cannot be done now; the message says why and what to do."""


def say(message: str) -> None:
    """One line on stderr, as every error of the command line looks."""
    print(f"caseladder: {' '.join(message.split())}", file=sys.stderr)


def explained(error: Exception) -> tuple[str, int] | None:
    """The line and the exit code of an expected error; None for a fault of the program."""
    if isinstance(error, Refused):
        clause = f" [{error.clause}]" if error.clause else ""
        return f"{error.message}{clause}", BAD_INPUT if error.code in _MALFORMED else FAILED
    if isinstance(error, (BadInput, SettingsError)):
        return str(error), BAD_INPUT
    if isinstance(error, (Failed, StackError)):
        return str(error), FAILED
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error), FAILED
    # The rest can only come from modules that are loaded already: a command that needs no server
    # does not wait half a second for Temporal's client.
    if "temporalio" in sys.modules and (line := _from_outside(error)) is not None:
        return line, FAILED
    return None


def _from_outside(error: Exception) -> str | None:
    from temporalio.exceptions import FailureError, TemporalError
    from temporalio.service import RPCError, RPCStatusCode

    from activities.database.pool import BadDatabaseAddress, MigrationFailed
    from starter.connection import Unreachable

    silent = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION)
    if isinstance(error, RPCError):
        if error.status in silent:
            return f"no worker answers; start one with `caseladder worker` or `caseladder up` ({error.message})"
        return f"the Temporal server does not do it: {error.message} ({error.status.name})"
    if isinstance(error, FailureError):
        return error.message
    if isinstance(error, (TemporalError, Unreachable, BadDatabaseAddress, MigrationFailed)):
        return str(error)
    return None
