"""How much one caller, one address or one case gets of this process: requests, failed attempts, streams, writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from math import ceil
from time import monotonic, time
from typing import TypeAlias, TypeVar

from cachetools import TTLCache
from fastapi import Request
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from cases.vocabulary.refusals import Refused
from starter.access import Caller
from starter.api.connections import place
from starter.client import busy

# Writes to one case that a process deals with at a time. A case takes some 50 a second, so who is among them is
# answered in time; whoever comes beyond them costs no connection to the database.
WRITES = 100
# Streams of one caller, whose every tab of the console has one.
STREAMS = 20
# Seconds after which it is worth opening a stream again.
AGAIN = 15
# Addresses whose failed attempts are counted, credentials that were good, and the seconds for which these are known.
KEPT, KNOWN = 10_000, 3600


Counted = TypeVar("Counted")
_Counts: TypeAlias = "TTLCache[Counted, list[float]]"


class TooManyRequests(Refused):
    """The caller asks too often; ``seconds`` says when to ask again."""

    def __init__(self, seconds: int, what: str = "requests") -> None:
        super().__init__("too_many_requests", f"too many {what}; ask again in {seconds} s")
        self.seconds = seconds


class Limiter:
    """Counts what each caller asks for, in this process.

    Args:
        rate: like ``600/minute``.
    """

    def __init__(self, rate: str) -> None:
        self._rate: RateLimitItem = parse(rate)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def wait(self, who: str) -> int:
        """Seconds until this caller may ask again; 0 when the request may go on, and is counted."""
        if await self._limiter.hit(self._rate, who):
            return 0
        stats = await self._limiter.get_window_stats(self._rate, who)
        return max(1, round(stats.reset_time - time()))


class Attempts:
    """Counts the attempts of each address that failed: to log in, or to use a key, a token or a link.

    An address with too many of them is not heard until the time is over, save with a credential that was good a
    while ago. The same credential, tried again and again, is one attempt, and then not heard by itself: a program
    with an old key, or whatever looks at links in mails, does not lock out those beside it.

    Args:
        rate: like ``30/minute``; the time begins with the first attempt that failed.
    """

    def __init__(self, rate: str) -> None:
        item = parse(rate)
        self._most, self._seconds = item.amount, item.get_expiry()
        # How many failed, and when they are forgotten: of each address, and there of each credential.
        self._failed: _Counts[str] = TTLCache(KEPT, self._seconds)
        self._tried: _Counts[tuple[str, bytes]] = TTLCache(KEPT, self._seconds)
        self._good: TTLCache[bytes, None] = TTLCache(KEPT, KNOWN)

    def check(self, request: Request, credential: str | None = None) -> None:
        """Refuse what comes from an address with too many failed attempts, or fails too often by itself.

        Raises:
            TooManyRequests: as its name says.
        """
        where = _where(request)
        counts = [self._failed.get(where)]
        if credential is not None:
            known = _digest(credential)
            counts = [None if known in self._good else counts[0], self._tried.get((where, known))]
        for count, ends in filter(None, counts):
            if count >= self._most:
                raise TooManyRequests(max(1, ceil(ends - monotonic())), "failed attempts from this address")

    def failed(self, request: Request, credential: str | None = None) -> None:
        """Count an attempt that failed."""
        where = _where(request)
        if credential is not None:
            known = _digest(credential)
            self._good.pop(known, None)
            if self._count(self._tried, (where, known)) > 1:
                return
        self._count(self._failed, where)

    def _count(self, counts: _Counts[Counted], which: Counted) -> float:
        counted = counts.get(which)
        if counted is None:
            counts[which] = counted = [0, monotonic() + self._seconds]
        # In place: put in anew, it would be kept from now on.
        counted[0] += 1
        return counted[0]

    def succeeded(self, credential: str) -> None:
        """Remember a credential that was good."""
        self._good[_digest(credential)] = None


def share_of(caller: Caller) -> str:
    """Return what a caller's requests and streams are counted under."""
    return f"{caller.kind}:{caller.id}"


def _where(request: Request) -> str:
    return place(request.client.host if request.client else "")


def _digest(credential: str) -> bytes:
    return sha256(credential.encode("utf-8", "surrogatepass")).digest()


class Crowd:
    """Counts what goes on at a time in this process, by what it is about.

    Args:
        most: of one.
        refusal: what to say beyond that, to whom it is told of which.
        in_all: of all together.
    """

    def __init__(self, most: int, refusal: Callable[[str], Refused], in_all: int | None = None) -> None:
        self._most, self._refusal, self._in_all = most, refusal, in_all
        self._here: Counter[str] = Counter()

    @contextmanager
    def among(self, which: str) -> Iterator[None]:
        """Be one of those, for the block.

        Raises:
            Refused: there are enough of them.
        """
        if self._here[which] >= self._most or (self._in_all is not None and self._here.total() >= self._in_all):
            if not self._here[which]:
                del self._here[which]
            raise self._refusal(which)
        self._here[which] += 1
        try:
            yield
        finally:
            self._here[which] -= 1
            if not self._here[which]:
                del self._here[which]


def streams(in_all: int) -> Crowd:
    """Count the streams of each caller."""
    return Crowd(STREAMS, lambda _: TooManyRequests(AGAIN, "streams"), in_all)


def writes() -> Crowd:
    """Count the writes to each case, so that a flood on one case is no outage of all others."""
    return Crowd(WRITES, busy)
