"""The types of values in commands, facts, events and policies: texts, ids, money, instants."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)

# So many entries stand in a list that a case carries along, with texts of at most so many characters.
MOST_LISTED, BRIEF = 200, 200


class Model(BaseModel):
    """Base of all input models: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InYuan:
    """Marks the type of a decimal that is an amount in yuan."""


# The one way in which amounts, weights and quantities are written, at every door.
DECIMAL = re.compile(r"^[0-9]{1,12}(\.[0-9]{1,6})?$", re.ASCII)


# The context of a validation that reads what was recorded: what an earlier release took stays readable.
RECORDED = "recorded"


def _decimal_text(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, (float, bool)):
        raise ValueError("a decimal is written as a string, for example '18.00', never as a float")
    if isinstance(value, str) and info.context is None and not DECIMAL.fullmatch(value):
        raise ValueError(
            "a decimal is at most twelve digits 0 to 9, and at most six after a point, like '18.00': no sign, "
            "exponent, separator or blank"
        )
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


class Written:
    """Marks a text that people wrote freely. It stands apart from the body of its event, so that it can be erased.

    The rules never read it: a case that is started from its ledger knows its events without these texts.
    """


class Like:
    """Marks a JSON object that is written as a model is, so that the texts in it are found by the model's marks."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model


FreeText = Annotated[str, Written()]


Exact = Annotated[Decimal, BeforeValidator(_decimal_text), Field(allow_inf_nan=False, max_digits=15)]
# Yuan: at most two decimals, never negative.
Yuan = Annotated[Exact, Field(ge=0), AfterValidator(_fen), InYuan()]
PositiveYuan = Annotated[Exact, Field(gt=0), AfterValidator(_fen), InYuan()]
Positive = Annotated[Exact, Field(gt=0)]
NotNegative = Annotated[Exact, Field(ge=0)]
# What the record keeps for good, like the source of a published year; what stands apart there, and can be erased.
Stated = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000), AfterValidator(_storable)
]
Text = Annotated[Stated, Written()]
# Ids travel in logs and search attributes, so they are plain tokens.
TOKEN = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$"
Token = Annotated[str, StringConstraints(pattern=TOKEN)]
# Characters of a label that is no token.
LONGEST_LABEL = 64


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a label is one line without control characters")
    if len(text) > LONGEST_LABEL and not re.fullmatch(TOKEN, text):
        raise ValueError(f"a label has at most {LONGEST_LABEL} characters")
    return text


# A few words in any language, as people write them: a channel, what an approval is about, a bank's reference. They
# stand in the ledger in clear for good, so they are short, and name no person. A token is one, as long as it may be.
Label = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128), AfterValidator(_one_line)
]

# A case as workflow ids name it: its kind and its key.
_CASE_ID = "[a-z][a-z0-9_]*:[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}"
CaseId = Annotated[str, StringConstraints(pattern=f"^{_CASE_ID}$")]
# A case number as people type it, which says its kind where several kinds have a case of that number.
CASE_NUMBER = re.compile("(?:([a-z][a-z0-9_]*) )?([0-9]{4}-[0-9]{2}-[0-9]{4,9})", re.ASCII)


class NamesCase:
    """Marks a field of a command that names another case by its id.

    The doors take its number too, and let nobody name a case that they do not see.

    Args:
        same_kind: whether only a case of the same kind is meant.
    """

    def __init__(self, *, same_kind: bool = False) -> None:
        self.same_kind = same_kind


_AT_DOORS = WithJsonSchema(
    {
        "type": "string",
        "pattern": f"^({_CASE_ID}|([a-z][a-z0-9_]* )?[0-9]{{4}}-[0-9]{{2}}-[0-9]{{4,9}})$",
        "description": "a case's id; the API takes its number too, after its kind where several kinds have that number",
    }
)
OtherCase = Annotated[CaseId, NamesCase(), _AT_DOORS]
SameKind = Annotated[CaseId, NamesCase(same_kind=True), _AT_DOORS]


def _no_account(text: str) -> str:
    if not text.startswith("payee-") and re.search("[0-9]{8}", text):
        raise ValueError("a token stands for an account and is none: no eight digits in a row")
    return text


# Who is paid and how, as a door or a payment service named it: never an account number or an address.
PayeeToken = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9._:/-]{0,127}$"), AfterValidator(_no_account)
]
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Severity = Literal["normal", "serious", "critical"]
ShippingRoute = Literal["same_city", "domestic", "hk_mo_tw", "international"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Instant = Annotated[AwareDatetime, AfterValidator(_in_reach)]
# A year and a month of the policy's zone: 2026-03.
Month = Annotated[str, StringConstraints(pattern=r"^(19|20)\d{2}-(0[1-9]|1[0-2])$")]
Brief = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=BRIEF), AfterValidator(_storable)
]
BriefText = Annotated[Brief, Written()]

# As events and views write them: money in yuan with two places, instants with their offset.
Money = Annotated[
    Decimal, BeforeValidator(Decimal), PlainSerializer(lambda amount: f"{amount:.2f}", return_type=str), InYuan()
]


def _read_instant(value: datetime | str) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


Moment = Annotated[
    datetime, BeforeValidator(_read_instant), PlainSerializer(lambda instant: instant.isoformat(), return_type=str)
]
