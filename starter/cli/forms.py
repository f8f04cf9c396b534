"""Commands about what goes from desk to desk: sign, send-back, refuse; and the fields of forms as options."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from starter.cli import sign as proofs
from starter.cli.cases import send
from starter.cli.intake import read_fields
from starter.cli.kinds import form_of_case
from starter.cli.options import NO_SENDER, REQUEST, RequestOptions, SenderOptions


def register(app: App) -> None:
    """Add the commands; ``sign`` with a case is one beside those that make proofs."""
    for command in (send_back, refuse):
        app.command(command)


@proofs.app.default
async def sign(
    case: str,
    /,
    *,
    text: str | None = None,
    field: Annotated[list[str] | None, Parameter(name="--field", negative="", metavar="NAME=VALUE")] = None,
    sender: SenderOptions = NO_SENDER,
    options: RequestOptions = REQUEST,
) -> int:
    """Sign the step of a case that it is your turn to sign.

    Args:
        case: its id (leave:KEY) or its number (leave/2026-03-0007).
        text: what is written with the signature; an opinion needs it.
        field: a field that the step fills, for example --field invoice_number=7. May be repeated.
    """
    from starter.forms import table_of

    case_id = await options.case_id(case)
    form = await form_of_case(case_id, options) if field else None
    fields = None if not field else read_fields({} if form is None else table_of(form).fields, field)
    return await send(case_id, "sign", sender, {"text": text, "fields": fields}, options)


async def send_back(
    case: str,
    /,
    *,
    reason: str,
    to: str | None = None,
    sender: SenderOptions = NO_SENDER,
    options: RequestOptions = REQUEST,
) -> int:
    """Send a case back to the step before, or to an earlier one.

    Args:
        case: its id (leave:KEY) or its number (leave/2026-03-0007).
        reason: why.
        to: the step.
    """
    return await send(case, "send_back", sender, {"reason": reason, "to": to}, options)


async def refuse(
    case: str, /, *, reason: str, sender: SenderOptions = NO_SENDER, options: RequestOptions = REQUEST
) -> int:
    """Refuse a form or a shift swap for good.

    Args:
        case: its id (leave:KEY) or its number (leave/2026-03-0007).
        reason: why.
    """
    return await send(case, "refuse", sender, {"reason": reason}, options)
