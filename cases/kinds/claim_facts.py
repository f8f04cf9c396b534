"""What a claim says, and what its investigation adds (S0-A)."""

from __future__ import annotations

from datetime import date
from typing import Literal, Self

from pydantic import model_validator

from cases.vocabulary.facts import Facts, Intake
from cases.vocabulary.values import Model, NotNegative, Positive, PositiveYuan, Yuan

Cause = Literal["company", "customer", "nature_of_goods", "force_majeure", "packing"]
Packer = Literal["customer", "courier"]


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
    cause: Cause | None = None
    demand: Yuan | None = None
    inquiry_recorded_on: date | None = None
    loss: Loss | None = None
    inspection_offered: bool | None = None


class ClaimIntake(Intake):
    """Input of the workflow ``Claim``."""

    facts: ClaimFacts
