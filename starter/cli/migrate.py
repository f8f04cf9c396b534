"""The command ``migrate``: database, namespace and running cases are brought up to this build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from starter.cli import output
from starter.cli.errors import FAILED, OK, Failed, say
from starter.cli.options import STACK, StackOptions
from starter.cli.recover import follow, lines_of

if TYPE_CHECKING:
    from temporalio.client import Client

    from starter.recovery.deployment import Moved

Flag = Annotated[bool, Parameter(negative="")]


def register(app: App) -> None:
    """Add the command."""
    app.command(migrate)


async def migrate(*, restored: Flag = False, discard: Flag = False, options: StackOptions = STACK) -> int:
    """Bring the database, the Temporal namespace and the running cases up to this build. May be repeated at any time.

    With CASELADDER_DEPLOYMENT set, start the new workers first: new cases go to them, running ones are brought over
    one by one. Without it stop the old workers first: running cases that other rules started are started again from
    their ledgers. Exit code 1 names the cases that could not be brought over.

    Args:
        restored: the database was restored to an earlier time, or may have been: new cases wait for their numbers, and
            payments wait, until `caseladder recover` has brought ledger and engine together.
        discard: start a case again also where commands that were answered are lost by it; they are shown either way.
        options: which stack.
    """
    from activities.casebook.errors import WAITING
    from activities.database.database import Database
    from activities.database.migrate import migrate as migrate_database
    from starter.connection import connect
    from starter.embedded.temporal import register_search_attributes
    from starter.recovery.recovery import Recovery
    from starter.retention import advise
    from workflows.attributes import TYPES

    # Connect to both before changing either.
    settings = options.settings()
    url, owner = options.database_url(), options.owner_url()
    client = await connect(settings.data)
    # Where it can be told that a dump has come to another server, nobody has to say so.
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with output.progress(*columns) as progress:
        task = progress.add_task("database", total=None)

        def found(left: int) -> None:
            progress.update(task, description=f"database: cases still to be found by more: {left}")

        waits = await migrate_database(owner, restored=restored or None, progress=found)
    await register_search_attributes(client, TYPES)
    advice = await advise(client)
    moved = [] if settings.deployment is None else await _bring_over(client, settings.deployment)
    async with Database.open(url, connections=settings.database_connections) as database:
        restarted = await follow(Recovery(client, database, discard=discard), "other-rules", [])
    failed = {one.id: one.why_not for one in moved if one.why_not}
    failed |= {one.case_id: one.why_not for one in restarted if one.why_not}
    started = [one.case_id for one in restarted if one.restarted]
    if options.json:
        done: dict[str, Any] = {"database": "up to date", "namespace": client.namespace, "search_attributes": TYPES}
        done["waiting"] = waits
        done |= {"moved": len(moved) - sum(bool(one.why_not) for one in moved), "restarted": sorted(started)}
        output.print_json({**done, "not_brought_over": failed, "warnings": [] if advice is None else [advice]})
    else:
        output.line("database: up to date")
        if waits:
            output.line(WAITING)
        output.line(f"namespace {client.namespace}: search attributes {', '.join(TYPES)}")
        if settings.deployment is not None:
            slowest = max((one.seconds for one in moved), default=0.0)
            output.line(f"{settings.deployment} is current; brought over: {len(moved)}, the slowest in {slowest:.2f} s")
        for outcome in restarted:
            for line in lines_of(outcome, ""):
                output.line(line)
        if started:
            output.line(f"running cases of other rules, started again from their ledgers: {len(started)}")
        if advice is not None:
            output.line(f"warning: {advice}")
    if failed:
        case, why = next(iter(sorted(failed.items())))
        say(f"{output.count(len(failed), 'case')} not brought over: {case}: {why}")
        return FAILED
    return OK


async def _bring_over(client: Client, deployment: str) -> list[Moved]:
    """Make a build the current one and have running workflows continue on it, with a line of progress.

    Raises:
        Failed: no worker of the build polls.
    """
    from starter.recovery.deployment import NotPolling, bring_over, make_current, version_of

    version = version_of(deployment)
    try:
        await make_current(client, version)
    except NotPolling as error:
        raise Failed(str(error)) from None
    columns = (SpinnerColumn(), TextColumn("{task.completed} brought over"), TimeElapsedColumn())
    moved: list[Moved] = []
    with output.progress(*columns) as progress:
        task = progress.add_task("", total=None)
        async for one in bring_over(client, version):
            moved.append(one)
            progress.advance(task)
    return moved
