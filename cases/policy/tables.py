"""The tables of a policy file: clocks, ladder, authority, notices, and what every kind has of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cases.authority import falling
from cases.policy.earlier import pinned
from cases.vocabulary.values import Label, Model, PositiveYuan, Role, Severity, ShippingRoute, Yuan
from cases.working_calendar import WEEKDAYS, CalendarYears

if TYPE_CHECKING:
    from cases.policy.model import Policy

# A century is beyond any rule, and within it no arithmetic of instants fails.
LONGEST = timedelta(days=36_525)
_DURATION = re.compile(
    r"P(?=.)((?P<days>\d+)D)?(T(?=.)((?P<hours>\d+)H)?((?P<minutes>\d+)M)?((?P<seconds>\d+)S)?)?", re.ASCII
)


def _duration(value: Any) -> timedelta:
    # Months and years have no fixed length, and a bare number does not say its unit.
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        parts = {unit: int(number) for unit, number in found.groupdict("0").items()}
        if max(parts.values()) <= LONGEST.total_seconds() and timedelta() < (span := timedelta(**parts)) <= LONGEST:
            return span
    raise ValueError("a duration is days, hours, minutes, seconds like P1D, PT12H or PT5M, above 0, at most P36525D")


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Days = Annotated[int, Field(gt=0, le=LONGEST.days)]
# Files of complaints are kept for 3 years at least (O-APP2).
RetainYears = Annotated[int, Field(ge=3, le=100)]
Percent = Annotated[int, Field(gt=0, lt=100)]
CUSTOMER = "customer"
# Copies of a complaint's papers never go to the customer.
NEVER_TO_CUSTOMER = f"a copy never goes to the {CUSTOMER} (S1-5.9.10); allowed: every other role"


def _gets_copies(role: str, info: ValidationInfo) -> str:
    if role == CUSTOMER and not pinned(info):
        raise ValueError(NEVER_TO_CUSTOMER)
    return role


# A role to which copies may go.
CopyRole = Annotated[Role, AfterValidator(_gets_copies)]


class ClockRule(Model):
    """One deadline: exactly one of the limits, or none where a command names the moment.

    ``elapsed`` is exact elapsed time, ``calendar_days`` ends 23:59:59 of the last day (T1),
    ``working_time`` counts only the calendar's working windows, ``next_opening`` is the start of the
    next of them (S3-3.1.7). Three are bound to what a field of the case holds: ``month_day`` ends 23:59:59 of that
    day of the month after the one in ``field``, of its last day where it is shorter; ``week_day`` (1 is Monday) of that
    day of the week after the one in ``field``; ``until`` at the instant in the field that it names, or at 23:59:59 of
    the date there.
    """

    LIMITS: ClassVar[tuple[str, ...]] = (
        "elapsed", "calendar_days", "working_time", "next_opening", "month_day", "week_day", "until",
    )  # fmt: skip

    elapsed: Duration | None = None
    calendar_days: Days | None = None
    working_time: Duration | None = None
    next_opening: bool = False
    month_day: Annotated[int, Field(ge=1, le=31)] | None = None
    week_day: Annotated[int, Field(ge=1, le=7)] | None = None
    until: str | None = None
    field: str | None = None
    pausable: bool = False
    extendable: bool = False
    warn_percent: tuple[Percent, ...] = ()
    escalates_to: Role | None = None
    clause: str

    @property
    def unlimited(self) -> bool:
        """Whether the rule has no limit of its own."""
        return not any(getattr(self, name) for name in self.LIMITS)

    @property
    def bound_to(self) -> str | None:
        """The field of the case by which it falls due, None where it does not go by one."""
        return self.until or self.field

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(bool(getattr(self, name)) for name in self.LIMITS) > 1:
            raise ValueError(f"give only one of {', '.join(self.LIMITS)}")
        if (self.field is not None) != (self.month_day is not None or self.week_day is not None):
            raise ValueError("month_day and week_day go by a field, like field = 'month', and nothing else does")
        if self.pausable and self.bound_to is not None:
            raise ValueError("a clock that ends by a field cannot be paused")
        if self.pausable and self.next_opening:
            raise ValueError("a clock until the next opening cannot be paused")
        if self.pausable and self.calendar_days is not None:
            raise ValueError("a clock in calendar days cannot be paused (T1)")
        if list(self.warn_percent) != sorted(set(self.warn_percent)):
            raise ValueError("warn_percent must rise")
        return self


class Reminders(Model):
    """Growing intervals at the top rung: ``first``, then times ``factor``, at most ``longest``."""

    first: Duration
    factor: Annotated[int, Field(ge=1)]
    longest: Duration
    clause: str

    def interval(self, count: int) -> timedelta:
        """Return the wait before reminder number ``count`` (from 1)."""
        # The exponent is bounded so that a case reminded for years stays a small number.
        times: int = self.factor ** min(count - 1, 32)
        return self.first * times if times <= self.longest // self.first else self.longest


class LadderRule(Model):
    """The rungs, lowest first, and how the top one is reminded."""

    rungs: Annotated[tuple[Role, ...], Field(min_length=1)]
    clause: str
    reminders: Reminders

    @field_validator("rungs")
    @classmethod
    def _distinct(cls, rungs: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(rungs)) != len(rungs):
            raise ValueError("a rung is named twice")
        return rungs


class AuthorityRule(Model):
    """Up to how much each rung may decide, in yuan; a rung without a limit decides any amount."""

    limits: dict[Role, Yuan]
    clause: str


class AuthorityOfKind(Model):
    """Who decides about one kind of case, lowest first, and up to how much, in yuan.

    The last of them decides any amount, and every other has a limit.
    """

    rungs: Annotated[tuple[Role, ...], Field(min_length=1)]
    limits: dict[Role, Yuan] = Field(default_factory=dict)
    clause: str

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        limited = self.rungs[:-1]
        if len(set(self.rungs)) != len(self.rungs):
            raise ValueError("a role is named twice in rungs")
        for role in self.limits:
            if role not in limited:
                why = "the last of rungs decides any amount and has no limit" if role in self.rungs else "not in rungs"
                raise ValueError(f"limits.{role}: {why}; allowed: {', '.join(limited) or 'none'}")
        for role in limited:
            if role not in self.limits:
                raise ValueError(f"limits.{role} is missing: only the last of rungs has no limit")
        if not pinned(info) and (fault := falling(self.rungs, self.limits)):
            raise ValueError(fault)
        return self


class ApprovalsRule(Model):
    """What an approval needs beside authority.

    Args:
        passkey_from: from so many yuan on, whoever approves confirms the amount with a passkey.
    """

    passkey_from: Yuan
    clause: str


class SeverityRule(Model):
    """The rung at which a case of each severity starts (S1-2.5)."""

    starts_at: dict[Severity, Role]
    clause: str


# The event that says which copies go out; and what a notice is for that goes to the role of each.
COPIES_ISSUED, COPIES = "copies_issued", "copies"
# Whom a notice is for that goes to who filed a form; and what stands for every form among its kinds.
FILER, EVERY_FORM = "filer", "form"


class NoticeRoute(Model):
    """Who is told of what: for each event of a type in ``on`` whose data match ``when``.

    ``to`` names roles, ``holder`` (who holds the case now), ``role`` (the role in the event's
    data) or ``ROLE+`` (that rung and all above); or ``copies`` alone, for a notice of its own to the role of each
    copy (S1-5.9.7); or ``filer`` alone, for whoever filed a form. ``kinds`` names kinds and forms, ``form`` every
    form; of routes of one name a form takes those that name it, else those of every form, else those of all.
    ``meets`` names the clocks that end when it was delivered to all; with ``acknowledge`` whoever hears of it may
    take the case up by it.
    """

    # What a route without these keys means, by its name: as in the policies of release 0.1.
    MET: ClassVar[Mapping[str, tuple[str, ...]]] = {"report": ("report", "report_mail")}
    ACKNOWLEDGED: ClassVar[frozenset[str]] = frozenset({"rung", "reminder"})

    name: Role
    on: Annotated[tuple[str, ...], Field(min_length=1)]
    kinds: tuple[str, ...] = ()
    when: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    facts: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    to: Annotated[tuple[str, ...], Field(min_length=1)]
    meets: tuple[str, ...] = ()
    acknowledge: bool = False
    clause: str

    @model_validator(mode="before")
    @classmethod
    def _as_before(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        name = raw.get("name")
        meets = cls.MET.get(name, ()) if isinstance(name, str) else ()
        return {"meets": meets, "acknowledge": name in cls.ACKNOWLEDGED, **raw}

    @property
    def of_copies(self) -> bool:
        """Whether each copy of the event is a notice of its own."""
        return COPIES in self.to

    @model_validator(mode="after")
    def _copies_alone(self, info: ValidationInfo) -> Self:
        # A pinned document may name what this release does not know; it leads nowhere.
        if not pinned(info) and self.of_copies and (self.to != (COPIES,) or self.on != (COPIES_ISSUED,)):
            raise ValueError(f"to = {list(self.to)}: {COPIES} stands alone, and only where on = ['{COPIES_ISSUED}']")
        return self

    @property
    def of_filer(self) -> bool:
        """Whether it goes to whoever filed the form."""
        return FILER in self.to

    @model_validator(mode="after")
    def _filer_alone(self, info: ValidationInfo) -> Self:
        if not pinned(info) and self.of_filer and self.to != (FILER,):
            raise ValueError(f"to = {list(self.to)}: {FILER} stands alone")
        return self

    def matches(self, data: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
        """Whether an event with these data is told of, in a case with these facts."""
        return meets(data, self.when) and meets(facts, self.facts)


def meets(data: Mapping[str, Any], when: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether plain JSON has the values that conditions name: a bool as ``true`` or ``false``, the rest as text."""
    # A numbered clock (promise:2) is told of by its base name; a case (quality:Q-9) by its kind, and by its whole id.
    plain = {name: _plain(data.get(name)) for name in when}
    return all(plain[name] in allowed or plain[name].partition(":")[0] in allowed for name, allowed in when.items())


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class ChoicesRule(Model):
    """What people are offered where they may write words of their own too; no rule reads which they took.

    Each list has the name of the fields that it is for. What has no word in the words of a language is shown as it is.
    """

    channel: tuple[Label, ...] = ()
    subject: tuple[Label, ...] = ()


