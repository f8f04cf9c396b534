"""What is known when a case is opened: the intake and its facts (design contract "Facts")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from cases.vocabulary.by import By
from cases.vocabulary.events import SYSTEM, Actor, canonical
from cases.vocabulary.proof import Proof
from cases.vocabulary.refusals import invalid
from cases.vocabulary.values import (
    Instant,
    Model,
    Positive,
    PositiveYuan,
    Role,
    Severity,
    ShippingRoute,
    Text,
    Token,
    Yuan,
)  # fmt: skip

# Where a day begins first on Earth: what lies before that is before the day in every zone.
_FIRST_ZONE = timezone(timedelta(hours=14))
# A shipment as documentation shows it.
SHIPMENT_EXAMPLE = {"waybill": "SF1234567890", "posted_on": "2026-03-01", "base_freight": "18.00", "weight_kg": "1.2"}


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
    # What is written to them in; without it Chinese.
    language: Literal["zh", "en"] | None = None


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


class Intake(BaseModel):
    """The input of a case's workflow: one JSON object (design contract "Input").

    ``received_at`` defaults to the moment of start. ``parent`` is the id of the case that this
    one re-submits (S1-5.9.8) or springs from. ``by`` is who files it: the doors say so, and ``proof`` proves it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
    received_at: Instant | None = None
    policy: Token = "default"
    parent: Token | None = None
    by: By | None = None
    proof: Proof | None = None
    facts: Facts

    # The digest of what was given, where another model had read that before.
    _given: str | None = PrivateAttr(default=None)

    def open_facts(self) -> dict[str, Any]:
        """Return the facts without personal data, as plain JSON: what goes into the ledger."""
        return self.facts.model_dump(mode="json", exclude=self.private(), exclude_none=True)

    def personal(self) -> dict[str, Any]:
        """Return the personal part of the facts, as plain JSON: erasable, never in the ledger."""
        return self.facts.model_dump(mode="json", include=self.private(), exclude_none=True)

    def private(self) -> dict[str, Any]:
        """Return which facts are personal, as pydantic's ``include`` and ``exclude`` take it."""
        return dict.fromkeys(Facts.PERSONAL, True)

    def written(self) -> list[str]:
        """Return the paths, like ``facts.fields.cause``, of the texts that only the policy knows for texts."""
        return []

    def filer(self) -> Actor:
        """Return who files it, as events carry it."""
        return SYSTEM if self.by is None else self.by.actor()

    def digest(self) -> str:
        """SHA-256 of the content as the caller gave it: the same intake filed again, by whomever, has the same."""
        if self._given is not None:
            return self._given
        # Without defaults, so that a field that a later release adds changes no digest of what was filed before.
        content = canonical(self.model_dump(mode="json", exclude={"by", "proof"}, exclude_defaults=True))
        return hashlib.sha256(content.encode()).hexdigest()


def read_again(intake: Intake, model: type[Intake]) -> Intake:
    """Return an intake as another model reads it: that of a form whose policy has come to be known.

    Its digest stays that of the first: whoever files it again is compared before the policy is known.

    Raises:
        Refused: code ``invalid``, as `read_intake`.
    """
    if isinstance(intake, model):
        return intake
    again = read_intake(model, intake.model_dump(mode="json", exclude_unset=True))
    again._given = intake.digest()
    return again


def read_intake(model: type[Intake], raw: Mapping[str, Any]) -> Intake:
    """Validate an intake.

    Raises:
        Refused: code ``invalid``, naming each bad field; personal values are not repeated.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise invalid(error, "intake", model) from None
