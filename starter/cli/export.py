"""The command ``export``: cases and events as CSV and XLSX files."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal
from zoneinfo import ZoneInfo

from cyclopts import Parameter

from starter.cli import output
from starter.cli.errors import OK
from starter.cli.filters import EVERYTHING, Filters, read_filter
from starter.cli.kinds import check_kind_asked
from starter.cli.options import STACK, StackOptions

if TYPE_CHECKING:  # the pages take a while to import
    from starter.console.tables import Tables


async def export(
    what: Literal["cases", "events"],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], allow_leading_hyphen=True)],
    format: Literal["csv", "xlsx"] = "csv",
    raw: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    language: Literal["zh", "en"] | None = None,
    filters: Filters = EVERYTHING,
    options: StackOptions = STACK,
) -> int:
    """Write cases, or every event of them, into a file. Every filter given must hold.

    Neither holds personal data or what people wrote. Events come case by case, in order. Columns and values
    are in words, and instants in the zone of the policy, for people and their spreadsheets. With --raw they
    have the names and values of the API, and events the column names of the XES standard (case:concept:name,
    concept:name, time:timestamp, org:resource), which process-mining tools know.

    Args:
        what: cases, one a row, or events, one a row.
        out: the file, which is written anew; - writes to stdout.
        format: csv or xlsx.
        raw: for programs: names and values as they are recorded, instants as RFC 3339.
        language: of the words, zh or en; by default that of the locale, LC_ALL, LC_MESSAGES or LANG.
    """
    # The driver of the database and the writer of workbooks take a while to import.
    from activities.casebook.search import OPERATOR
    from starter import exports
    from starter.finding import searching

    filter = read_filter(filters)
    check_kind_asked(filter.kind, options)
    async with options.database() as database, _target(out) as file:
        search = searching(database, options.settings(), options.forms)
        columns: Sequence[str] = exports.COLUMNS if what == "cases" else exports.EVENT_COLUMNS
        tables = None if raw else _tables(options, language or _of_locale())
        of = tables or exports
        if what == "cases":
            rows = of.case_rows(search.rows(filter, units=None, kinds=None, reader=OPERATOR))
        else:
            rows = of.event_rows(search.event_rows(filter, units=None, kinds=None, reader=OPERATOR))
        heads = columns if tables is None else tables.heads(columns)
        count = await exports.write(rows, heads, file, format, marked=tables is not None)
    if str(out) == "-":
        return OK
    if options.json:
        output.print_json({"rows": count, "file": str(out)})
    else:
        output.line(f"{output.count(count, 'row')} in {out}")
    return OK


def _tables(options: StackOptions, language: str) -> Tables:
    """Return the tables for people who read a language, in the zone of the default policy."""
    from activities.policies.store import Policies
    from starter.console.tables import Tables
    from starter.console.translations import translations

    settings = options.configured()
    words = translations(settings.templates, options.forms())[language]
    return Tables(words, ZoneInfo(Policies(settings.policies).load("default").zone))


def _of_locale() -> str:
    """Return the language of the locale: Chinese, or English for every other."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next(filter(None, names), "").startswith("zh") else "en"


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
