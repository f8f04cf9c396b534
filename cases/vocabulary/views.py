"""A case as it stands: what lists, pages and queries show of it, free of personal data."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from cases.vocabulary.values import Money


class ViewModel(BaseModel):
    """Base of what a view holds: plain values, each a field of its public JSON."""

    # What only the shell knows (`trouble`) stands beside it in an answer.
    model_config = ConfigDict(extra="ignore")


class ClockView(ViewModel):
    """A deadline of a case. While years in ``provisional`` are not published, ``due`` may still move."""

    clock: str
    state: str
    due: str
    provisional: list[int] = Field(default_factory=list)


class ApprovalView(ViewModel):
    """Something that somebody with authority must decide, or one of ``also``; the amount in yuan."""

    subject: str
    amount: Money | None
    role: str
    requested_by: str
    state: str
    also: list[str] = Field(default_factory=list)


class Waiting(ViewModel):
    """Somebody must act: a role or a person, but none of ``except_for``; ``clock`` says until when, if one does."""

    what: str
    clock: str | None = None
    role: str | None = None
    person: str | None = None
    except_for: list[str] = Field(default_factory=list)


class CaseView(ViewModel):
    """A case as it stands. Each kind adds fields of its own."""

    id: str
    key: str
    kind: str
    number: str | None
    status: str
    outcome: str | None
    rung: str
    holder: str
    acknowledged: bool
    unit: str | None
    severity: str | None
    facts: dict[str, Any]
    parent: str | None
    policy: str
    policy_hash: str
    opened_at: str | None
    resolved_at: str | None
    closed_at: str | None
    next_due: str | None
    breached: list[str]
    clocks: list[ClockView]
    approvals: list[ApprovalView]
    waits_for: list[Waiting]
    # The last day on which a closed case is kept whole; when what it held of persons was erased.
    keep_until: str | None = None
    erased_at: str | None = None
    received_at: str | None = None
    # Cases by id: those that it was tied to, later ones that were merged into it, the one that it is being merged into,
    # and the one that it was merged into.
    links: list[str] = Field(default_factory=list)
    duplicates: list[str] = Field(default_factory=list)
    merging: str | None = None
    merged_into: str | None = None
    events: int
