"""The commands ``handover list|show|sign`` and ``swap ask|agree|sign|refuse|show``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import App, Parameter

from starter.cli import output
from starter.cli.cases import RETRY_HINT, send
from starter.cli.errors import OK, BadInput
from starter.cli.options import NO_SENDER, REQUEST, STACK, RequestOptions, SenderOptions, StackOptions

handover = App(name="handover", help="Handovers of shifts: what waits to be signed, and signing.")
swap = App(name="swap", help="Shift swaps: both agree, the department manager signs, only then the roster changes.")
_NUMBER = re.compile(r"\d{4}-\d{2}-\d{4,}")


@handover.command(name="list")
async def list_handovers(*, options: StackOptions = STACK) -> int:
    """List the handovers that are not over, what is due first comes first."""
    from activities.casebook.filter import Filter
    from activities.casebook.search import Search

    async with options.database() as database:
        page = await Search(database).page(Filter(kind="handover", status="active"), units=None, kinds=None, limit=1000)
    if options.json:
        output.print_json(page.cases)
    elif page.cases:
        columns = ("shift", "ends", "goes", "comes", "to sign", "cases", "status")
        output.table(columns, [_handover_row(view) for view in page.cases])
    else:
        output.line("no handovers wait")
    return OK


def _handover_row(view: Mapping[str, Any]) -> tuple[Any, ...]:
    facts = view["facts"]
    relief = view["relief"]["id"] if view["relief"] else "nobody"
    signers = ", ".join(one["id"] for one in view["signers"])
    status = "late" if "handover" in view["breached"] else view["status"]
    ends_at = output.instant(facts["shift_ends_at"])
    return facts["shift"], ends_at, view["outgoing"]["id"], relief, signers, facts["total"], status


@handover.command(name="show")
async def show_handover(shift: str, /, *, options: RequestOptions = REQUEST) -> int:
    """Show a handover: who goes and comes, who has yet to sign, and the cases with promises and pauses.

    Args:
        shift: the id of the shift, or of the handover (handover:KEY), or its number.
    """
    client = await options.client()
    case_id = await _handover_id(shift, options)
    async with options.answer_within_timeout():
        view = await client.with_texts(await client.case(case_id))
    if options.json:
        output.print_json(view)
        return OK
    facts, relief = view["facts"], view["relief"]
    output.fields(
        [
            ("handover", view["id"]),
            ("number", view["number"]),
            ("status", view["status"] + (f": {view['outcome']}" if view["outcome"] else "")),
            ("shift", f"{facts['shift']} until {output.instant(facts['shift_ends_at'])}"),
            ("goes", _person(view["outgoing"])),
            ("comes", _person(relief) if relief else "nobody in the roster; see name_relief"),
            ("signed", ", ".join(f"{one['id']} {output.instant(one['at'])}" for one in view["signed"])),
            ("to sign", ", ".join(one["id"] for one in view["signers"])),
            ("responsible", view["responsible"]),
            ("breached", ", ".join(view["breached"])),
            ("handed over", view["handed"]),
            ("left alone", ", ".join(f"{one['case']} ({one['code']})" for one in view["left"])),
        ]
    )
    if facts.get("cases"):
        rows = [
            (
                one["id"],
                one["rung"],
                output.instant(one.get("next_due")),
                ", ".join(output.instant(due) for due in one.get("promised", ())),
                ", ".join(one.get("paused", ())),
            )
            for one in facts["cases"]
        ]
        output.table(("case", "rung", "next due", "promised", "paused"), rows)
    return OK


@handover.command(name="sign")
async def sign_handover(
    shift: str, /, *, text: str | None = None, sender: SenderOptions = NO_SENDER, options: RequestOptions = REQUEST
) -> int:
    """Sign a handover, as the one who goes or the one who comes. When both have, the cases change hands.

    Args:
        shift: the id of the shift, or of the handover (handover:KEY), or its number.
        text: a remark with the signature; others go by: caseladder do handover:KEY note text=...
    """
    return await send(await _handover_id(shift, options), "sign", sender, {"text": text}, options)


async def _handover_id(shift: str, options: StackOptions) -> str:
    from cases.kinds.handover import key_of

    if shift.startswith("handover:"):
        return shift
    if _NUMBER.fullmatch(shift):
        return await options.case_id(f"handover/{shift}")
    return f"handover:{key_of(shift)}"


def _person(person: Mapping[str, str]) -> str:
    return f"{person['id']} ({person['role']})"


@swap.command
async def ask(
    *,
    by: str,
    with_: Annotated[str, Parameter(name="--with")],
    give: str,
    take: str | None = None,
    key: str | None = None,
    policy: str = "default",
    options: RequestOptions = REQUEST,
) -> int:
    """Ask somebody to take a shift, perhaps for one of theirs, and print the case.

    It is looked at at once by the rules of S1-1.7, and again when the manager signs.

    Args:
        by: id of who gives the shift.
        with_: id of who is asked to take it.
        give: id of the shift in the roster.
        take: id of the shift that comes back for it.
        key: the caller's own key; the same key with the same swap gives the same case.
        policy: the name of the policy that the case is pinned to.
    """
    from activities.people.directory import DirectoryBook
    from activities.people.swap import Swaps
    from activities.policies.calendar_years import CalendarYears
    from activities.policies.store import Policies
    from starter.swap import facts_of, file_swap

    settings = options.settings()
    async with options.database() as database:
        years = await CalendarYears(database).current()
        pinned = Policies(settings.policies).load(policy, years)
        facts = facts_of(await DirectoryBook(database).read(), pinned, by, with_, give, take)
        client = await options.client()
        async with options.answer_within_timeout("it may be filed already; asking again is harmless"):
            view = await file_swap(client, Swaps(database), facts, pinned, datetime.now(UTC), key)
    return _print_swap(view, options)


@swap.command
async def agree(case: str, /, *, sender: SenderOptions = NO_SENDER, options: RequestOptions = REQUEST) -> int:
    """Agree to a swap, as the one who was asked.

    Args:
        case: its id (swap:KEY) or its number.
    """
    return _print_swap(await _send_to_swap(case, "agree", sender, {}, options), options)


@swap.command(name="sign")
async def sign_swap(case: str, /, *, sender: SenderOptions = NO_SENDER, options: RequestOptions = REQUEST) -> int:
    """Sign a swap that both agree to, as the department manager, and wait until the roster has changed.

    Args:
        case: its id (swap:KEY) or its number.
    """
    return _print_swap(await _send_to_swap(case, "sign", sender, {}, options), options)


@swap.command
async def refuse(
    case: str, /, *, reason: str, sender: SenderOptions = NO_SENDER, options: RequestOptions = REQUEST
) -> int:
    """Refuse a swap, as one of the two or as who would sign it.

    Args:
        case: its id (swap:KEY) or its number.
        reason: why.
    """
    return _print_swap(await _send_to_swap(case, "refuse", sender, {"reason": reason}, options), options)


async def _send_to_swap(
    case: str, command: str, sender: SenderOptions, body: dict[str, Any], options: RequestOptions
) -> dict[str, Any]:
    """Send a command to a swap and return its view; a signed swap is first waited for until it is closed.

    Closed means that the roster has changed, or that the change was refused.

    Raises:
        BadInput: no sender is given.
    """
    body = sender.add_to(body)
    if "by" not in body:
        raise BadInput(f"{command}: by is missing; say who acts: --by agent-7 --role agent")
    case_id = await _swap_id(case, options)
    await options.add_person(body)
    client = await options.client()
    async with options.answer_within_timeout(RETRY_HINT):
        view = await client.command(case_id, command, body)
        while view["signed"] and view["status"] != "closed":
            await asyncio.sleep(0.1)
            view = await client.case(case_id)
        view = await client.with_texts(view)
    return view


@swap.command(name="show")
async def show_swap(case: str, /, *, options: RequestOptions = REQUEST) -> int:
    """Show a swap as it stands.

    Args:
        case: its id (swap:KEY) or its number.
    """
    client = await options.client()
    case_id = await _swap_id(case, options)
    async with options.answer_within_timeout(RETRY_HINT):
        return _print_swap(await client.with_texts(await client.case(case_id)), options)


async def _swap_id(case: str, options: StackOptions) -> str:
    return await options.case_id(f"swap/{case}" if _NUMBER.fullmatch(case) else case)


def _print_swap(view: Mapping[str, Any], options: StackOptions) -> int:
    if options.json:
        output.print_json(view)
        return OK
    facts, signed = view["facts"], view["signed"]
    returned = facts.get("returned")
    output.fields(
        [
            ("swap", view["id"]),
            ("number", view["number"]),
            ("status", view["status"] + (f": {view['outcome']}" if view["outcome"] else "")),
            ("gives", f"{_person(facts['initiator'])} shift {_shift(facts['given'])}"),
            ("takes it", _person(facts["counterparty"])),
            ("gives back", f"shift {_shift(returned)}" if returned else None),
            ("agreed", "yes" if view["agreed"] else "not yet"),
            ("signed", _person(signed) if signed else "not yet"),
            ("valid", "yes: the roster has changed" if view["valid"] else "no"),
            ("because", view["refusal"]),
            ("next due", output.due(view["next_due"])),
        ]
    )
    return OK


def _shift(shift: Mapping[str, str]) -> str:
    return f"{shift['id']}, {output.instant(shift['starts_at'])} to {output.instant(shift['ends_at'])}"
