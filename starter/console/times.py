"""Instants as people read them: in the policy's zone, with how far away they are beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from starter.console.translations import PageTranslations

# What is due within this time counts as due soon.
SOON = timedelta(minutes=15)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Moment:
    """An instant on a page: for machines, in the zone, and relative to now."""

    iso: str
    full: str
    short: str
    relative: str
    overdue: bool
    soon: bool


class Times:
    """Formats instants as of one now.

    Args:
        zone: of the policy.
        now: an aware instant; the moment at which the page is made.
    """

    def __init__(self, zone: ZoneInfo, words: PageTranslations, now: datetime | None = None) -> None:
        self.zone = zone
        self.now = (now or datetime.now(UTC)).astimezone(zone)
        self._today = self.now.date().isoformat()
        self._words = words

    def moment(self, instant: str | datetime | None) -> Moment | None:
        """Format an instant, given as text with an offset or as an aware datetime; None for none."""
        if instant is None or instant == "":
            return None
        at = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
        at = at.astimezone(self.zone)
        left = at - self.now
        iso = at.isoformat(timespec="seconds")
        # Cut out of one text: a page has hundreds, and to format each anew took an eighth of its time.
        full = f"{iso[:10]} {iso[11:19]}"
        return Moment(
            iso=iso,
            full=full,
            short=self._short(full),
            relative=relative(left, self._words),
            overdue=left < timedelta(),
            soon=timedelta() <= left <= SOON,
        )

    def _short(self, full: str) -> str:
        if full[:10] == self._today:
            return full[11:16]
        return full[5:16] if full[:4] == self._today[:4] else full[:16]


def relative(left: timedelta, words: PageTranslations) -> str:
    """Return how far away an instant is: "in 4 min", "2 h 10 min ago". The page's script says it the same way."""
    seconds = left.total_seconds()
    if abs(seconds) < 1:
        return words.say("rel.now")
    return words.say("rel.in" if seconds > 0 else "rel.ago", span=span(abs(seconds), words))


def span(seconds: float, words: PageTranslations) -> str:
    """Return a length of time, in seconds, as words, in its two largest units at most."""
    whole = int(seconds)
    if whole < 90:
        return words.say("rel.seconds", n=whole)
    if whole < 90 * _MINUTE:
        return words.say("rel.minutes", n=whole // _MINUTE)
    if whole < 36 * _HOUR:
        hours, minutes = divmod(whole // _MINUTE, 60)
        if minutes:
            return words.say("rel.hours_minutes", h=hours, m=minutes)
        return words.say("rel.hours", n=hours)
    days, hours = divmod(whole // _HOUR, 24)
    return words.say("rel.days_hours", d=days, h=hours) if hours else words.say("rel.days", n=days)