class IncomingRule(Model):
    """What a message of a customer that answers nothing files: a case of this kind with these facts, and its words."""

    files: str
    facts: dict[str, Any] = Field(default_factory=dict)


class DigestRule(Model):
    """More than so many notices to one recipient within so much time come as one list."""

    more_than: Annotated[int, Field(ge=1)]
    within: Duration
    clause: str


class KindTable(Model):
    """The numbers of one kind of case: its clocks and its times after the solution.

    A kind with more numbers has a table of its own, whose keys no other kind takes.
    """

    # The clocks of the kind; those in GIVEN are due when a command or the facts say, the others
    # need a limit. A rung clock is optional; and a policy that was pinned before there was a clock does not have it.
    CLOCKS: ClassVar[tuple[str, ...]] = ()
    GIVEN: ClassVar[frozenset[str]] = frozenset({"promise"})

    clocks: dict[str, ClockRule]
    # A resolved case may be reopened, and closes by itself, at the end of this many days.
    reopen_days: Days
    reopen_clause: str
    # So many years after its end a case is kept whole (O-APP2). After so many years what it holds of persons is erased
    # by itself; without a number somebody has to ask for it.
    retain_years: RetainYears = 3
    erase_after_years: RetainYears | None = None
    # Who decides about amounts of this kind; without it who does of every kind.
    authority: AuthorityOfKind | None = None
    # Who may send what to this kind, where that differs from [permissions].
    permissions: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @property
    def reopens(self) -> bool:
        """Whether a case is reopened within ``reopen_days``."""
        return True

    def clock(self, name: str) -> ClockRule | None:
        """Return the rule of a clock, None where the policy does not have it; that of ``promise:2`` is ``promise``."""
        return self.clocks.get(name.partition(":")[0])

    def roles(self) -> Iterator[tuple[str, str]]:
        """Yield the roles that the table names, each with its key path within the table."""
        return iter(())

    def years(self) -> Iterator[tuple[str, int, str]]:
        """Yield what is bounded in years from posting: what, how many, and the clause."""
        return iter(())

    def check_clocks(self, kind: str) -> None:
        """Check that the table of a policy file has the clocks of the kind, and no others.

        Raises:
            ValueError: naming the key path, the value and what is allowed.
        """
        for name in self.clocks:
            if name not in self.CLOCKS:
                raise ValueError(f"{kind}.clocks.{name} = {name!r} is not a clock; allowed: {', '.join(self.CLOCKS)}")
        for name in self.CLOCKS:
            if name not in self.clocks and name != "rung":
                raise ValueError(f"{kind}.clocks.{name} is missing")

    def check(self, kind: str, policy: Policy) -> None:
        """Check the table against the whole policy.

        Raises:
            ValueError: naming the key path, the value and what is allowed.
        """
        for name, rule in self.clocks.items():
            path = f"{kind}.clocks.{name}"
            if rule.unlimited and name in self.CLOCKS and name not in self.GIVEN:
                raise ValueError(f"{path} has no limit; give one of elapsed, calendar_days, working_time")
            if rule.bound_to is not None:
                raise ValueError(f"{path} goes by a field, as only the clocks of a form do; give another limit")
            if rule.working_time is not None and not any(policy.calendar.windows.values()):
                raise ValueError(f"{path}.working_time needs hours in calendar.windows")
        self.check_years(kind)

    def check_years(self, kind: str) -> None:
        """Check that nothing is erased while it has to be kept. Raises ValueError."""
        if self.erase_after_years is not None and self.erase_after_years < self.retain_years:
            least = f"at least the {self.retain_years} of {kind}.retain_years"
            raise ValueError(f"{kind}.erase_after_years = {self.erase_after_years}: allowed is {least}")


