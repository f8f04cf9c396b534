"""The commands ``backup`` and ``restore`` of the embedded stack."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from starter.cli import output
from starter.cli.errors import OK, BadInput
from starter.cli.options import STACK, StackOptions
from starter.cli.release import release
from starter.embedded import backup as stack
from starter.embedded.backup import Scope, Tell

Flag = Annotated[bool, Parameter(negative="")]
# What must be done once the restored stack runs, for the cases to be whole.
_NEXT: dict[Scope, str] = {
    "all": "caseladder audit verify",
    "engine-lost": "caseladder recover --engine-lost",
    "ledger-only": "caseladder recover --from-engine",
}


def register(app: App) -> None:
    """Add the commands."""
    app.command(backup)
    app.command(restore)


async def backup(file: Path, /, *, options: StackOptions = STACK) -> int:
    """Write a backup of the embedded stack into one file, whether it runs or not.

    It holds both databases as they were at one instant, the keys and the mail. Keep it as you keep the data folder:
    everything about customers is in it, and what the stack signs with.

    Args:
        file: the file to write, which must not exist yet.
        options: which stack.
    """
    data = _folder(options)
    with _steps() as tell:
        manifest = await stack.back_up(data, file, release(), tell)
    size = _size(file)
    if options.json:
        output.print_json({"file": str(file), "bytes": size, **dataclasses.asdict(manifest)})
    else:
        output.line(f"{file}: {size / 1e6:.1f} MB, {data} as of {output.instant(manifest.at)}")
    return OK


async def restore(
    file: Path,
    /,
    *,
    ledger_only: Flag = False,
    engine_lost: Flag = False,
    force: Flag = False,
    options: StackOptions = STACK,
) -> int:
    """Put a backup in place of the embedded stack, which must not run.

    The backup is checked first; a restore that fails leaves everything as it was. What was there is kept in a folder of
    its own, which the answer names.

    Args:
        file: the backup.
        ledger_only: only the ledger's database; the engine's, keys and mail stay as they are.
        engine_lost: everything but the engine's database.
        force: also where the folder is not empty.
        options: which stack.
    """
    if ledger_only and engine_lost:
        raise BadInput("--ledger-only and --engine-lost: give one of them")
    scope: Scope = "ledger-only" if ledger_only else "engine-lost" if engine_lost else "all"

    async def prepare(url: str) -> None:
        from activities.casebook.restored import Restored
        from activities.database import FEWEST
        from activities.database.database import Database
        from activities.database.migrate import migrate

        await migrate(url)
        async with Database.open(url, connections=FEWEST) as database:
            await Restored(database).leap()
            if ledger_only:
                # The engine knows of numbers and payments that this ledger has yet to hear of.
                await Restored(database).begin()

    data = _folder(options)
    with _steps() as tell:
        done = await stack.restore(file, data, scope, prepare, tell, force=force)
    at = "" if options.data is None else f" --data {options.data}"
    steps = [f"caseladder up{at}", f"{_NEXT[scope]}{at}"]
    replaced = None if done.replaced is None else str(data / done.replaced.name)
    if options.json:
        manifest = dataclasses.asdict(done.manifest)
        output.print_json({"data": str(data), "restored": scope, "replaced": replaced, "next": steps, **manifest})
        return OK
    output.line(f"{data} is as of {output.instant(done.manifest.at)}, from {file}")
    if replaced is not None:
        output.line(f"what was there is in {replaced}; remove that once all is well")
    output.line("next:")
    for step in steps:
        output.line(f"  {step}")
    return OK


def _folder(options: StackOptions) -> Path:
    settings = options.configured()
    if settings.database_url is not None:
        raise BadInput(
            "CASELADDER_DATABASE_URL is set: only the embedded stack is backed up here; docs/operations.md says how to "
            "back up your own servers"
        )
    return settings.data


@contextmanager
def _steps() -> Iterator[Tell]:
    """Show on a terminal what is done, and for how long."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with output.progress(*columns) as progress:
        task = progress.add_task("", total=None)

        def tell(step: str) -> None:
            progress.update(task, description=step)

        yield tell


def _size(file: Path) -> int:
    return file.expanduser().stat().st_size
