"""What is known when a case is opened: the intake and its facts (design contract "Facts")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cases.vocabulary.events import canonical
from cases.vocabulary.refusals import invalid


def _decimal_text(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError("a decimal is written as a string, for example '18.00', never as a float")
    return value


def _fen(value: Decimal) -> Decimal:
    if value != value.quantize(Decimal("0.01")):
        raise ValueError("an amount in yuan has at most two decimals")
    return value.quantize(Decimal("0.01"))


def _in_reach(value: datetime) -> datetime:
    # At the ends of the calendar an instant may not exist in the policy's zone; long before our
    # time it is a slip of the pen that would be reminded of daily since then.
    if not 2000 <= value.year <= 9998:
        raise ValueError("an instant lies in the years 2000 to 9998")
    return value


def _storable(text: str) -> str:
    # No database takes these, so a case that held them could never be recorded.
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a text holds no NUL and no half of a surrogate pair")
    return text


Exact = Annotated[Decimal, BeforeValidator(_decimal_text), Field(allow_inf_nan=False, max_digits=15)]
# Yuan: at most two decimals, never negative.
Yuan = Annotated[Exact, Field(ge=0), AfterValidator(_fen)]
PositiveYuan = Annotated[Exact, Field(gt=0), AfterValidator(_fen)]
Positive = Annotated[Exact, Field(gt=0)]
NotNegative = Annotated[Exact, Field(ge=0)]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000), AfterValidator(_storable)
]
# Ids travel in logs and search attributes, so they are plain tokens.
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Severity = Literal["normal", "serious", "critical"]
Instant = Annotated[AwareDatetime, AfterValidator(_in_reach)]
ShippingRoute = Literal["same_city", "domestic", "hk_mo_tw", "international"]
# Where a day begins first on Earth: what lies before that is before the day in every zone.
_FIRST_ZONE = timezone(timedelta(hours=14))
# So many exceptions stand in a month's summary one by one, with texts of at most so many characters.
MOST_LISTED, BRIEF = 200, 200


class Model(BaseModel):
    """Base of all input models: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Staff(Model):
    """One of the staff, by an id that is no personal data."""

    id: Token
    role: Role


class Customer(Model):
    """Who complains or claims (personal data: kept apart from the ledger)."""

    name: Text | None = None
    phone: Text | None = None
    email: Text | None = None
    ref: Text | None = None


class Shipment(Model):
    """The parcel: weights in kg, money in yuan, days are calendar days of the policy's zone."""

    waybill: Token
    posted_on: date
    promised_at: Instant | None = None
    delivered_at: Instant | None = None
    route: ShippingRoute | None = None
    base_freight: Yuan | None = None
    surcharges: Yuan | None = None
    weight_kg: Positive | None = None
    insured_amount: PositiveYuan | None = None
    packed_by: Literal["customer", "courier"] | None = None
    signed_at: Instant | None = None
    courier_present: bool | None = None
    out_of_zone_notice: bool | None = None
    agreed_compensation: Yuan | None = None
    arbitration_agreed: bool | None = None

    @field_validator("promised_at", "delivered_at", "signed_at")
    @classmethod
    def _not_before_posting(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        # No zone is known here, so this stops only what is wrong everywhere.
        posted: date | None = info.data.get("posted_on")
        if value is not None and posted is not None and value < datetime.combine(posted, time(0), _FIRST_ZONE):
            raise ValueError(f"lies before posted_on = {posted}; it must be on that day or later")
        return value


class Facts(Model):
    """What every kind of case may know at intake."""

    # Fields kept out of events: see `Intake.personal`.
    PERSONAL: ClassVar[frozenset[str]] = frozenset({"customer", "description", "question"})

    customer: Customer | None = None
    unit: Token | None = None
    severity: Severity = "normal"
    description: Text | None = None
    shipment: Shipment | None = None


class ComplaintFacts(Facts):
    """A complaint (投诉), S0-2.3."""

    category: Literal["attitude", "delay", "damage", "shortage", "loss", "other"]
    source: Literal["customer", "platform", "network"] = "customer"
    channel: Token | None = None


class Claimant(Model):
    """Who claims: the sender, or whom the sender has designated (S0-A.1)."""

    relation: Literal["sender", "beneficiary", "recipient"]
    designated: bool | None = None


class Loss(Model):
    """How much was lost: values in yuan, quantities in the waybill's own unit, weights in kg."""

    total_value: PositiveYuan | None = None
    lost_value: Yuan | None = None
    name_differs: bool | None = None
    declared_quantity: Positive | None = None
    found_quantity: NotNegative | None = None
    declared_weight_kg: Positive | None = None
    found_weight_kg: NotNegative | None = None

    @model_validator(mode="after")
    def _not_more_than_all(self) -> Self:
        if self.total_value is not None and self.lost_value is not None and self.lost_value > self.total_value:
            # The ratio lost (S0-A.3.3) is at most 1.
            raise ValueError(f"lost_value = {self.lost_value} is more than total_value = {self.total_value}")
        return self


class ClaimFacts(Facts):
    """A claim (理赔), S0-A; ``demand`` in yuan, ``inquiry_recorded_on`` a day of the policy's zone.

    ``inspection_offered``: whether the recipient could inspect before signing (O-REG-26).
    """

    factor: Literal["delay", "loss", "damage", "mismatch"]
    claimant: Claimant
    cause: Literal["company", "customer", "nature_of_goods", "force_majeure", "packing"] | None = None
    demand: Yuan | None = None
    inquiry_recorded_on: date | None = None
    loss: Loss | None = None
    inspection_offered: bool | None = None


class Checklist(Model):
    """What must be done with goods in excess before their report counts (S2-5.1)."""

    witnesses: tuple[Role, ...] = ()
    photographs: Annotated[int, Field(ge=0)] = 0
    resealed: bool = False
    label: Text | None = None


class ExceptionFacts(Facts):
    """An exception report (异常汇报), S3-3: ``estimated_amount`` in yuan."""

    source: Literal["customer_complaint", "self_found", "procedure_breach", "excess_goods"]
    known_at: Instant
    occurred_at: Instant | None = None
    category: Literal["late", "damage", "loss", "shortage", "violation", "excess", "other"] | None = None
    estimated_amount: Yuan | None = None
    checklist: Checklist | None = None

    @model_validator(mode="after")
    def _known_after_it_happened(self) -> Self:
        if self.occurred_at is not None and self.known_at < self.occurred_at:
            raise ValueError(
                f"known_at = {self.known_at.isoformat()} lies before occurred_at = {self.occurred_at.isoformat()}"
            )
        return self


class InquiryFacts(Facts):
    """An inquiry (查询), S0-2.2: the waybill and the posting day decide whether it is answerable."""

    shipment: Shipment
    question: Text | None = None


# A year and a month of the policy's zone: 2026-03.
Month = Annotated[str, StringConstraints(pattern=r"^(19|20)\d{2}-(0[1-9]|1[0-2])$")]
Brief = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=BRIEF), AfterValidator(_storable)
]


