"""The command ``export``: cases and events as CSV and XLSX files."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

from cyclopts import Parameter

from starter.cli import output
from starter.cli.errors import OK
from starter.cli.filters import EVERYTHING, Filters, read_filter
from starter.cli.kinds import check_kind_asked
from starter.cli.options import STACK, StackOptions


async def export(
    what: Literal["cases", "events"],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], allow_leading_hyphen=True)],
    format: Literal["csv", "xlsx"] = "csv",
    filters: Filters = EVERYTHING,
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
    """
    # The driver of the database and the writer of workbooks take a while to import.
    from activities.casebook.search import Search
    from starter import exports

    filter = read_filter(filters)
    check_kind_asked(filter.kind, options)
    async with options.database() as database, _target(out) as file:
        search = Search(database)
        if what == "cases":
            rows = exports.case_rows(search.rows(filter, units=None, kinds=None))
            count = await exports.write(rows, exports.COLUMNS, file, format)
        else:
            rows = exports.event_rows(search.event_rows(filter, units=None, kinds=None))
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
