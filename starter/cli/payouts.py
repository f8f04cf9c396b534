"""The commands ``payouts reconcile`` and ``payouts settle``."""

from __future__ import annotations

from cyclopts import App

from starter.cli import output
from starter.cli.errors import FAILED, OK, BadInput
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


@app.command
async def settle(
    key: str, /, *, paid: str | None = None, failed: str | None = None, options: StackOptions = STACK
) -> int:
    """Write down what came of an order to a gateway that is not there any more, as it said by letter or telephone.

    The case hears of it from its next attempt; what failed is then sent to the present gateway.

    Args:
        key: of the order, like claim:form-7/payout.
        paid: the gateway's proof of the payment.
        failed: why it was not paid, as a code like account_closed.
    """
    from starter.payouts import payouts_of

    if (paid is None) == (failed is None):
        raise BadInput("give one of --paid REFERENCE and --failed CODE")
    async with options.database() as database:
        result = await payouts_of(options.settings(), database).settle(key, paid=paid, failed=failed)
    if options.json:
        output.print_json({"key": key, "state": result.state, "reference": result.reference, "reason": result.reason})
    else:
        output.line(f"{key}: {result.state} {result.reference or result.reason}")
    return OK
