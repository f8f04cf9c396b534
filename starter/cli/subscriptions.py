"""The commands ``subscriptions add|list|show|replay|resume|remove``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from starter.cli import output
from starter.cli.errors import OK, BadInput
from starter.cli.options import STACK, StackOptions

if TYPE_CHECKING:
    from datetime import timedelta

    from activities.events.subscriptions import Subscription, Subscriptions

app = App(name="subscriptions", help="Who is sent the events of the cases, signed, as they happen.")


@app.command
async def add(
    url: str,
    /,
    *,
    types: str | None = None,
    kinds: str | None = None,
    retry_for: str = "P3D",
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    texts: Annotated[bool, Parameter(negative="")] = False,
    options: StackOptions = STACK,
) -> int:
    """Subscribe an address and print the secret that its signatures are checked with. It is not shown again.

    Args:
        url: where the events are posted: https://, or http:// to a private address where those are allowed.
        types: event types, separated by commas, like escalated,closed; all without it.
        kinds: kinds of case and forms, separated by commas, like complaint,leave; all without it.
        retry_for: how long an event is tried before the subscription is parked, like P3D or PT12H.
        from_: "start", or the position of an event: what follows it is sent too. Without it only what is
            still to come.
        texts: with what people wrote freely, which may be personal.
    """
    from activities.events.feed import START
    from starter.connection import connect
    from starter.subscriptions import wake

    retry_duration = _duration(retry_for)
    # Connect first: without a server, nothing would deliver to the subscription.
    client = await connect(options.settings().data)
    async with _book(options) as book:
        made, secret = await book.add(
            url,
            types=_names(types),
            kinds=_names(kinds),
            retry_for=retry_duration,
            position=START if from_ == "start" else from_,
            texts=texts,
            forms=options.forms(),
        )
        try:
            await wake(client, made.id)
        except BaseException:
            await book.remove(made.id)
            raise
    if options.json:
        output.print_json({**_json(made), "secret": secret})
    else:
        _print(made, f"{secret} (keep it: it is not shown again)")
    return OK


@app.command(name="list")
async def list_(*, removed: Annotated[bool, Parameter(negative="")] = False, options: StackOptions = STACK) -> int:
    """List the subscriptions and how they stand.

    Args:
        removed: also those that were removed.
    """
    async with _book(options) as book:
        found = [one for one in await book.all() if removed or one.state != "removed"]
    if options.json:
        output.print_json([_json(one) for one in found])
    else:
        output.table(
            ("subscription", "state", "to", "types", "kinds", "delivered", "failing since", "because"),
            [
                (
                    one.id,
                    one.state,
                    one.url,
                    _all(one.types),
                    _all(one.kinds),
                    _instant(one.delivered_at),
                    _instant(one.failing_since),
                    one.last_error,
                )
                for one in found
            ],
        )
    return OK


@app.command
async def show(subscription: str, /, *, options: StackOptions = STACK) -> int:
    """Print one subscription.

    Args:
        subscription: its id.
    """
    async with _book(options) as book:
        return _print_result(await book.get(subscription), options)


@app.command
async def replay(
    subscription: str,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    case: str | None = None,
    seq: int | None = None,
    options: StackOptions = STACK,
) -> int:
    """Send again everything from a place of the ledger on, with the ids that it had. What was parked goes on.

    Args:
        subscription: its id.
        from_: "start", or the position of an event: what follows it is sent.
        case: the case, by id or number, whose event --seq is the first to be sent again; what other
            cases did since is sent again too.
        seq: the number of that event in its case.
    """
    from activities.events.feed import START

    if (from_ is None) == (case is None) or (case is None) != (seq is None):
        raise BadInput("give either --from POSITION, or --case CASE and --seq N")
    async with _book(options) as book:
        if case is None or seq is None:
            position = START if from_ == "start" else str(from_)
        else:
            position = await book.feed.before(await options.case_id(case), seq)
        changed = await book.replay(subscription, position)
    return await _wake_and_print(changed, options)


@app.command
async def resume(subscription: str, /, *, options: StackOptions = STACK) -> int:
    """Go on with a subscription that was parked, or try one that fails again now. Nothing is left out.

    Args:
        subscription: its id.
    """
    async with _book(options) as book:
        changed = await book.resume(subscription)
    return await _wake_and_print(changed, options)


@app.command
async def remove(subscription: str, /, *, options: StackOptions = STACK) -> int:
    """Send nothing any more, and forget the secret.

    Args:
        subscription: its id.
    """
    async with _book(options) as book:
        changed = await book.remove(subscription)
    return await _wake_and_print(changed, options)


@asynccontextmanager
async def _book(options: StackOptions) -> AsyncIterator[Subscriptions]:
    from activities.events.outbound import Guard
    from activities.events.subscriptions import Subscriptions

    guard = Guard(options.settings().private_subscribers)
    async with options.database() as database:
        yield Subscriptions(database, guard)


async def _wake_and_print(changed: Subscription, options: StackOptions) -> int:
    from starter.connection import connect
    from starter.subscriptions import wake

    await wake(await connect(options.settings().data), changed.id)
    return _print_result(changed, options)


def _print_result(one: Subscription, options: StackOptions) -> int:
    if options.json:
        output.print_json(_json(one))
    else:
        _print(one)
    return OK


def _print(one: Subscription, secret: str | None = None) -> None:
    output.fields(
        [
            ("subscription", one.id),
            ("to", one.url),
            ("types", _all(one.types)),
            ("kinds", _all(one.kinds)),
            ("texts", "yes" if one.texts else "no"),
            ("state", one.state),
            ("retried for", output.span(one.retry_for)),
            ("position", one.position),
            ("delivered", _instant(one.delivered_at)),
            ("failing since", _instant(one.failing_since)),
            ("because", one.last_error),
            ("secret", secret),
        ]
    )


def _json(one: Subscription) -> dict[str, Any]:
    from pydantic import TypeAdapter

    return {
        "id": one.id,
        "url": one.url,
        "types": one.types,
        "kinds": one.kinds,
        "texts": one.texts,
        "state": one.state,
        "retry_for": TypeAdapter(type(one.retry_for)).dump_python(one.retry_for, mode="json"),
        "position": one.position,
        "created_at": one.created_at.isoformat(),
        "delivered_at": one.delivered_at and one.delivered_at.isoformat(),
        "failing_since": one.failing_since and one.failing_since.isoformat(),
        "last_error": one.last_error,
    }


def _instant(at: Any) -> str:
    return output.instant(at and at.isoformat())


def _all(names: tuple[str, ...] | None) -> str:
    return "all" if names is None else ", ".join(names)


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _duration(text: str) -> timedelta:
    from datetime import timedelta

    from pydantic import TypeAdapter, ValidationError

    try:
        # Only the ISO form is accepted, since the unit of a bare number is ambiguous.
        if not text.startswith("P"):
            raise BadInput(f"--retry-for = {text!r}: give a duration like P3D or PT12H")
        return TypeAdapter(timedelta).validate_strings(text)
    except ValidationError:
        raise BadInput(f"--retry-for = {text!r}: give a duration like P3D or PT12H") from None
