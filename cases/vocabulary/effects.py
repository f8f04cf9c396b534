"""What a case asks to be done outside.

Each effect names the event that asked for it; what came of it returns to the case as a call of `cases.case.Case`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from cases.vocabulary.values import Model, Money

# The activities of no kind of its own: names are part of recorded histories, they stay as they are.
GIVE_NUMBER = "give_number"
RECORD_ABSENCE = "record_absence"
MERGE_CASE = "merge_case"
SEND_REPLY = "send_reply"
# What came of an activity that is tried for a limited time, and has not come out in it.
UNAVAILABLE: Mapping[str, Any] = {"failed": "unavailable"}


class Notice(Model):
    """Somebody must be told of an event.

    Args:
        seq: of the event.
        meets: the clocks that end once it was delivered to all.
        acknowledge: whether whoever hears of it may take the case up by it.
        no: which copy it is, where copies go out one by one.
        people: the very persons whom it is for, of these roles; without them whoever stands for a role.
    """

    effect: Literal["notice"] = "notice"
    seq: int
    name: str
    roles: tuple[str, ...]
    clause: str
    meets: tuple[str, ...] = ()
    acknowledge: bool = False
    no: int | None = None
    people: tuple[str, ...] = ()


class Payment(Model):
    """Money must go out, in yuan.

    Args:
        payee: a token of who is paid and how.
        order: counts the agreements of the case; each is paid under a key of its own.
        waybill: the parcel that is paid for once, beside the other claims that were ``cleared``.
    """

    effect: Literal["payment"] = "payment"
    seq: int
    amount: Money
    payee: str | None = None
    order: int = 1
    waybill: str | None = None
    cleared: tuple[str, ...] = ()


class Opening(Model):
    """Another case must be opened, with this intake as plain JSON."""

    effect: Literal["opening"] = "opening"
    seq: int
    kind: str
    intake: dict[str, Any]

    @property
    def case_id(self) -> str:
        """The id of the other case."""
        return f"{self.kind}:{self.intake['key']}"


class ActivityCall(Model):
    """An activity must run, with this order as plain JSON.

    Args:
        recorded_first: whether it waits until the ledger asks for it.
        tried_for: how long it is tried before it comes to `UNAVAILABLE`; None for as long as it takes.
    """

    effect: Literal["activity"] = "activity"
    seq: int
    activity: str
    order: dict[str, Any]
    recorded_first: bool = False
    tried_for: timedelta | None = None


Effect = Annotated[Notice | Payment | Opening | ActivityCall, Field(discriminator="effect")]