class SummarizedException(Model):
    """One exception report in a month's summary, by its number; what is not known yet is left out."""

    number: Token
    late: bool
    category: Token | None = None
    unit: Token | None = None
    cause: Brief | None = None
    measure: Brief | None = None


class SummaryFacts(Facts):
    """The exceptions of a month (S3-4.3.1.10), and how many there are of each category.

    ``total`` and ``counts`` are of all of them, also where ``exceptions`` lists only the first.
    """

    month: Month
    total: Annotated[int, Field(ge=0)]
    counts: dict[Token, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    # Every step of a case carries its facts along, so that a list has an end.
    exceptions: Annotated[tuple[SummarizedException, ...], Field(max_length=MOST_LISTED)] = ()

    @model_validator(mode="after")
    def _counts_add_up(self) -> Self:
        if sum(self.counts.values()) != self.total:
            raise ValueError(f"counts add up to {sum(self.counts.values())}, total = {self.total}")
        if len(self.exceptions) > self.total:
            raise ValueError(f"exceptions lists {len(self.exceptions)}, total = {self.total}")
        return self


class Intake(BaseModel):
    """The input of a case's workflow: one JSON object (design contract "Input").

    ``received_at`` defaults to the moment of start. ``parent`` is the id of the case that this
    one re-submits (S1-5.9.8) or springs from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
    received_at: Instant | None = None
    policy: Token = "default"
    parent: Token | None = None
    facts: Facts

    def open_facts(self) -> dict[str, Any]:
        """The facts without personal data, as plain JSON: what goes into the ledger."""
        return self.facts.model_dump(mode="json", exclude=set(Facts.PERSONAL), exclude_none=True)

    def personal(self) -> dict[str, Any]:
        """The personal part of the facts, as plain JSON: erasable, never in the ledger."""
        return self.facts.model_dump(mode="json", include=set(Facts.PERSONAL), exclude_none=True)

    def digest(self) -> str:
        """SHA-256 of the content as the caller gave it: the same intake filed again has the same."""
        return hashlib.sha256(canonical(self.model_dump(mode="json")).encode()).hexdigest()


class ComplaintIntake(Intake):
    """Input of the workflow ``Complaint``."""

    facts: ComplaintFacts


class ClaimIntake(Intake):
    """Input of the workflow ``Claim``."""

    facts: ClaimFacts


class ExceptionIntake(Intake):
    """Input of the workflow ``ExceptionReport``."""

    facts: ExceptionFacts


class InquiryIntake(Intake):
    """Input of the workflow ``Inquiry``."""

    facts: InquiryFacts


class SummaryIntake(Intake):
    """Input of the workflow ``MonthlySummary``."""

    facts: SummaryFacts


def read_intake(model: type[Intake], raw: Mapping[str, Any]) -> Intake:
    """Validate an intake.

    Raises:
        Refused: code ``invalid``, naming each bad field; personal values are not repeated.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise invalid(error, "intake") from None
