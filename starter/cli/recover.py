"""The command ``recover``: cases that are stuck, lost or behind go on from the ledger."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from starter.cli import output
from starter.cli.errors import FAILED, OK, BadInput, say
from starter.cli.options import STACK, StackOptions

if TYPE_CHECKING:
    from temporalio.client import Client

    from activities.database.database import Database
    from starter.recovery.recovery import Mode, Outcome, Recovery

Flag = Annotated[bool, Parameter(negative="")]


def register(app: App) -> None:
    """Add the command."""
    app.command(recover)


async def recover(
    *cases: Annotated[str, Parameter(name="CASE")],
    all_open: Flag = False,
    engine_lost: Flag = False,
    from_engine: Flag = False,
    dry_run: Flag = False,
    discard: Flag = False,
    options: StackOptions = STACK,
) -> int:
    """Bring cases back: start them again from their ledgers, or let a restored ledger take over what the engine knows.

    May be repeated and stopped at any time. Exit code 1 names what could not be brought back. See docs/operations.md.

    Args:
        cases: ids or numbers of cases that are stuck: each is started again from its ledger.
        all_open: every open case, as if each were named.
        engine_lost: the engine lost its cases: every open case that it does not know is started from its ledger. What
            waited after `caseladder migrate --restored` goes on, as it does after --all-open, if the engine knows
            nothing that the ledger lacks.
        from_engine: the ledger was restored to an earlier time: it takes over what the engine knows beyond it, with
            numbers and payments; openings and payments wait meanwhile.
        dry_run: change nothing; say case by case what would be done.
        discard: start a case again also where commands that were answered are lost by it; they are shown either way.
        options: which stack.
    """
    from starter.checkpoints import sign_now
    from starter.recovery.recovery import Recovery

    modes: list[Mode] = []
    if cases:
        modes.append("named")
    if all_open:
        modes.append("all-open")
    if engine_lost:
        modes.append("engine-lost")
    if from_engine:
        modes.append("from-engine")
    if len(modes) != 1:
        raise BadInput("say which: CASE..., --all-open, --engine-lost or --from-engine, one of them")
    client = await options.client()
    ids = [await options.case_id(case) for case in cases]
    async with options.database() as database:
        recovery = Recovery(client.temporal, database, dry_run=dry_run, discard=discard)
        outcomes = await follow(recovery, modes[0], ids)
        clashes = await recovery.clashes() if from_engine else []
        waits = await recovery.waits()
        signed = await sign_now(options.settings(), database) if recovery.went_on else []
        if engine_lost and not dry_run and not options.json:
            await _plan_the_rest(client.temporal, database)
    code = report(outcomes, clashes, options, dry_run=dry_run, went_on=recovery.went_on, waits=waits)
    for said in [] if options.json else signed:
        output.line(said)
    return code


async def _plan_the_rest(client: Client, database: Database) -> None:
    """Start what runs beside the cases and is not a case itself; a worker starts the subscriptions."""
    from activities.people.directory import DirectoryBook
    from starter.handover import plan_handovers

    waiting = await plan_handovers(client, (await DirectoryBook(database).read()).shifts)
    if waiting:
        output.line(f"ends of shifts waited for, by the policy default: {waiting} (else: caseladder duty import)")
    output.line("month-end summaries are not scheduled any more, if they were: caseladder summary schedule")


async def follow(recovery: Recovery, mode: Mode, ids: list[str]) -> list[Outcome]:
    """Run to the end, with a line of progress on a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.completed} cases"), TimeElapsedColumn())
    outcomes: list[Outcome] = []
    with output.progress(*columns) as progress:
        task = progress.add_task("", total=None)
        async for outcome in recovery.run(mode, ids):
            outcomes.append(outcome)
            progress.advance(task)
    return outcomes


def report(
    outcomes: list[Outcome], clashes: list[str], options: StackOptions, *, dry_run: bool, went_on: bool, waits: bool
) -> int:
    """Print what became of the cases, and whether openings and payments wait; return the exit code."""
    from activities.casebook.errors import WAITING

    outcomes = sorted(outcomes, key=lambda outcome: outcome.case_id)
    failed = [outcome for outcome in outcomes if outcome.why_not]
    if options.json:
        cases = [dataclasses.asdict(outcome) for outcome in outcomes]
        output.print_json({"dry_run": dry_run, "cases": cases, "clashes": clashes, "waiting": waits})
    else:
        would = "would be " if dry_run else ""
        for outcome in outcomes:
            for line in lines_of(outcome, would):
                output.line(line)
        recorded = sum(outcome.recorded for outcome in outcomes)
        restarted = sum(outcome.restarted for outcome in outcomes)
        output.line(
            f"{output.count(len(outcomes), 'case')} looked at; {would}started from the ledger: {restarted}; "
            f"events {would}taken over from the engine: {recorded}"
        )
        for clash in clashes:
            output.line(f"given out twice before: {clash}")
        if went_on:
            output.line("new cases get their numbers and payments are made again")
        elif waits and not dry_run:
            output.line(WAITING)
    if failed:
        say(f"{output.count(len(failed), 'case')} not brought back: {failed[0].case_id}: {failed[0].why_not}")
        return FAILED
    return OK


def lines_of(outcome: Outcome, would: str) -> list[str]:
    """Say what became of a case, if anything did."""
    lines = []
    if outcome.recorded:
        events = output.count(outcome.recorded, "event")
        lines.append(f"{outcome.case_id}: {events} {would}taken over from the engine")
    if outcome.restarted:
        lines.append(f"{outcome.case_id}: {would}started from the ledger")
    if outcome.ended:
        lines.append(f"{outcome.case_id}: has closed, as the ledger has it; its run {would}ended")
    lines += [f"{outcome.case_id}: answered, and in no ledger: {one}" for one in outcome.lost]
    if outcome.why_not:
        lines.append(f"{outcome.case_id}: not brought back: {outcome.why_not}")
    return lines
