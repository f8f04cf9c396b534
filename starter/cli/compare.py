"""The command ``audit compare``."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from starter.cli import output
from starter.cli.errors import FAILED, OK, say
from starter.cli.options import STACK, StackOptions

# So many differences are named; what comes after is counted.
MOST_NAMED = 1000


async def compare(*cases: str, options: StackOptions = STACK) -> int:
    """Compare the ledger with what the engine still holds, both ways. Exit code 1 if they differ.

    Every open case is compared, and every closed one for as long as the engine keeps what has ended. Needs no worker,
    and changes nothing. What differs is named by case, event and field, never by what stands there.

    Args:
        cases: only these, by their ids (complaint:KEY) or their numbers (2026-03-0007, inquiry/2026-03-0007).
        options: which stack.
    """
    from starter.recovery.compare import Comparison

    client = await options.client()
    ids = [await options.case_id(case) for case in cases]
    counts = dict.fromkeys(("cases", "events", "waiting", "not_held", "differing"), 0)
    named: list[dict[str, Any]] = []
    columns = (SpinnerColumn(), TextColumn("{task.completed} cases"), TimeElapsedColumn())
    async with options.database() as database:
        comparison = Comparison(client.temporal, database)
        with output.progress(*columns) as progress:
            task = progress.add_task("", total=None)
            async for found in comparison.run(ids):
                progress.advance(task)
                counts["cases"] += 1
                counts["events"] += found.events
                counts["waiting"] += found.waiting
                counts["not_held"] += found.not_held
                counts["differing"] += bool(found.differences)
                for one in found.differences[: MOST_NAMED - len(named)]:
                    named.append({"case_id": found.case_id, **dataclasses.asdict(one)})
                    if not options.json:
                        output.line(f"{found.case_id}: {one}")
    if options.json:
        output.print_json({"agrees": not counts["differing"], **counts, "differences": named})
    else:
        if counts["waiting"]:
            output.line(f"still to be recorded: {output.count(counts['waiting'], 'event')}")
        if counts["not_held"]:
            output.line(f"in the ledger alone, for the engine does not hold them any more: {counts['not_held']}")
    compared = f"{output.count(counts['events'], 'event')} of {output.count(counts['cases'], 'case')} compared"
    if counts["differing"]:
        say(f"the engine and the ledger differ in {output.count(counts['differing'], 'case')}; {compared}")
        return FAILED
    if not options.json:
        output.line(f"{compared}: the engine and the ledger agree")
    return OK
