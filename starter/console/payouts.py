"""The page of payouts: what our payout book has, by day and state, and how it compares with the other two books.

It pays nothing and settles nothing: that is done on the case, or by the gateway.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, get_args, get_type_hints
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from activities.payouts import Listed, PayoutUnknown, Which
from activities.payouts.gateway import Payout
from activities.payouts.reconcile import Difference, Report
from cases.vocabulary.refusals import Refused
from starter.access import may_reconcile
from starter.console.find import MEDIA
from starter.console.web import Look, Message, days_of

# So many of the last ones are shown; a file has all of them.
SHOWN = 200
STATES: tuple[str, ...] = get_args(get_type_hints(Payout)["state"])
# What each of the other books says, as a text of the page.
_SAYS = {"gateway": "payouts.gateway_says", "ledger": "payouts.ledger_says"}


async def payouts(look: Look) -> Response:
    """Return the page; when its form is sent, with what comparing the books found.

    Comparing is no GET: it asks the gateway and keeps others waiting, which no link may make somebody do.

    Raises:
        HTTPException: 403 for who may not read them.
    """
    _check(look)
    given = {name: look.request.query_params.get(name, "") for name in ("state", "from", "to")}
    compared = look.request.method == "POST"
    status = 200
    try:
        which = _which(look)
    except Refused as refusal:
        look.message, status, which = Message("bad", look.words.refusal(refusal)), 422, None
    report = None
    if compared and which is not None:
        try:
            report = await look.services.payouts.reconcile()
            look.message = _told(look, report)
        except PayoutUnknown as error:
            look.message, status = Message("bad", look.say("payouts.unread", why=error.message)), 503
    book = look.services.payouts
    return look.page(
        "payouts.html",
        status=status,
        page="payouts",
        given=given,
        compared=report is not None,
        asked=urlencode({name: value for name, value in given.items() if value}),
        states=STATES,
        sums={} if which is None else await book.sums(which),
        listed=[] if which is None else await book.listed(which, SHOWN),
        most=SHOWN,
        differences=[] if report is None else [(one, _there(look, one)) for one in report.differences],
        reason=look.words.reason,
    )


async def export(look: Look) -> Response:
    """Return what is filtered as a file in the words of the page, ``csv`` or ``xlsx``; a form sent, compared.

    Raises:
        HTTPException: 403 for who may not read them.
    """
    _check(look)
    # The library that writes workbooks takes a while to import.
    from starter import exports
    from starter.console.tables import PAYOUT_COLUMNS, Tables

    query = look.request.query_params
    sort: exports.Format = "xlsx" if query.get("as") == "xlsx" else "csv"
    listed = await look.services.payouts.listed(_which(look))
    differences: Sequence[Difference] = ()
    if look.request.method == "POST":
        try:
            differences = (await look.services.payouts.reconcile()).differences
        except PayoutUnknown as error:
            return look.page("error.html", status=503, why=look.say("payouts.unread", why=error.message))
    tables = Tables(look.words, look.times.zone)
    rows = _rows(look, listed, differences)
    name = f"payouts-{look.times.now:%Y%m%d-%H%M}.{sort}"
    return StreamingResponse(
        exports.stream(tables.payout_rows(rows), tables.heads(PAYOUT_COLUMNS), sort, marked=True),
        media_type=MEDIA[sort],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _check(look: Look) -> None:
    if not may_reconcile(look.who):
        raise HTTPException(403)


def _which(look: Look) -> Which:
    """Return what the address asks for.

    Raises:
        Refused: ``invalid``: a day is none.
    """
    days, state = days_of(look), look.request.query_params.get("state")
    return Which(days.since, days.until, state if state in STATES else None)


def _told(look: Look, report: Report) -> Message:
    """Return what came of comparing the books."""
    total = look.formatter.yuan(f"{report.total:.2f}")
    numbers: dict[str, Any] = {"payouts": report.payouts, "paid": report.paid, "total": total}
    said = (
        look.say("payouts.agree", **numbers)
        if report.ok
        else look.say("payouts.differ", count=len(report.differences), **numbers)
    )
    if report.unchecked:
        said += " " + look.say("payouts.unchecked", count=report.unchecked)
    return Message("good" if report.ok else "bad", said)


def _there(look: Look, one: Difference) -> str:
    """Return what the other book says."""
    return look.say(_SAYS[one.other], said=one.there or look.say("app.none"))


async def _rows(
    look: Look, listed: Iterable[Listed], differences: Sequence[Difference]
) -> AsyncIterator[tuple[Listed | None, str, str]]:
    """Yield each payout, its case, and what differs about it; then what differs about what is not listed."""
    said: dict[tuple[str, str], list[str]] = {}
    for one in differences:
        what = f"{look.words.word('difference', one.kind)} ({_there(look, one)})"
        said.setdefault((one.case_id, one.key), []).append(what)
    for row in listed:
        yield row, row.payout.case_id, "; ".join(said.pop((row.payout.case_id, row.payout.key), ()))
    for (case_id, _), texts in said.items():
        yield None, case_id, "; ".join(texts)
