"""The commands ``erase`` and ``hold``: erasing what closed cases hold of persons, and what forbids it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from pydantic import ValidationError

from cases.vocabulary.by import By
from cases.vocabulary.events import Actor
from cases.vocabulary.lifecycle import ERASED_FOR
from cases.vocabulary.refusals import Refused, invalid
from starter.cli import output
from starter.cli.errors import FAILED, OK, BadInput, say
from starter.cli.options import STACK, StackOptions

if TYPE_CHECKING:
    from starter.erasure import Erasure

Flag = Annotated[bool, Parameter(negative="")]
Json = dict[str, Any]


def register(app: App) -> None:
    """Add the commands."""
    app.command(erase)
    app.command(hold)


async def erase(
    case: str | None = None,
    /,
    *,
    customer: str | None = None,
    why: str | None = None,
    approve: int | None = None,
    reject: int | None = None,
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    again: Path | None = None,
    by: str | None = None,
    role: str | None = None,
    options: StackOptions = STACK,
) -> int:
    """Ask that what a closed case holds of persons is erased, or decide it: two people, one asks, another approves.

    Facts of persons, texts, and accounts go, in the engine and in the folder of mails too; events, amounts and numbers
    stay. Refused while the case is open, while it is kept (3 years, O-APP2), and while a legal hold stands.

    Args:
        case: id or number.
        customer: the reference of a customer, whose cases are meant: `customer.ref` of their facts.
        why: customer, authority, mistake or retention.
        approve: the number of the erasure to approve. It is done at once and cannot be undone.
        reject: the number of the erasure to reject, or to take back.
        list_: show erasures, the last first. With --json, keep it outside the database for --again.
        again: a file that `--list --json` printed: erase once more what a restored casebook has again.
        by: id of who asks or decides.
        role: their role: qa_manager or general_manager.
    """
    wanted = [
        case is not None or customer is not None,
        approve is not None,
        reject is not None,
        list_,
        again is not None,
    ]
    if sum(wanted) != 1 or (case is not None and customer is not None):
        raise BadInput("give one of CASE, --customer, --approve, --reject, --list, --again")
    async with _erasure(options) as erasure:
        if list_:
            return _show([one async for one in erasure.book.every()], options)
        if again is not None:
            return await _again(erasure, again, options)
        actor, now = await _actor(by, role, options), datetime.now(UTC)
        if approve is not None or reject is not None:
            done = await erasure.decide(approve or reject or 0, actor, approve is not None, now)
            return _show([done], options)
        if why not in ERASED_FOR:
            raise BadInput(f"--why = {why!r}: allowed: {', '.join(ERASED_FOR)}")
        case_id = "" if case is None else await options.case_id(case)
        return _show([await erasure.ask(actor, why, now, case_id=case_id, customer=customer or "")], options)


async def hold(
    case: str | None = None,
    /,
    *,
    reference: str | None = None,
    lift: Flag = False,
    by: str | None = None,
    role: str | None = None,
    options: StackOptions = STACK,
) -> int:
    """Set or lift a legal hold: nothing of the case is erased as long as it stands. Without CASE, list those that do.

    Args:
        case: id or number.
        reference: the file number of the court or authority that wants it kept.
        lift: lift the hold.
        by: id of who sets or lifts it.
        role: their role: qa_manager or general_manager.
    """
    async with _erasure(options) as erasure:
        if case is None:
            return _show_holds(await erasure.book.holds(), options)
        if lift == (reference is not None):
            raise BadInput("give either --reference or --lift")
        case_id, actor = await options.case_id(case), await _actor(by, role, options)
        if reference is not None:
            await erasure.hold(case_id, reference, actor)
        else:
            await erasure.lift(case_id, actor)
        return _show_holds(await erasure.book.holds(case_id), options)


@asynccontextmanager
async def _erasure(options: StackOptions) -> AsyncIterator[Erasure]:
    from starter.erasure import Erasure

    async with options.database() as database:
        yield Erasure(database)


async def _actor(by: str | None, role: str | None, options: StackOptions) -> Actor:
    if by is None or role is None:
        raise BadInput("--by and --role say who asks or decides: --by qa-1 --role qa_manager")
    body: Json = {"by": {"id": by, "role": role}}
    await options.add_person(body)
    return _checked(body["by"])


def _checked(by: Json) -> Actor:
    """Return who acts. Raises Refused: ``invalid``: no id is like this one, which a ledger would have for ever."""
    try:
        return By.model_validate(by).actor()
    except ValidationError as error:
        raise invalid(error, "by") from None


async def _again(erasure: Erasure, file: Path, options: StackOptions) -> int:
    """Erase once more what was erased: decisions are repeated, so nobody decides them anew."""
    wanted = _listed(file)
    code, done = OK, 0
    for case_id, why, by, asked_by in wanted:
        try:
            if why not in ERASED_FOR or by is None:
                raise Refused("invalid", "it says neither why nor who decided it")
            done += await erasure.again(case_id, why, by, asked_by, datetime.now(UTC)) is not None
        except Refused as refusal:
            say(f"{case_id}: {refusal.message}")
            code = FAILED
    if options.json:
        output.print_json({"listed": len(wanted), "erased": done})
    else:
        output.line(f"{done} of {len(wanted)} were erased again; the others were so, or are named above")
    return code


def _listed(file: Path) -> list[tuple[str, Any, Actor | None, Actor | None]]:
    """Read cases that were erased: which, why, who decided and who asked."""
    try:
        return [
            (one["case"], each["why"], _who(each, "decided"), _who(each, "asked"))
            for each in reversed(json.loads(file.read_text("utf-8")))
            for one in each["cases"]
            if one["erased_at"] is not None
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"--again = {file}: not what `erase --list --json` prints ({type(error).__name__})") from None


def _who(erasure: Json, what: str) -> Actor | None:
    id, role = erasure[f"{what}_by"], erasure[f"{what}_role"]
    return None if id is None else _checked({"id": id, "role": role})


def _show(erasures: list[Json], options: StackOptions) -> int:
    if options.json:
        output.print_json(erasures)
        return OK
    rows = [
        (
            str(one["id"]), each["case"], one["why"], one["asked_by"] or "the policy", one["decided_by"] or "",
            _state(one, each),
        )
        for one in erasures
        for each in one["cases"]
    ]  # fmt: skip
    for case, code in (erasures[0].get("kept") or {}).items() if erasures else ():
        rows.append(("", case, "", "", "", f"kept: {code}"))
    if rows:
        output.table(("erasure", "case", "why", "asked by", "decided by", "state"), rows)
    else:
        output.line("no erasures")
    return OK


def _state(erasure: Json, case: Json) -> str:
    if erasure["approved"] is None:
        return "waits for somebody else's approval"
    if not erasure["approved"]:
        return "rejected"
    if case["refused"]:
        return f"refused: {case['refused']}"
    if case["gone_at"]:
        return f"gone {output.instant(case['gone_at'])}"
    return "erased; a worker clears the engine and the mails" if case["erased_at"] else "waits"


def _show_holds(holds: list[Json], options: StackOptions) -> int:
    if options.json:
        output.print_json(holds)
    elif not holds:
        output.line("no legal holds")
    else:
        rows = [
            (
                one["case"],
                one["reference"],
                one["set_by"],
                output.instant(one["set_at"]),
                output.instant(one["lifted_at"]),
            )
            for one in holds
        ]
        output.table(("case", "reference", "set by", "set", "lifted"), rows)
    return OK
