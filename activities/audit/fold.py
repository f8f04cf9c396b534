"""Folding a case from its events, and comparing it with everything that is derived from them. Pure.

A view of an earlier release may lack fields that this one has; what it has must be what the events make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from math import nan
from typing import Any

from pydantic_core import from_json

from activities.audit.sent import unproven
from activities.casebook.chains import Chain, Texts
from activities.casebook.ledger import Fault
from activities.casebook.texts import COMMITMENT, PERSONAL, commitment, commitments
from activities.messages import PayoutOrder
from activities.senders.key_set import KeySet
from cases.case import Case
from cases.policy.model import Policy
from cases.registry import kind_of
from cases.vocabulary.effects import Payment
from cases.vocabulary.events import EVENTS, Actor, Event, canonical
from cases.vocabulary.lifecycle import Erased
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import at, put, resolved

Json = Mapping[str, Any]
# The columns of a case file that repeat its view, and those of them that are instants.
_COLUMNS = ("kind", "number", "status", "rung", "holder", "unit", "severity", "policy", "breached")
_INSTANTS = ("opened_at", "closed_at", "next_due")
_COMMITTED = f'"{COMMITMENT}":'.encode()
# What a row of the table of notices says of its event, and what stands for what the event does not say.
_NOTICE: dict[str, Any] = {"notice": None, "roles": None, "outcome": None, "channel": ""} | {
    "meant": [], "attempts": [], "reasons": {}, "remarks": []
}  # fmt: skip


def differences(
    chain: Chain,
    policy: Callable[[str], Policy | None],
    senders: KeySet | None = None,
    order: PayoutOrder | None = None,
) -> Iterator[Fault]:
    """Find what is derived from the events of a case, and is not what they make; and what its senders did not send.

    Args:
        chain: of which the hashes are right.
        policy: returns a pinned policy by its hash; None where the casebook has none.
        senders: by which proofs of senders are checked; without it they are not.
        order: of money, which the case has to owe.
    """
    derived, case_id = chain.derived, chain.case_id
    if derived is None:
        return

    def changed(detail: str, seq: int = chain.last) -> Fault:
        return Fault(case_id, seq, "changed", detail)

    try:
        raws = [from_json(body) for body in chain.bodies]
        yield from _personal(changed, raws[0], derived["personal"])
        yield from _erased(changed, raws, chain.texts, derived)
        events = _events(chain.bodies, raws)
        opened, file = events[0].data, derived["file"]
        pinned = policy(opened["policy_hash"])
        if pinned is None:
            yield changed("its policy is not in the casebook as it was pinned", 1)
        elif opened["kind"] not in pinned.kinds:
            yield changed(f"this build knows no kind {opened['kind']!r}", 1)
        else:
            case = kind_of(opened["kind"], pinned).replay(pinned, events)
            view = case.view()
            if case.NUMBERED_AT_OPENING:
                view["number"] = file["number"]
            if file["numbered_later"] == case.NUMBERED_AT_OPENING:
                yield changed("its case file says otherwise when it gets its number")
            yield from _file(changed, view, _with_texts(view, raws, chain.texts), file, chain.at[-1])
            if order is not None and order not in _orders(case, order):
                # Of the whole case, and not of its last event: it is the same fault when the case has moved meanwhile.
                yield changed(f"its events do not owe what is ordered: {order.amount} yuan", 1)
            if senders is not None:
                yield from unproven(case_id, raws, events, derived["sent"] or [], pinned, senders)
    except (Refused, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError) as error:
        yield changed(f"its events make no case ({type(error).__name__})")
        return
    yield from _notices(changed, raws, derived["notices"] or [])
    yield from _payout(changed, raws, derived["payout"])


def _orders(case: Case, like: PayoutOrder) -> list[PayoutOrder]:
    """Return the orders of the money that a case owes."""
    return [PayoutOrder.of(like.case_id, like.run, one) for one in case.owed() if isinstance(one, Payment)]


def _events(bodies: list[bytes], raws: list[Any]) -> list[Event]:
    """Return the events for a case to be folded from, without the texts that people wrote."""
    instants: dict[str, datetime] = {}
    actors: dict[tuple[str, ...], Actor] = {}

    def instant(text: str) -> datetime:
        if text not in instants:
            instants[text] = datetime.fromisoformat(text)
        return instants[text]

    events = []
    for body, raw in zip(bodies, raws, strict=True):
        data, by = raw["data"], tuple(raw["actor"].values())
        if raw["type"] not in EVENTS:
            raise ValueError(raw["type"])
        if _COMMITTED in body:
            data = put(data, {path: None if path == PERSONAL else "" for path in commitments(data)})
        actor = actors.get(by) or actors.setdefault(by, Actor(**raw["actor"]))
        at, recorded_at = instant(raw["at"]), instant(raw["recorded_at"])
        events.append(Event(raw["seq"], raw["type"], at, recorded_at, actor, tuple(raw["clauses"]), data))
    return events


def _with_texts(view: Json, raws: list[Any], texts: Texts) -> Json:
    """Return a view as earlier releases recorded it: with texts, where it refers to them now."""

    def text(seq: int, field: str) -> str | None:
        if field in texts.get(seq, {}):
            return texts[seq][field][1]
        try:
            return str(at(raws[seq - 1]["data"], field))
        except LookupError:
            return None

    shown: Json = resolved(view, text)
    return shown


def _file(
    changed: Callable[[str], Fault], view: Json, with_texts: Json, file: Json, updated_at: float
) -> Iterator[Fault]:
    stored = file["view"]
    wrong = [name for name in stored if name not in view or stored[name] not in (view[name], with_texts[name])]
    wrong += [name for name in ("id", "kind", "status", "events") if name not in stored]
    for name in _COLUMNS:
        if file[name] != view[name]:
            wrong.append(f"the column {name}")
    for name in _INSTANTS:
        if _seconds(file[name]) != _seconds(view[name]):
            wrong.append(f"the column {name}")
    if _seconds(file["updated_at"]) != updated_at:
        wrong.append("the column updated_at")
    if wrong:
        yield changed(f"its case file is not what its events make: {', '.join(wrong)}")


def _seconds(instant: str | None) -> float | None:
    try:
        return None if instant is None else datetime.fromisoformat(instant).timestamp()
    except ValueError:
        # One that PostgreSQL has and Python does not, which is equal to none.
        return nan


def _personal(changed: Callable[..., Fault], first: Json, personal: Json | None) -> Iterator[Fault]:
    said = first["data"].get(PERSONAL)
    if said is None:
        return
    if personal is None or (personal["facts"] is None and not personal["erased"]):
        yield changed("its personal facts are gone, and were not erased", 1)
    elif personal["facts"] is not None:
        salt = bytes.fromhex(personal["salt"] or "")
        if commitment(salt, canonical(personal["facts"])) != said:
            yield changed("its personal facts are not those that were recorded", 1)


def _erased(changed: Callable[..., Fault], raws: list[Any], texts: Texts, derived: Json) -> Iterator[Fault]:
    """Find what was erased without an event that says so, and what an event says was erased and is still there."""
    personal = derived["personal"]
    said = next((raw["seq"] for raw in raws if raw["type"] == Erased.TYPE), None)
    gone = [seq for seq, fields in texts.items() if any(text is None for _, text in fields.values())]
    kept = [seq for seq, fields in texts.items() if any(text is not None for _, text in fields.values())]
    if said is None and (gone or (personal is not None and personal["erased"])):
        yield changed("something of it was erased, and no event says so", min(gone, default=1))
    elif said is not None and (
        kept or derived["recognized"] or (personal is not None and personal["facts"] is not None)
    ):
        yield changed("something is there that was erased, as this event says", said)


def _notices(changed: Callable[..., Fault], raws: list[Any], rows: list[Json]) -> Iterator[Fault]:
    by_seq = {row["seq"]: row for row in rows}
    for raw in raws:
        if raw["type"] != "notified":
            continue
        row, data = by_seq.pop(raw["seq"], None), raw["data"]
        if row is None:
            yield changed("the notice that it tells of is not in the table of notices", raw["seq"])
            continue
        told = {name: data.get(name, default) for name, default in _NOTICE.items()}
        copy = f"/{data['no']}" if "no" in data else ""
        told["id"] = f"{row['case_id']}/{data['of']}/{data['notice']}{copy}"
        wrong = [name for name, value in told.items() if row[name] != value]
        if wrong or _seconds(row["at"]) != _seconds(raw["at"]):
            yield changed(f"the table of notices says otherwise: {', '.join(wrong or ['at'])}", raw["seq"])
    for seq in sorted(by_seq):
        yield changed("the table of notices has one that no event tells of", seq)


def _payout(changed: Callable[..., Fault], raws: list[Any], row: Json | None) -> Iterator[Fault]:
    """Compare the payout book with the events; the gateway's book is compared by ``caseladder payouts reconcile``."""
    requested = {Decimal(raw["data"]["amount"]) for raw in raws if raw["type"] == "payout_requested"}
    paid = {(Decimal(raw["data"]["amount"]), raw["data"]["reference"]) for raw in raws if raw["type"] == "paid"}
    payees = {raw["data"].get("payee") for raw in raws if raw["type"] == "payout_requested"}
    if row is None:
        if paid:
            yield changed("it was paid, and the payout book does not have it")
        return
    amount = Decimal(row["amount"])
    if row["state"] == "paid" and (amount, row["reference"]) not in paid:
        yield changed(f"the payout book says that {amount} were paid ({row['reference']}), its events do not")
    elif row["state"] != "paid" and paid:
        yield changed(f"it was paid, and the payout book says {row['state']}")
    elif not paid and requested and amount not in requested:
        yield changed(f"the payout book has another amount than was asked for: {amount}")
    # Nobody is named where finance has paid by hand.
    if row["payee"] and row["payee"] not in payees:
        yield changed(f"the payout book has another payee than was asked for: {row['payee']}")
