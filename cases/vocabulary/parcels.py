"""What the casebook knows about a parcel beside the case that asks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from cases.vocabulary.values import Model, Moment, Token


class OtherClaim(Model):
    """A claim on the same parcel: ``open``, ``agreed`` or ``paid``."""

    case: Token
    state: Literal["open", "agreed", "paid"]


class FoundInquiry(Model):
    """An inquiry about the same parcel, and when it was recorded, whatever its receipt is said to have been."""

    case: Token
    recorded_at: Moment


class Found(Model):
    """What the casebook has about a parcel beside this case."""

    claims: list[OtherClaim] = Field(default_factory=list)
    inquiries: list[FoundInquiry] = Field(default_factory=list)


def _named(value: Any) -> Any:
    return {"case": value, "state": "open"} if isinstance(value, str) else value


# As a rehearsal names them: by the id alone it is an open one.
EarlierClaims = tuple[Annotated[OtherClaim, BeforeValidator(_named)], ...]
