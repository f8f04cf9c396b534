"""The command ``payouts reconcile``."""

from __future__ import annotations

from cyclopts import App

from starter.cli import output
from starter.cli.errors import FAILED, OK
from starter.cli.options import STACK, StackOptions

app = App(name="payouts", help="The money: compare the books about it.")


@app.command
async def reconcile(*, options: StackOptions = STACK) -> int:
    """Compare the ledger's events, the payout book and the gateway's own book. Exit code 1 if they differ.

    Every difference is listed: paid twice, another amount or reference, missing here or there, paid
    without an event, ordered without a request.
    """
    from starter.payouts import payouts_of

    async with options.database() as database:
        report = await payouts_of(options.settings(), database).reconcile()
    if options.json:
        output.print_json(
            {
                "ok": report.ok,
                "gateway": report.gateway,
                "payouts": report.payouts,
                "paid": report.paid,
                "total": f"{report.total:.2f}",
                "unchecked": report.unchecked,
                "differences": [
                    {"kind": one.kind, "case": one.case_id, "key": one.key, "detail": one.detail}
                    for one in report.differences
                ],
            }
        )
        return OK if report.ok else FAILED
    output.fields(
        [
            ("gateway", report.gateway),
            ("payouts", report.payouts),
            ("paid", f"{report.paid}, {report.total:.2f} yuan"),
            ("unchecked", f"{report.unchecked} by an earlier gateway" if report.unchecked else None),
        ]
    )
    if report.ok:
        output.line("the ledger, the payout book and the gateway's book agree")
        return OK
    output.table(
        ("difference", "case", "key", "what"),
        [(one.kind, one.case_id, one.key, one.detail) for one in report.differences],
    )
    return FAILED
