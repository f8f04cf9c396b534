"""Pages of a list, and the cursor that leads from one page to the next."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cases.vocabulary.refusals import Refused, shown

# At most so many cases, or lines, in one answer.
MOST = 1000
# No id is longer.
LONGEST = 200

Units = Collection[str] | None
Kinds = Collection[str] | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the cases of a list.

    Args:
        after: asks for the next page; None on the last one.
        personal: whether personal facts found any case of the whole list, so that a look is to be recorded.
        count: how many cases there are in the whole list, where that was asked for.
    """

    cases: list[dict[str, Any]]
    after: str | None
    personal: bool = False
    count: dict[str, Any] | None = None


def visible(units: Units, kinds: Kinds) -> tuple[list[str] | None, list[str] | None]:
    """Return the two parameters by which every statement leaves out what may not be seen.

    Args:
        units: those whose cases may be seen, ``""`` for the cases of headquarters; None for all.
        kinds: those that may be seen; None for all.
    """
    return None if units is None else sorted(units), None if kinds is None else sorted(kinds)


def check_limit(limit: int) -> None:
    """Refuse what is no number of lines of one answer.

    Raises:
        Refused: code ``invalid``.
    """
    if not 1 <= limit <= MOST:
        raise Refused("invalid", f"limit = {limit}: allowed is 1 to {MOST}")


def check_instant(name: str, value: datetime) -> None:
    """Refuse an instant that PostgreSQL would not compare.

    Raises:
        Refused: code ``invalid``.
    """
    if value.tzinfo is None:
        raise Refused("invalid", f"{name} = {value.isoformat()}: an instant needs an offset")
    # At the ends of the calendar an instant may not exist in UTC.
    if not 2000 <= value.year <= 9998:
        raise Refused("invalid", f"{name} = {value.isoformat()}: an instant lies in the years 2000 to 9998")


def storable(text: str) -> bool:
    """Return whether a case can have this id: what PostgreSQL does not take, no case has."""
    return 0 < len(text) <= LONGEST and "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)


def write_cursor(order: str, instant: str, case_id: str, *number: int) -> str:
    """Return the cursor of a line: the order of its list, and where it stands in it."""
    return urlsafe_b64encode(json.dumps((order, instant, case_id, *number)).encode()).decode().rstrip("=")


def read_cursor(after: str | None, order: str, numbers: int = 0) -> list[Any]:
    """Return what `write_cursor` was given, less the order; as many None without a cursor.

    Args:
        after: the cursor.
        order: of the list that is asked for.
        numbers: how many numbers follow the case's id.

    Raises:
        Refused: code ``invalid``: it was not made here for this order.
    """
    if after is None:
        return [None] * (2 + numbers)
    try:
        made_for, instant, case_id, *number = json.loads(urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        if instant != "infinity":
            # Written anew, since PostgreSQL does not read everything that Python does.
            moment = datetime.fromisoformat(instant)
            check_instant("after", moment)
            instant = moment.isoformat()
        numbered = [type(value) is int and 0 < value < 2**31 for value in number]
        if made_for != order or not storable(case_id) or numbered != [True] * numbers:
            raise ValueError
    except (ValueError, TypeError, RecursionError, Refused):
        raise Refused("invalid", f"after = {shown(after)}: allowed is what the page before gave") from None
    return [instant, case_id, *number]
