"""Counting cases and what happened to them over time, for charts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from activities.casebook.paging import Kinds, Units, check_instant, visible
from activities.database.database import Database, statement

# Ages of open cases: the name, and the seconds at which it ends.
AGES = (("1h", 3600), ("4h", 14400), ("24h", 86400), ("3d", 259200), ("7d", 604800), ("older", None))


class Statistics:
    """Counts. Safe to share between tasks; every method raises what `Database.connection` does."""

    _AGES = statement(__package__, "statistics_ages")
    _BREACHES = statement(__package__, "statistics_breaches")
    _ACKNOWLEDGED = statement(__package__, "statistics_acknowledged")
    _LOAD = statement(__package__, "statistics_load")
    _MONEY = statement(__package__, "statistics_money")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tables(
        self, *, units: Units, kinds: Kinds, since: datetime, zone: str = "Asia/Shanghai", at: datetime | None = None
    ) -> dict[str, Any]:
        """Return tables for charts; all but the first count what happened since an instant.

        ``open``: rung, age (a name of `AGES`), cases. ``breaches``: clock, unit, breaches.
        ``acknowledged``: rung, acknowledged, missed (it climbed on since nobody did), p50 and p90 in
        seconds. ``load``: weekday (1 is Monday), hour, cases opened. ``money``: month, payouts,
        amount in yuan as text.

        Args:
            units, kinds: what the caller may see, see `activities.casebook.paging.visible`.
            zone: whose weekdays, hours and months are meant.
            at: the instant that ages are reckoned from; now.

        Raises:
            Refused: code ``invalid``.
        """
        check_instant("since", since)
        seen = visible(units, kinds)
        ends = [end for _, end in AGES if end is not None]
        async with self._database.connection() as connection:
            ages = await connection.fetch(self._AGES, *seen, at or datetime.now(UTC), ends)
            breaches = await connection.fetch(self._BREACHES, *seen, since)
            acknowledged = await connection.fetch(self._ACKNOWLEDGED, *seen, since)
            load = await connection.fetch(self._LOAD, *seen, since, zone)
            money = await connection.fetch(self._MONEY, *seen, since, zone)
        return {
            "since": since.isoformat(),
            "zone": zone,
            "open": [{**row, "age": AGES[row["age"]][0]} for row in ages],
            "breaches": [dict(row) for row in breaches],
            "acknowledged": [dict(row) for row in acknowledged],
            "load": [dict(row) for row in load],
            "money": [{**row, "amount": f"{row['amount']:.2f}"} for row in money],
        }
