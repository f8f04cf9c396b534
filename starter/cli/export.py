"""The command ``export``: cases and events as CSV and XLSX files."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from cyclopts import Parameter

from starter.cli import output
from starter.cli.errors import OK
from starter.cli.intake import read_instant
from starter.cli.options import STACK, StackOptions


async def export(
    what: Literal["cases", "events"],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], allow_leading_hyphen=True)],
    format: Literal["csv", "xlsx"] = "csv",
    kind: str | None = None,
    status: Literal["open", "resolved", "closed", "active"] | None = None,
    rung: str | None = None,
    holder: str | None = None,
    unit: str | None = None,
    severity: Literal["normal", "serious", "critical"] | None = None,
    breached: str | None = None,
    waybill: str | None = None,
    text: str | None = None,
    opened_from: str | None = None,
    opened_to: str | None = None,
    options: StackOptions = STACK,
) -> int:
    """Write cases, or every event of them, into a file. Every filter given must hold.

    Neither holds personal data or what people wrote. Events come case by case, in order, with the
    column names of the XES standard (case:concept:name, concept:name, time:timestamp, org:resource),
    which process-mining tools know.

    Args:
        what: cases, one a row, or events, one a row.
        out: the file, which is written anew; - writes to stdout.
        format: csv or xlsx.
        kind: complaint, claim, exception, inquiry, ...
        status: active is what is not closed.
        rung: who holds it: agent, supervisor, ...
        holder: the staff id of who holds it.
        breached: the name of a clock that was breached: resolution, interim_reply, ...
        text: words of key, number, waybill, unit, category, factor, source, policy or outcome.
        opened_from: opened at this RFC 3339 instant or later.
        opened_to: opened before this RFC 3339 instant.
    """
    # The driver of the database and the writer of workbooks take a while to import.
    from activities.casebook import search
    from starter import exports

    filter = search.Filter(
        kind=kind, status=status, rung=rung, holder=holder, unit=unit, severity=severity, breached=breached,
        waybill=waybill, text=text,
        opened_from=None if opened_from is None else read_instant(opened_from, "--opened-from"),
        opened_to=None if opened_to is None else read_instant(opened_to, "--opened-to"),
    )  # fmt: skip
    async with search.connect(options.database_url(), size=1) as read, _target(out) as file:
        seen: dict[str, Any] = {"units": None, "kinds": None}
        if what == "cases":
            rows = exports.case_rows(read.rows(filter, **seen))
            count = await exports.write(rows, exports.COLUMNS, file, format)
        else:
            rows = exports.event_rows(read.event_rows(filter, **seen))
            count = await exports.write(rows, exports.EVENT_COLUMNS, file, format)
    if str(out) == "-":
        return OK
    if options.json:
        output.print_json({"rows": count, "file": str(out)})
    else:
        output.line(f"{output.count(count, 'row')} in {out}")
    return OK


@asynccontextmanager
async def _target(out: Path) -> AsyncIterator[BinaryIO]:
    """Open the file to write; it gets its name only when the block has ended without an error."""
    if str(out) == "-":
        yield sys.stdout.buffer
        return
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        os.replace(part, out)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
