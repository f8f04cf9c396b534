"""The message of ``caseladder up`` once everything is running: addresses, and commands to try."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from cases.vocabulary.refusals import Refused
from starter.cli import output
from starter.cli.options import StackOptions
from starter.embedded import Addresses, Ports
from starter.settings import Settings

if TYPE_CHECKING:
    from activities.casebook.search import Search
    from cases.directory import Person
    from starter.client import CaseClient


# How many sample people are listed.
MOST_PEOPLE = 20
# What is asked of whoever sends commands.
_COMMANDS = {
    "open": "open: whoever reaches Temporal is taken at their word (CASELADDER_COMMANDS=signed asks for proof)",
    "signed": "signed: everything that is sent proves its sender",
}
# Seconds to wait for the view of a case that is only an example.
_TIMEOUT = 5


@dataclass(frozen=True)
class Sample:
    """A sample case, and whether it was filed now."""

    id: str
    outcome: str


async def next_steps(cases: CaseClient, search: Search, options: StackOptions) -> list[str]:
    """Return three commands that work on the stack as it is."""
    program = [*_program()]
    where = [] if options.data is None else ["--data", str(options.data)]
    current = await _unacknowledged(cases, search)
    if current is None:
        key = f"demo-{token_hex(2)}"
        steps = [
            ["file", "complaint", "--key", key, "--set", "facts.category=delay"],
            ["list"],
            ["show", f"complaint:{key}"],
        ]
    else:
        steps = [
            ["list"],
            ["show", current["id"]],
            ["acknowledge", current["id"], "--by", f"{current['rung']}-1", "--role", current["rung"]],
        ]
    return [shlex.join([*program, *step, *where]) for step in steps]


async def _unacknowledged(cases: CaseClient, search: Search) -> dict[str, Any] | None:
    """Return the view of a case that waits to be taken up; None if there is none or it does not answer."""
    from temporalio.exceptions import TemporalError

    from activities.casebook.filter import Filter
    from cases.registry import KINDS

    climbing = frozenset(name for name, kind in KINDS.items() if kind.CLIMBS)
    page = await search.page(Filter(status="open"), units=None, kinds=climbing, limit=1000)
    found = next((view for view in page.cases if not view["acknowledged"]), None)
    if found is None:
        return None
    try:
        # The workflow is asked because after a restart the casebook may not yet show the current holder.
        async with asyncio.timeout(_TIMEOUT):
            view = await cases.case(found["id"])
    except (TimeoutError, TemporalError, Refused):
        return None
    return None if view["acknowledged"] else view


def _program() -> list[str]:
    """Return the command line that calls this program from the current folder."""
    called = Path(sys.argv[0])
    if called.name != "caseladder":
        return [sys.executable, "-m", "caseladder"]
    return ["caseladder"] if shutil.which("caseladder") else [os.path.relpath(called)]


def welcome(
    options: StackOptions,
    settings: Settings,
    addresses: Addresses,
    log: Path,
    samples: list[Sample],
    steps: list[str],
    api: str,
    people: Sequence[Person],
) -> None:
    """Print that everything is running, at which addresses, and what to try."""
    shown = {
        "console": f"{api}/console/",
        "api": f"{api}/api/v1",
        "ui": addresses.ui,
        "temporal": addresses.temporal,
        "namespace": addresses.namespace,
        "database": _without_password(settings.database_url),
        "mail": _without_password(settings.smtp_url),
        "commands": settings.commands,
        "logs": str(log.parent),
    }
    if options.json:
        filed = [{"id": sample.id, "outcome": sample.outcome} for sample in samples]
        known = [{"id": one.id, "role": one.role, "unit": one.unit or None} for one in people]
        output.print_json({"pid": addresses.pid, **shown, "people": known, "samples": filed, "next": steps})
        sys.stdout.flush()
        return
    output.fields([(sample.id, sample.outcome) for sample in samples])
    preferred = Ports()
    taken = [port for port in (preferred.temporal, preferred.ui) if not _uses_port(addresses, port)]
    embedded = settings.database_url == SecretStr(addresses.database_url)
    password = f" (password in {settings.data / 'stack.json'})" if embedded else ""
    output.line("")
    output.fields(
        [
            ("Console", shown["console"]),
            ("API", shown["api"]),
            ("Temporal UI", shown["ui"]),
            ("Temporal", f"{shown['temporal']} (namespace {shown['namespace']})"),
            ("PostgreSQL", f"{shown['database']}{password}"),
            ("Mail", shown["mail"]),
            ("Commands", _COMMANDS[settings.commands]),
            ("Logs", shown["logs"]),
            ("Taken", f"{' and '.join(map(str, taken))} by another program, so free ports are used" if taken else None),
        ]
    )
    if people:
        output.line("\nLog in as one of these, or call the API with their token (`caseladder token ID`):\n")
        output.table(("id", "role", "unit"), [(one.id, one.role, one.unit) for one in people[:MOST_PEOPLE]])
        if len(people) > MOST_PEOPLE:
            output.line(f"and {len(people) - MOST_PEOPLE} more (caseladder staff export)")
    elif settings.access is None:
        output.line(
            "\nNobody can log in: the directory of staff is empty. Import it with `caseladder staff import`, or"
        )
        output.line("start with --examples for sample people.")
    output.line("\nEverything runs. In another terminal, try:\n")
    for step in steps:
        output.line(f"  {step}")
    output.line("\nCtrl-C stops all of it; the next start goes on where this one ended.")
    sys.stdout.flush()


def _uses_port(addresses: Addresses, port: int) -> bool:
    return f":{port}" in (addresses.temporal[-5:], addresses.ui[-5:])


def _without_password(secret: SecretStr | None) -> str:
    """Return an address without its password."""
    if secret is None:
        return ""
    parts = urlsplit(secret.get_secret_value())
    if parts.scheme == "maildir":
        return parts.path
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username and parts.scheme.startswith("postgres") else ""
    return f"{parts.scheme}://{user}{host}{parts.path}"
