"""Commands about cases: file, show, timeline, explain, list, do, approve, reject, escalate, acknowledge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import App, Parameter
from cyclopts.validators import Number

from starter.cli import output
from starter.cli.errors import OK, BadInput
from starter.cli.filters import EVERYTHING, Filters, read_filter
from starter.cli.intake import assign, check_text, read_instant, read_json_object, read_object
from starter.cli.kinds import check_filed, check_intake, check_kind_asked, fill_in, kind_filed, titles_of_fields
from starter.cli.options import NO_SENDER, REQUEST, STACK, RequestOptions, SenderOptions, StackOptions

if TYPE_CHECKING:
    from starter.client import CaseClient

T = TypeVar("T")
RETRY_HINT = "the request may still be carried out; with a --request-id it can be repeated without harm"


def register(app: App) -> None:
    """Add the commands."""
    for command in (file, show, timeline, explain, do, approve, reject, escalate, acknowledge):
        app.command(command)
    app.command(list_cases, name="list")


async def file(
    kind: str,
    source: Annotated[Path | None, Parameter(name="FILE", allow_leading_hyphen=True)] = None,
    /,
    *,
    key: str | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="", metavar="NAME=VALUE")] = None,
    field: Annotated[list[str] | None, Parameter(name="--field", negative="", metavar="NAME=VALUE")] = None,
    by: str | None = None,
    role: str | None = None,
    options: RequestOptions = REQUEST,
) -> int:
    """File a case and print it. The same key with the same content gives the same case.

    Args:
        kind: complaint, claim, exception, inquiry or a form like leave.
        source: the intake as JSON or TOML; - reads stdin. Its form: caseladder schema KIND.
        key: the caller's own key (order number, call id), over the file's.
        set_: a field over the file's, for example --set facts.category=delay. May be repeated. A
            value that begins with { [ or " is read as JSON.
        field: a field of a form over the file's, for example --field emergency=true, as the form says what it is.
            May be repeated.
        by: id of who files it: a staff number or a system's name, no personal data. A form is filed in their name.
        role: role in which they do.
    """
    intake = {} if source is None else read_object(source)
    assign(intake, set_ or (), "--set")
    if key is not None:
        intake["key"] = key
    SenderOptions(by, role).add_to(intake)
    case = kind_filed(kind, intake, options)
    fill_in(case, intake, field or ())
    check_intake(case, intake)
    await check_filed(case, intake, options)
    await options.add_person(intake)
    client = await options.client()
    async with options.answer_within_timeout("it may be filed already; filing it again is harmless"):
        view = await client.with_texts(await client.file(kind, intake))
    return _print(view, options, lambda shown: output.print_view(shown, titles_of_fields(shown, options)))


async def show(case: str, /, *, options: RequestOptions = REQUEST) -> int:
    """Show a case as it stands.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007).
    """

    async def with_texts(client: CaseClient, case_id: str) -> dict[str, Any]:
        return await client.with_texts(await client.case(case_id))

    view = await _read(case, options, with_texts)
    return _print(view, options, lambda shown: output.print_view(shown, titles_of_fields(shown, options)))


async def timeline(case: str, /, *, options: RequestOptions = REQUEST) -> int:
    """Show everything that happened to a case, oldest first.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007).
    """
    events = await _read(case, options, lambda client, id_: client.timeline(id_))
    return _print(events, options, output.print_timeline)


async def explain(case: str, /, *, options: RequestOptions = REQUEST) -> int:
    """Show why each clock of a case is due when it is: start, limit, pauses, clause.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007).
    """
    clocks = await _read(case, options, lambda client, id_: client.explain(id_))
    return _print(clocks, options, output.print_clocks)


async def list_cases(
    *,
    filters: Filters = EVERYTHING,
    due_by: str | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 50,
    options: StackOptions = STACK,
) -> int:
    """List cases from the casebook, what is due first comes first. Every filter given must hold.

    Args:
        due_by: only cases whose next deadline is not later than this RFC 3339 instant.
        limit: at most so many, 1 to 1000.
    """
    if due_by is not None and filters.due_before is not None:
        raise BadInput("give --due-by or --due-before, not both")
    # PostgreSQL knows no instant in between.
    until = None if due_by is None else read_instant(due_by, "--due-by") + timedelta(microseconds=1)
    filter = read_filter(filters, **({} if until is None else {"due_before": until}))

    check_kind_asked(filter.kind, options)

    from activities.casebook.read import Casebook
    from activities.casebook.search import OPERATOR
    from starter.finding import searching

    async with options.database() as database:
        search = searching(database, options.settings(), options.forms)
        page = await search.page(filter, units=None, kinds=None, reader=OPERATOR, limit=limit)
        cases = await Casebook(database).with_texts(page.cases)
    if options.json:
        output.print_json(cases)
        return OK
    if not cases:
        output.line("no such cases")
        return OK
    output.print_list(cases)
    if page.after is not None:
        output.line(f"there are more; --limit shows up to 1000 (now {limit})")
    return OK


async def do(
    case: str,
    command: str,
    /,
    *pairs: Annotated[str, Parameter(name="NAME=VALUE")],
    sender: SenderOptions = NO_SENDER,
    with_: Annotated[str | None, Parameter(name="--with", metavar="JSON")] = None,
    options: RequestOptions = REQUEST,
) -> int:
    """Send any command to a case and print the case after it.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007).
        command: its name: assign, note, reply, resolve, ...
        pairs: the command's fields, as far as --with does not give them: stage=answer text="It is there".
        with_: the command's fields as one JSON object. Their form: caseladder schema KIND --command NAME.
    """
    body = {} if with_ is None else read_json_object(with_, "--with")
    assign(body, pairs, command)
    return await send(case, command, sender, body, options)


async def acknowledge(
    case: str, /, *, code: str | None = None, sender: SenderOptions = NO_SENDER, options: RequestOptions = REQUEST
) -> int:
    """Take a case up, as the rung that holds it or a higher one.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007).
        code: the one that the notice gives, in place of --by and --role: it says who acts. Works once.
    """
    if code is None:
        return await send(case, "acknowledge", sender, {}, options)
    if sender.by is not None or sender.role is not None:
        raise BadInput("--code says who acts; leave out --by and --role")
    from starter.cli.notices import read_code

    ack = await read_code(code, case, options)
    by_code = SenderOptions(ack.person, ack.role, sender.request_id)
    return await send(ack.case_id, "acknowledge", by_code, {"notice": ack.seq}, options)


async def escalate(
    case: str,
    /,
    *,
    reason: str,
    to: str | None = None,
    sender: SenderOptions = NO_SENDER,
    options: RequestOptions = REQUEST,
) -> int:
    """Give a case to the next rung, or to the one named.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007).
        reason: why.
        to: a higher rung.
    """
    return await send(case, "escalate", sender, {"reason": reason, "to": to}, options)


async def approve(
    case: str,
    /,
    *,
    subject: str | None = None,
    reason: str | None = None,
    sender: SenderOptions = NO_SENDER,
    options: RequestOptions = REQUEST,
) -> int:
    """Approve what a case asks for.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007).
        subject: what is approved; needed only where several things wait for a decision.
        reason: why.
    """
    return await send(case, "approve", sender, {"subject": subject, "reason": reason}, options)


async def reject(
    case: str,
    /,
    *,
    reason: str,
    subject: str | None = None,
    sender: SenderOptions = NO_SENDER,
    options: RequestOptions = REQUEST,
) -> int:
    """Reject what a case asks for.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007).
        reason: why.
        subject: what is rejected; needed only where several things wait for a decision.
    """
    return await send(case, "reject", sender, {"subject": subject, "reason": reason}, options)


async def send(case: str, command: str, sender: SenderOptions, body: dict[str, Any], options: RequestOptions) -> int:
    """Send a command and print the case after it.

    Raises:
        BadInput: no sender is given.
    """
    body = sender.add_to({name: value for name, value in body.items() if value is not None})
    if "by" not in body:
        raise BadInput(f"{command}: by is missing; say who acts: --by agent-7 --role agent")
    check_text(body, command)
    case_id = await options.case_id(case)
    await options.add_person(body)
    client = await options.client()
    async with options.answer_within_timeout(RETRY_HINT):
        view = await client.with_texts(await client.command(case_id, command, body))
    return _print(view, options, lambda shown: output.print_view(shown, titles_of_fields(shown, options)))


async def _read(case: str, options: RequestOptions, ask: Callable[[CaseClient, str], Awaitable[T]]) -> T:
    """Ask for something of a case: its workflow while that runs, else the casebook."""
    case_id = await options.case_id(case)
    client = await options.client()
    async with options.answer_within_timeout():
        return await ask(client, case_id)


def _print(value: T, options: StackOptions, print_text: Callable[[T], None]) -> int:
    (output.print_json if options.json else print_text)(value)
    return OK