class PaymentTable(KindTable):
    """A kind that pays."""

    # When a payout that failed is tried again; without it never by itself.
    payout_retries: Reminders | None = None


class RouteTable(KindTable):
    """A kind that is signed step by step (S3-4.3.1.10)."""

    # Who signs, step by step; within a step in any order.
    signatures: Annotated[tuple[Annotated[tuple[Role, ...], Field(min_length=1)], ...], Field(min_length=1)]
    # How who is late is reminded.
    reminders: Reminders

    def roles(self) -> Iterator[tuple[str, str]]:
        """Yield who signs."""
        yield from super().roles()
        for number, step in enumerate(self.signatures):
            yield from ((f"signatures.{number}", role) for role in step)

    def check(self, kind: str, policy: Policy) -> None:
        """Check that who signs may sign, and by when. Raises ValueError."""
        super().check(kind, policy)
        if "signature" not in self.clocks:
            raise ValueError(f"{kind}.clocks.signature is missing")
        for command in ("sign", "send_back"):
            for _, role in RouteTable.roles(self):
                if role not in policy.permitted(command, kind):
                    raise ValueError(f"permissions.{command}: {role} is missing, who signs by {kind}.signatures")


class CompensationRule(Model):
    """The terms of compensation (S0-A): multiples, limits and the switches of the rulebook's Q."""

    claim_years: Annotated[int, Field(gt=0, le=100)]
    # An uninsured loss: the lower of so many base freights and so many yuan for each kg.
    fee_multiple: Annotated[int, Field(gt=0, le=1000)]
    yuan_per_kg: PositiveYuan
    # From the promised moment, in days of 24 hours; without a number a delay never becomes a loss.
    complete_delay_days: dict[ShippingRoute, Days]
    # From the company's answer to its proposal.
    proposal_days: dict[ShippingRoute, Days]
    cap_at_proven_loss: bool
    partial_refunds_fee: bool
    inquiry_preserves_claim: bool
    # The lowest rung that may give more than the formula.
    discretion_from: Role
    clause: str

    @field_validator("proposal_days")
    @classmethod
    def _every_route(cls, days: dict[ShippingRoute, int]) -> dict[ShippingRoute, int]:
        for route in get_args(ShippingRoute):
            if route not in days:
                raise ValueError(f"{route} is missing")
        return days


Window = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]


class CalendarRule(Model):
    """Working windows of each weekday (several a day allowed) and the published years."""

    windows: dict[str, tuple[Window, ...]]
    years: CalendarYears
    clause: str

    @field_validator("windows")
    @classmethod
    def _weekdays(cls, windows: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for day in windows:
            if day not in WEEKDAYS:
                raise ValueError(f"{day} is not one of {', '.join(WEEKDAYS)}")
        return windows
