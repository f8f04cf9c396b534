"""What needs somebody: a person's list, the approvals that wait, and the open cases of each rung.

Every method takes what the caller may see: see `activities.casebook.paging.visible`.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from activities.casebook.filter import SEVERITIES, Filter
from activities.casebook.paging import Kinds, Page, Units, check_limit, read_cursor, visible, write_cursor
from activities.database.database import Database, statement
from cases.mechanisms.replies import CustomerWrote, ReplySending
from cases.registry import KINDS
from cases.vocabulary.lifecycle import ContactAttempted, FollowedUp, Promised, Replied, Resolved
from cases.vocabulary.refusals import Refused, shown

# Why something needs a person.
Needed = Literal["holder", "rung", "approval", "payout", "signature"]
# By what a person's list is ordered: by the next deadline, by when the case was opened, by its unit, kind or severity.
Order = Literal["due", "oldest", "unit", "kind", "severity"]
ORDERS: tuple[Order, ...] = get_args(Order)
# Who confirms payments made by hand.
FINANCE = "finance"
# Kinds that climb the ladder: others, and all forms, reach a rung only when they are late.
CLIMBING = tuple(name for name, kind in KINDS.items() if kind.CLIMBS)
# The fact that a case is about by kind, as JSON.
ABOUT = json.dumps({name: kind.ABOUT for name, kind in KINDS.items()})

# What is said to a customer or by them, and what ends what they wrote about.
TALK = tuple(
    model.TYPE
    for model in (CustomerWrote, ReplySending, Replied, ContactAttempted, Promised, Resolved, FollowedUp)
)  # fmt: skip

_SLIM = (
    "kind", "number", "status", "rung", "holder", "acknowledged", "turn", "unit", "severity", "breached", "matter",
    "waybill",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NeededPage:
    """The first lines of a person's list, and how many it has in all."""

    lines: list[dict[str, Any]]
    total: int


class Worklist:
    """Lists what needs somebody. Safe to share between tasks; every method raises what `Database.connection` does."""

    _APPROVALS = statement(__package__, "worklist_approvals")
    _NOW = statement(__package__, "worklist_now")
    _DECIDED = statement(__package__, "worklist_decided")
    _BOARD = statement(__package__, "worklist_board")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def approvals(
        self,
        *,
        roles: Collection[str],
        not_by: str,
        units: Units,
        kinds: Kinds,
        limit: int = 50,
        after: str | None = None,
    ) -> Page:
        """Return open approvals that one of these roles is asked for now and that somebody else asked for.

        Each is ``{"case": view, "approval": {..., "number", "due"}}``; what is due first comes first.

        Raises:
            Refused: code ``invalid``.
        """
        check_limit(limit)
        place = read_cursor(after, "approval", numbers=1)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                self._APPROVALS, *visible(units, kinds), list(roles), not_by, limit + 1, *place
            )
        last = rows[limit - 1] if len(rows) > limit else None
        following = None if last is None else write_cursor("approval", last["place"], last["case_id"], last["number"])
        lines = [
            {"case": row["view"], "approval": {**row["approval"], "number": row["number"], "due": _iso(row["due"])}}
            for row in rows[:limit]
        ]
        return Page(lines, following)

    async def now(
        self,
        role: str,
        person: str,
        *,
        units: Units,
        kinds: Kinds,
        limit: int = 100,
        order: str = "due",
        filter: Filter | None = None,
        why: str | None = None,
        only: Collection[str] | None = None,
    ) -> NeededPage:
        """Return what needs a person now: ``{"case": view, "why", "due", "wrote"}``, what is due first comes first.

        ``why`` is one of `Needed`: ``holder`` (they hold it), ``rung`` (it reached their rung and nobody took it up),
        ``approval`` (their role is asked, and somebody else asked), ``payout`` (finance must pay and
        confirm it) or ``signature`` (it is their role's turn). A case may be there for two reasons.
        ``due`` is that of the clock it is about, an RFC 3339 instant or None; ``wrote`` says that the customer wrote,
        and that nobody has answered, called or resolved since.

        Args:
            order: one of `ORDERS`; what is alike in it comes by when it is due.
            filter: by what the case file itself holds; what is looked for in other tables is not.
            why: only for this reason.
            only: only these cases, by their ids.

        Raises:
            Refused: code ``invalid``.
        """
        check_limit(limit)
        for name, value, allowed in (("order", order, ORDERS), ("why", why or "holder", get_args(Needed))):
            if value not in allowed:
                raise Refused("invalid", f"{name} = {shown(value)}: allowed: {', '.join(allowed)}")
        confirms = role == FINANCE
        values = [
            *visible(units, kinds), role, person, confirms, limit, CLIMBING,
            None if only is None else list(only), why, order, SEVERITIES[::-1], TALK,
        ]  # fmt: skip
        where, asked = (filter or Filter()).where(len(values) + 1)
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._NOW.replace("{where}", where), *values, *asked)
        lines = [
            {"case": row["view"], "why": row["why"], "due": _iso(row["due"]), "wrote": row["wrote"]} for row in rows
        ]
        return NeededPage(lines, rows[0]["total"] if rows else 0)

    async def decided(
        self, person: str, since: datetime, *, units: Units, kinds: Kinds, limit: int = 20
    ) -> list[dict[str, Any]]:
        """Return what others did since an instant about what a person had asked for or filed, the latest first.

        Each is ``{"case": view, "decision", "at", "actor", "subject", "amount"}``. Of what was asked for each decision,
        ``approved`` or ``rejected``; of a form how it stands, which is what was done last: beside these ``signed``,
        ``sent_back``, ``form_refused`` or ``form_completed``. There ``subject`` is the step, None of the last.

        Raises:
            Refused: code ``invalid``.
        """
        check_limit(limit)
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._DECIDED, *visible(units, kinds), person, since, limit, list(KINDS))
        return [
            {
                "case": row["view"],
                "decision": row["type"],
                "at": _iso(row["at"]),
                "actor": row["actor"],
                "subject": row["data"].get("subject", row["data"].get("step")),
                "amount": row["data"].get("amount"),
            }
            for row in rows
        ]

    async def board(self, *, units: Units, kinds: Kinds, each: int = 50) -> dict[str, dict[str, Any]]:
        """Return the open cases by rung: ``{"count", "breached", "cases"}``, the cases slim and at most ``each``.

        A slim case has ``id kind number status rung holder acknowledged turn unit severity
        opened_at next_due breached matter waybill`` of its view; ``matter`` is the fact that its kind is about,
        of a form its title, and ``turn`` the roles that a form waits for.

        Raises:
            Refused: code ``invalid``.
        """
        check_limit(each)
        async with self._database.connection() as connection:
            rows = await connection.fetch(self._BOARD, *visible(units, kinds), each, ABOUT)
        board: dict[str, dict[str, Any]] = {}
        for row in rows:
            slim = {name: row[name] for name in _SLIM}
            slim |= {"id": row["case_id"], "opened_at": _iso(row["opened_at"]), "next_due": _iso(row["next_due"])}
            of_rung = {"count": row["cases"], "breached": row["with_breach"], "cases": []}
            board.setdefault(row["rung"] or "", of_rung)["cases"].append(slim)
        return board


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
