"""Compare the three books about the money: the ledger's events, our payout book, the gateway's own."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from activities.database.database import AUDIT_TIMEOUT, Database, statement
from activities.payouts.gateway import UNNAMED, Entry, Gateway, ManualGateway, Payout

# Seconds until a difference is looked at again: what was under way at the first look is no difference.
SECOND_LOOK = 2.0

Kind = Literal[
    "paid_twice",  # by the gateway and by hand, under two keys, or in two events
    "amount_differs",
    "reference_differs",  # the proofs name two payments
    "missing_here",  # one of the others says paid, our book does not
    "missing_there",  # our book says paid by this gateway, the gateway does not
    "no_event",  # paid, and the case's ledger does not say so
    "not_requested",  # ordered, and the case's ledger does not say so
]


# Whose word stands against the payout book.
Other = Literal["gateway", "ledger"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference between our payout book and another book.

    Args:
        detail: what both say, in one English sentence.
        there: what the other one says, an amount in yuan or proofs of payment; empty where it has nothing.
    """

    kind: Kind
    case_id: str
    key: str
    detail: str
    other: Other
    there: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a comparison.

    Args:
        gateway: whose book was read.
        payouts: orders in our book.
        paid: those that are paid; ``total`` is their sum in yuan.
        unchecked: paid ones that an earlier gateway carried out, whose book is not at hand.
    """

    gateway: str
    payouts: int
    paid: int
    total: Decimal
    unchecked: int
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """Whether all books agree."""
        return not self.differences


@dataclass(slots=True)
class _Claims:
    """The payout of a case by its ledger: amounts that were requested, amounts with references that were paid."""

    requested: list[str] = field(default_factory=list)
    paid: list[tuple[str, str]] = field(default_factory=list)


class _Comparison:
    """The three books as they were read."""

    def __init__(
        self, rows: Sequence[Payout], claims: dict[str, _Claims], entries: Sequence[Entry], gateway: str
    ) -> None:
        self.rows, self.claims, self.gateway = rows, claims, gateway
        self.by_case = {row.case_id: row for row in rows}
        self.paid: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.state == "paid":
                self.paid[entry.key].append(entry)

    def differences(self) -> Iterator[Difference]:
        for row in self.rows:
            yield from self._against_gateway(row)
            yield from self._against_ledger(row, self.claims.get(row.case_id, _Claims()))
        known = {row.key for row in self.rows}
        for key, entries in self.paid.items():
            if key not in known:
                for entry in entries:
                    yield self._unknown(entry)
        for case_id, claimed in self.claims.items():
            if claimed.paid and case_id not in self.by_case:
                detail, there = "paid by its ledger, and not in the payout book", _proofs(claimed)
                yield Difference("missing_here", case_id, "", detail, "ledger", there)

    def _unknown(self, entry: Entry) -> Difference:
        row = self.by_case.get(entry.case_id)
        detail = f"the gateway paid {entry.amount} ({entry.reference}) under a key that the payout book does not have"
        twice = row is not None and row.state == "paid"
        kind: Kind = "paid_twice" if twice else "missing_here"
        return Difference(kind, entry.case_id, entry.key, detail, "gateway", f"{entry.amount} ({entry.reference})")

    def _against_gateway(self, row: Payout) -> Iterator[Difference]:
        entries, own = self.paid.get(row.key, []), row.gateway in (self.gateway, UNNAMED)
        if not entries:
            if own and row.state == "paid" and self.gateway != ManualGateway.name:
                detail = f"the payout book says paid ({row.reference}), the gateway does not"
                yield self._of(row, "missing_there", detail, "gateway")
            return
        references = ", ".join(entry.reference for entry in entries)
        if len(entries) > 1:
            yield self._of(row, "paid_twice", f"by the gateway under one key ({references})", "gateway", references)
        for amount in sorted({entry.amount for entry in entries if entry.amount is not None} - {row.amount}):
            detail = f"the gateway says {amount}, the payout book {row.amount}"
            yield self._of(row, "amount_differs", detail, "gateway", f"{amount}")
        if row.state != "paid":
            detail = f"the gateway paid ({references}), the payout book says {row.state}"
            yield self._of(row, "missing_here", detail, "gateway", references)
        elif not own:
            detail = f"by the gateway ({references}) and by {row.gateway} ({row.reference})"
            yield self._of(row, "paid_twice", detail, "gateway", references)
        elif row.reference not in {entry.reference for entry in entries}:
            detail = f"the gateway says {references}, the payout book {row.reference}"
            yield self._of(row, "reference_differs", detail, "gateway", references)

    def _against_ledger(self, row: Payout, claimed: _Claims) -> Iterator[Difference]:
        if not claimed.requested:
            yield self._of(row, "not_requested", "the case's ledger asks for no payout", "ledger")
        amounts = {*claimed.requested[-1:], *(amount for amount, _ in claimed.paid)} - {f"{row.amount:.2f}"}
        for amount in sorted(amounts):
            detail = f"the case's ledger says {amount}, the payout book {row.amount}"
            yield self._of(row, "amount_differs", detail, "ledger", amount)
        if len(claimed.paid) > 1:
            detail = f"the case's ledger says paid {len(claimed.paid)} times"
            yield self._of(row, "paid_twice", detail, "ledger", _proofs(claimed))
        if row.state == "paid" and not claimed.paid:
            detail = f"paid ({row.reference}), and the case's ledger does not say so"
            yield self._of(row, "no_event", detail, "ledger")
        for _, reference in claimed.paid:
            if row.state != "paid":
                detail = f"the case's ledger says paid ({reference}), the payout book {row.state}"
                yield self._of(row, "missing_here", detail, "ledger", reference)
            elif reference != row.reference:
                detail = f"the case's ledger says {reference}, the payout book {row.reference}"
                yield self._of(row, "reference_differs", detail, "ledger", reference)

    def _of(self, row: Payout, kind: Kind, detail: str, other: Other, there: str = "") -> Difference:
        return Difference(kind, row.case_id, row.key, detail, other, there)


def _proofs(claimed: _Claims) -> str:
    return ", ".join(reference for _, reference in claimed.paid)


async def reconcile(database: Database, gateway: Gateway, *, second_look: float = SECOND_LOOK) -> Report:
    """Compare the three books and list every difference that a second look still finds.

    Args:
        second_look: seconds between the two looks; payouts go on meanwhile.

    Raises:
        DatabaseAway: our books cannot be read.
        PayoutUnknown: the gateway's cannot.
    """
    report = await _look(database, gateway)
    if report.ok:
        return report
    await asyncio.sleep(second_look)
    first, report = report, await _look(database, gateway)
    lasting = tuple(one for one in report.differences if one in first.differences)
    return Report(report.gateway, report.payouts, report.paid, report.total, report.unchecked, lasting)


async def _look(database: Database, gateway: Gateway) -> Report:
    entries = [entry async for entry in gateway.entries()]
    async with database.audit() as connection:
        rows = [Payout(**row) for row in await connection.fetch(_ROWS, timeout=AUDIT_TIMEOUT)]
        events = await connection.fetch(_EVENTS, timeout=AUDIT_TIMEOUT)
    claims: dict[str, _Claims] = defaultdict(_Claims)
    for event in events:
        of_case = claims[event["case_id"]]
        if event["type"] == "paid":
            of_case.paid.append((event["amount"], event["reference"]))
        else:
            of_case.requested.append(event["amount"])
    paid = [row for row in rows if row.state == "paid"]
    return Report(
        gateway.name,
        len(rows),
        len(paid),
        sum((row.amount for row in paid), Decimal("0.00")),
        sum(row.gateway not in (gateway.name, ManualGateway.name, UNNAMED) for row in paid),
        tuple(_Comparison(rows, claims, entries, gateway.name).differences()),
    )


_ROWS = statement(__package__, "payout_rows")
_EVENTS = statement(__package__, "payout_events")
