"""The command line ``caseladder``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import structlog
from cyclopts import App, CycloptsError

from starter.cli import (
    assess,
    audit,
    backup,
    calendar,
    cases,
    compare,
    erase,
    export,
    forms,
    keys,
    messages,
    migrate,
    notices,
    payouts,
    policies,
    recover,
    shifts,
    sign,
    staff,
    subscriptions,
    summary,
    system,
)
from starter.cli.errors import BAD_INPUT, FAILED, OK, explained, say
from starter.cli.release import release
from starter.cli.serve import serve
from starter.cli.up import up

HELP = """Runs customer-service rules as durable cases.

Answers go to stdout, as tables or with --json as one JSON value. An error is one line on stderr, with
--json too. Exit codes: 0 done, 1 refused or nobody answers, 2 bad input.
"""
INTERRUPTED = 130
audit.app.command(compare.compare)


def _app() -> App:
    app = App(name="caseladder", help=HELP, version=release, suppress_keyboard_interrupt=False)
    app.command(up)
    cases.register(app)
    assess.register(app)
    app.command(audit.app)
    app.command(payouts.app)
    app.command(policies.app)
    app.command(summary.app)
    app.command(calendar.app)
    app.command(staff.app)
    app.command(staff.duty)
    app.command(shifts.handover)
    app.command(shifts.swap)
    app.command(sign.app)
    forms.register(app)
    app.command(notices.app)
    app.command(subscriptions.app)
    app.command(export.export)
    app.command(serve)
    keys.register(app)
    messages.register(app)
    erase.register(app)
    system.register(app)
    backup.register(app)
    migrate.register(app)
    recover.register(app)
    return app


def main() -> int:
    """Run the command of this process's arguments and return its exit code."""
    # Answers alone go to stdout, also of a command that does not set up its logging.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe; what is left in the buffer is discarded.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    if "temporalio" in sys.modules:
        # The SDK's threads can abort the interpreter while it is taken down (temporalio/sdk-python
        # issue 300), so it is not taken down.
        sys.stderr.flush()
        os._exit(code)
    return code


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; an expected error is printed as one line."""
    try:
        code = _app()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        say(f"{error} (see caseladder --help)")
        return BAD_INPUT
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        expected = explained(error)
        if expected is None:
            raise
        say(expected[0])
        return expected[1]
    # --help and --version return None.
    return code if isinstance(code, int) else OK
