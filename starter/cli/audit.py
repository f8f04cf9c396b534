"""The commands ``audit verify``, ``checkpoint``, ``prove`` and ``key``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from cases.vocabulary.refusals import Refused
from starter.cli import output
from starter.cli.errors import FAILED, OK, BadInput, Failed, say
from starter.cli.options import STACK, StackOptions

if TYPE_CHECKING:
    from activities.audit.keys import Keys

app = App(name="audit", help="The record: check it, sign what it is, and prove it to others.")
Flag = Annotated[bool, Parameter(negative="")]
# So many faults are printed; with --json all of them.
SHOWN = 20


@app.command
async def verify(
    case: str | None = None,
    /,
    *,
    against: Annotated[list[Path] | None, Parameter(negative="")] = None,
    all_checkpoints: Flag = False,
    full: Flag = False,
    options: StackOptions = STACK,
) -> int:
    """Check the record, or one case of it. Exit code 1 names what is not as it was recorded.

    The hash chain of each case, the case folded again from its events and compared with its file, notices and payouts,
    numbers, pinned policies, texts and personal facts, the log of looks. What the last checkpoint covers is not read
    again, unless one of the options says so. Compared with checkpoints, it names everything that was changed, cut,
    removed, renumbered or inserted since, also by somebody who computed every hash anew. By the key set of senders
    (CASELADDER_SENDERS), it names what nobody has signed, and what is not what was signed.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007); everything without it.
        against: files of checkpoints that were handed out, or folders of them; may be repeated.
        all_checkpoints: compare with every checkpoint in the casebook.
        full: read everything, and compare it with every checkpoint in the casebook if there is a key.
        options: which stack.
    """
    from activities.audit.checkpoint import BadCheckpoint
    from activities.audit.compare import Compared, compare
    from activities.audit.everything import Everything
    from activities.audit.handed_out import HandedOut, read_files
    from starter.checkpoints import trusted_of
    from starter.senders import key_set_of

    if case is not None and (against or all_checkpoints or full):
        raise BadInput("CASE is checked by itself: give it without --against, --all-checkpoints and --full")
    asked = bool(against or all_checkpoints)
    settings = options.configured()
    # A key that is named is there, or the mistake is told: nobody is to think that it was used.
    named = settings.checkpoint_key is not None or settings.key_file.exists()
    keys = keys_of(options) if asked or named else None
    trusted = trusted_of(settings)
    files: list[HandedOut] = []
    if keys is not None and against:
        try:
            files = read_files(against, keys)
        except BadCheckpoint as error:
            raise BadInput(str(error)) from None
    case_id = None if case is None else await options.case_id(case)
    senders = key_set_of(options.settings())
    compared = Compared()
    async with options.database() as database:
        with following() as progress:
            everything = Everything(database, keys, senders=senders)
            done = await everything.verify(case_id, full=asked or full, progress=progress)
        if keys is not None and (asked or full):
            async with database.audit() as connection:
                compared = await compare(connection, keys, files, trusted)
    if case_id is not None and not done.cases:
        raise Refused("not_found", f"the casebook has no case {case_id}")
    faults = [*done.faults, *compared.faults]
    covered = done.covered
    if options.json:
        said = [dataclasses.asdict(fault) for fault in faults]
        shown = {"ok": not faults, "cases": done.cases, "events": done.events, "checkpoints": compared.checkpoints}
        beside = {"covered_by": None if covered is None else covered.number, "looks": done.looks, "proofs": done.proofs}
        stamps = [{**dataclasses.asdict(one), "at": one.at.isoformat()} for one in compared.stamps]
        told = {"fault": said[0] if said else None, "faults": said, "notes": compared.notes, "timestamps": stamps}
        output.print_json({**shown, **beside, **told})
    else:
        for note in compared.notes:
            output.line(note)
        if compared.stamps:
            last = compared.stamps[-1]
            output.line(f"checkpoint {last.checkpoint} was there at {last.at.isoformat()}, says {last.by}")
    if faults:
        for fault in faults[:SHOWN] if len(faults) > 1 and not options.json else []:
            output.line(str(fault))
        more = f" ({len(faults)} faults)" if len(faults) > 1 else ""
        say(f"the record is not as it was written: {faults[0]}{more}")
        return FAILED
    if not options.json and done.proofs:
        proven = "are right" if senders is not None else "were not checked: CASELADDER_SENDERS names no key set"
        output.line(f"{output.count(done.proofs, 'proof')} of senders {proven}")
    if not options.json:
        read = f"{output.count(done.events, 'event')} of {output.count(done.cases, 'case')}"
        output.line(f"{read} are as they were recorded; none is missing")
        if covered is not None:
            part = f"{output.count(covered.events, 'event')} of {output.count(covered.cases, 'case')}"
            part = f"checkpoint {covered.number} covers {part}"
            output.line(f"{part}: what has not grown since was not read again (--full reads it)")
        if compared.checkpoints or asked:
            signed = f"{compared.events} events are those that were signed"
            output.line(f"{signed} by {output.count(compared.checkpoints, 'checkpoint')}")
    return OK


@contextmanager
def following() -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how many cases and events were read."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with output.progress(*columns) as progress:
        task = progress.add_task("", total=None)

        def told(cases: int, events: int) -> None:
            progress.update(task, description=f"{events} events of {cases} cases")

        yield told


@app.command
async def checkpoint(
    *, out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None, options: StackOptions = STACK
) -> int:
    """Sign what the ledger is now: checkpoints, which name everything that is changed later.

    They go to the places of CASELADDER_CHECKPOINT_PLACES. Keep them where whoever has the database does not reach.

    Args:
        out: a file that all checkpoints up to now are written to.
        options: which stack.
    """
    from activities.audit.checkpoint import BadCheckpoint
    from activities.audit.keys import BadKeys
    from activities.audit.make import Checkpoints, Untrue
    from activities.notify.channels import SettingError
    from starter.checkpoints import make_and_hand_out

    keys = keys_of(options)
    async with options.database() as database:
        maker = Checkpoints(database, keys)
        try:
            done = await make_and_hand_out(options.settings(), database, maker)
            stored = await maker.stored()
        except BadKeys as error:
            raise BadInput(f"CASELADDER_CHECKPOINT_KEY: {error}") from None
        except SettingError as error:
            raise BadInput(str(error)) from None
        except (Untrue, BadCheckpoint) as error:
            raise Failed(f"nothing is signed: {error}") from None
        if out is not None:
            with private_file(out) as file:
                async for _, text in maker.handed_out():
                    file.write(text)
    last = stored[-1][0] if stored else None
    if options.json:
        envelope = None if last is None else {**last.envelope, "hash": last.hash}
        numbers = [one.checkpoint.number for one in done.made]
        output.print_json(
            {"made": numbers, "last": envelope, "no_timestamp": done.unstamped or None, "not_handed_out": done.failed}
        )
    elif last is None:
        output.line("the ledger is empty: there is nothing to sign")
    else:
        own = last.checkpoint
        what = "made" if done.made else "nothing new since"
        output.line(f"checkpoint {own.number}: {what}, {output.instant(own.at)}")
        output.line(f"events    {own.events}")
        output.line(f"cases     {own.cases}")
        output.line(f"hash      {last.hash}")
        output.line(f"signed by {last.key}")
    if done.unstamped:
        say(f"the checkpoint has no timestamp, the next one will make up for it: {done.unstamped}")
    if done.failed:
        place, why = next(iter(done.failed.items()))
        say(f"not every place has the checkpoint: {place}: {why}")
    return FAILED if done.unstamped or done.failed else OK


@app.command
async def prove(
    case: str,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    texts: Flag = False,
    options: StackOptions = STACK,
) -> int:
    """Prove a case to a customer, a court or a regulator: one file, which they check offline.

    It holds the events up to the last checkpoint and nothing of another case. docs/verify_proof.py and
    docs/verify_proof.html check it, with the public key that `caseladder audit key` prints.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007).
        out: the file to write; without it the proof goes to stdout.
        texts: with what people wrote freely, which may be personal.
        options: which stack.
    """
    from activities.audit.make import Untrue
    from activities.audit.prove import prove as prove_case

    keys = keys_of(options)
    case_id = await options.case_id(case)
    async with options.database() as database:
        try:
            proof = await prove_case(database, keys, case_id, texts=texts)
        except Untrue as error:
            raise Failed(f"nothing is proved: {error}") from None
    if out is None:
        print(proof, end="")
        return OK
    with private_file(out) as file:
        file.write(proof)
    if options.json:
        output.print_json({"case": case_id, "file": str(out)})
    else:
        output.line(f"{out}: the proof of {case_id}")
    return OK


@app.command
def key(*, new: Flag = False, options: StackOptions = STACK) -> int:
    """Print the public keys of checkpoints, which auditors keep: the one that signs first, then those before it.

    Args:
        new: make a key that signs from now on. Those before it stay good for checking.
        options: which stack.
    """
    from activities.audit.keys import BadKeys, new_key, read_keys

    file = options.configured().key_file
    try:
        keys = new_key(file) if new else read_keys(file)
    except BadKeys as error:
        raise BadInput(f"CASELADDER_CHECKPOINT_KEY: {error}") from None
    if options.json:
        output.print_json({"file": str(file), "signs": keys.id or None, "trusted": [*keys.trusted]})
    else:
        print(keys.public_pem(), end="")
    return OK


@contextmanager
def private_file(path: Path) -> Iterator[IO[str]]:
    """Write a file for its owner alone, which takes the place of another one when it is whole.

    Raises:
        BadInput: it is a folder.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder; name a file in it")
    new = path.with_name(f"{path.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        yield file
    new.replace(path)


def keys_of(options: StackOptions) -> Keys:
    """Return the keys of checkpoints.

    Raises:
        BadInput: none are configured, or their file holds none.
    """
    from activities.audit.keys import BadKeys, read_keys

    try:
        return read_keys(options.configured().key_file)
    except BadKeys as error:
        raise BadInput(f"CASELADDER_CHECKPOINT_KEY: {error} (make one with `caseladder audit key --new`)") from None
