"""What happened: the vocabulary of the ledger.

An event is a fact with a logical time. ``at`` is when it happened by the rules (a deadline that
fell due at 10:05:00 happened at 10:05:00), ``recorded_at`` is when the process took note of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    """Every type of event; the comment names the data fields others rely on."""

    CASE_OPENED = "case_opened"  # kind, key, policy, policy_hash, holder_role, facts, parent?
    CLOSED = "closed"  # outcome
    WITHDRAWN = "withdrawn"
    ACKNOWLEDGED = "acknowledged"  # role, id
    ASSIGNED = "assigned"  # from, to
    REMINDED = "reminded"  # rung, count, subject?
    ESCALATED = "escalated"  # from, to, cause, reason?
    CLOCK_STARTED = "clock_started"  # clock, due
    CLOCK_MET = "clock_met"  # clock, due
    CLOCK_WARNED = "clock_warned"  # clock, due, fraction
    CLOCK_BREACHED = "clock_breached"  # clock, due
    CLOCK_PAUSED = "clock_paused"  # clocks, reason
    CLOCK_RESUMED = "clock_resumed"  # clocks, dues
    CONTACT_ATTEMPTED = "contact_attempted"  # reached, channel, reason
    NOTED = "noted"  # text
    ATTACHED = "attached"  # name, sha256, where
    PROMISED = "promised"  # reply_by
    REPLIED = "replied"  # stage, text
    INVESTIGATED = "investigated"  # finding, delay_cause, justified
    PROPOSED = "proposed"  # options
    OPTION_OFFERED = "option_offered"  # option
    OPTION_ANSWERED = "option_answered"  # option, accepted
    APPROVAL_REQUESTED = "approval_requested"  # subject, amount, role
    APPROVED = "approved"  # subject, amount
    REJECTED = "rejected"  # subject, reason
    EXTENDED = "extended"  # clock, due
    RESOLVED = "resolved"  # summary
    FOLLOWED_UP = "followed_up"  # satisfied
    REOPENED = "reopened"  # reason
    NOTIFIED = "notified"  # notice, roles, outcome, of: the event's seq, meant?, attempts?, reasons?, remarks?
    NOTICE_RESENT = "notice_resent"  # notice, roles, of, was: seq of its `notified`
    REPORT_SENT = "report_sent"  # roles, channel
    COMMAND_REFUSED = "command_refused"  # command, code
    PHONE_NOTICE_DUE = "phone_notice_due"  # roles
    PHONE_NOTICED = "phone_noticed"  # roles, reached_at
    REPORT_DUE = "report_due"  # the e-mail must go out now
    REPORT_LATE = "report_late"  # known_at, reported_at, minutes
    GOODS_CHECKED = "goods_checked"  # checklist
    LARGE_DAMAGE = "large_damage"  # amount
    FOUND = "found"  # cause, responsibility, report
    CORRECTED = "corrected"  # action, carried_out
    CUSTOMER_INFORMED = "customer_informed"
    SETTLED = "settled"  # amount
    LIABILITY_FLAGGED = "liability_flagged"  # roles, reason
    LIABILITY_CLEARED = "liability_cleared"  # roles, reason
    DECISION_LISTED = "decision_listed"  # month: the monthly decision that names the case
    CALENDAR_LOADED = "calendar_loaded"  # year, published
    CLOCK_MOVED = "clock_moved"  # clock, due, was, year
    CLAIM_OPENED = "claim_opened"  # claim: what a complaint led to
    CLAIM_ANSWERED = "claim_answered"  # limit_due
    ASSESSED = "assessed"  # eligible, lines, total, refused_because, facts: what the investigation added
    OFFERED = "offered"  # amount
    OFFER_DECLINED = "offer_declined"  # counter
    AGREED = "agreed"  # amount
    PAYOUT_REQUESTED = "payout_requested"  # amount
    PAID = "paid"  # amount, reference
    PAYOUT_FAILED = "payout_failed"  # reason
    DISPUTED = "disputed"  # path
    SIGNATURE_ASKED = "signature_asked"  # step, role, due, sent_back?
    SIGNED = "signed"  # step or side, role, text?
    SENT_BACK = "sent_back"  # step, to, role, reason
    SUMMARY_SENT = "summary_sent"  # month, said: cause and prevention by role
    RELIEF_TOLD = "relief_told"  # people, role, from, due, cases: how many
    RELIEF_MISSING = "relief_missing"  # role, from, due
    RELIEF_NAMED = "relief_named"  # to
    HANDING_OVER = "handing_over"  # round, from, to
    HANDED_OVER = "handed_over"  # round, people, role, cases, left: case and code
    SWAP_ASKED = "swap_asked"  # people, role, due
    SWAP_AGREED = "swap_agreed"  # role, due
    SWAP_REFUSED = "swap_refused"  # people, role, reason? or code and message
    ROSTER_CHANGED = "roster_changed"  # people, role, moves: shift, from, to


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted: an id that is no personal data (a staff number, a system name) and a role."""

    id: str
    role: str


SYSTEM = Actor("caseladder", "system")


@dataclass(frozen=True, slots=True)
class Event:
    """One fact of a case. ``data`` holds plain JSON values only: money and instants as strings."""

    seq: int
    type: EventType
    at: datetime
    recorded_at: datetime
    actor: Actor
    clauses: tuple[str, ...]
    data: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The event in its public JSON form (design contract "Events")."""
        return {
            "seq": self.seq,
            "type": self.type.value,
            "at": self.at.isoformat(),
            "recorded_at": self.recorded_at.isoformat(),
            "actor": {"id": self.actor.id, "role": self.actor.role},
            "clauses": list(self.clauses),
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Event:
        """The event whose public JSON form this is."""
        return cls(
            raw["seq"],
            EventType(raw["type"]),
            datetime.fromisoformat(raw["at"]),
            datetime.fromisoformat(raw["recorded_at"]),
            Actor(raw["actor"]["id"], raw["actor"]["role"]),
            tuple(raw["clauses"]),
            raw["data"],
        )


def canonical(value: Mapping[str, Any]) -> str:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8. Hashes are taken over it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
