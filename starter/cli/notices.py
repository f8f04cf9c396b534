"""The commands ``notices list|explain|resend``, and the check of an acknowledgement code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from cases.vocabulary.refusals import Refused
from starter.cli import output
from starter.cli.cases import send
from starter.cli.errors import OK, BadInput, Failed
from starter.cli.options import NO_SENDER, REQUEST, STACK, RequestOptions, SenderOptions, StackOptions

if TYPE_CHECKING:
    from activities.notify.ack_tokens import Ack

Clock = Callable[[datetime | str | None], str]

app = App(name="notices", help="Who was told of what, and what came of it.")


@app.command(name="list")
async def list_notices(
    case: str | None = None,
    /,
    *,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 50,
    options: StackOptions = STACK,
) -> int:
    """List what became of notices, the newest first. One that is still under way comes when it is over.

    Args:
        case: only those of a case: its id (complaint:KEY) or its number.
        limit: at most so many, 1 to 1000.
    """
    case_id = None if case is None else await options.case_id(case)
    async with options.casebook() as book:
        rows = await book.notices(case_id, limit=limit)
    if options.json:
        output.print_json([_plain(row) for row in rows])
    elif rows:
        columns = ("at", "case", "#", "notice", "to", "outcome", "by", "attempts", "why not")
        clock = _clock(options)
        output.table(columns, [_line(row, clock) for row in rows])
    else:
        output.line("no notices")
    return OK


@app.command
async def explain(case: str, notice: int, /, *, options: StackOptions = STACK) -> int:
    """Explain a notice: who was meant and why, and every attempt with its reason.

    Args:
        case: its id (complaint:KEY) or its number.
        notice: its number in the list (#).
    """
    case_id = await options.case_id(case)
    async with options.casebook() as book:
        rows = await book.notices(case_id, limit=1000)
    row = next((row for row in rows if row["seq"] == notice), None)
    if row is None:
        known = ", ".join(str(row["seq"]) for row in rows) or "none"
        raise Refused("no_such_notice", f"notice = {notice}: notices of {case_id}: {known}")
    if options.json:
        output.print_json(_plain(row))
        return OK
    clock = _clock(options)
    output.fields(
        [
            ("notice", f"{row['notice']} ({row['id']})"),
            ("of", f"{case_id} ({row['number']})" if row["number"] else case_id),
            ("outcome", row["outcome"]),
            ("over", clock(row["at"])),
            ("remarks", "; ".join(row["remarks"])),
        ]
    )
    if row["meant"]:
        meant = [
            (one["role"], one["recipient"] or "nobody", one["why"], "\n".join(one.get("because", ())))
            for one in row["meant"]
        ]
        output.table(("role", "meant", "why", "because"), meant)
    if row["attempts"]:
        output.table(
            ("recipient", "channel", "outcome", "reason", "times", "first", "last"),
            [_attempt(a, clock) for a in row["attempts"]],
        )
    for role, reason in row["reasons"].items():
        output.line(f"{role}: {reason}")
    return OK


@app.command
async def resend(
    case: str, notice: int, /, *, sender: SenderOptions = NO_SENDER, options: RequestOptions = REQUEST
) -> int:
    """Send a notice again, under the same ids, to whoever is in charge now.

    Args:
        case: its id (complaint:KEY) or its number.
        notice: its number in the list (#).
    """
    return await send(case, "resend", sender, {"notice": notice}, options)


async def read_code(code: str, case: str, options: RequestOptions) -> Ack:
    """Return what the acknowledgement code of a notice authorizes, and for whom.

    Raises:
        BadInput: the text does not have the form of a code.
        Refused: code ``token_forged``, no notice of the case has the code; code ``token_expired``; code
            ``not_in_charge``: who was told of it no longer is.
        Failed: CASELADDER_LINK_SECRET is not set, so no notice has a code.
    """
    from activities.notify import ack_tokens
    from activities.people.directory import DirectoryBook
    from starter.access import check_notified

    given = ack_tokens.read_code(code)
    if given is None:
        raise BadInput(f"--code = {code!r}: a code is eight letters and digits like K7Q2-M9XA")
    secrets = options.settings().link_secrets
    if not secrets:
        raise Failed("no notice here carries a code: CASELADDER_LINK_SECRET is not set")
    case_id = await options.case_id(case)
    client = await options.client()
    async with options.answer_within_timeout():
        events = await client.timeline(case_id)
        view = await client.case(case_id)
    async with options.database() as database:
        directory = await DirectoryBook(database).now()
    ack = ack_tokens.find(secrets, case_id, events, [person.id for person in directory.people], given)
    if ack is None:
        raise Refused("token_forged", f"--code = {given}: no notice of {case_id} has this code")
    ack_tokens.check_expiry(ack.expires_at, datetime.now(UTC))
    check_notified(directory, ack.person, ack.role, view)
    return ack


def _clock(options: StackOptions) -> Clock:
    """Return a function that formats instants in the default policy's zone; they are stored in UTC."""
    from activities.policies.store import Policies

    local = Policies(options.settings().policies).load("default").local

    def read(instant: datetime | str | None) -> str:
        moment = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
        return "" if moment is None else output.instant(local(moment).isoformat())

    return read


def _line(row: Mapping[str, Any], clock: Clock) -> Sequence[Any]:
    reasons = "; ".join(f"{role}: {reason}" for role, reason in row["reasons"].items())
    to = ", ".join(dict.fromkeys(one["recipient"] or one["role"] for one in row["meant"])) or ", ".join(row["roles"])
    tried = sum(one.get("count", 1) for one in row["attempts"])
    at, marks = clock(row["at"]), (row["case_id"], row["seq"], row["notice"])
    return at, *marks, to, row["outcome"], row["channel"], tried or "", reasons


def _attempt(one: Mapping[str, Any], clock: Clock) -> Sequence[Any]:
    marks = (one["recipient"], one["channel"], one["outcome"], one.get("reason", ""), one.get("count", 1))
    return *marks, clock(one["first"]), clock(one.get("last"))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "at": row["at"].isoformat()}
