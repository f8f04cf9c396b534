"""A burst of notices to one address becomes a digest: who gets many wants to read one list.

The first ones within the time go out singly. What comes on top is held until the time is over, or a
notice among them cannot wait any longer, and then goes out together. This is kept in memory: whoever
handed in a notice waits until its digest was handed over, and hands it in again if this process dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from activities.messages import Burst

# So many notices may be held in one process; beyond, the digest that has grown to it goes out.
MOST_HELD = 500
# So many addresses are remembered before those whose time is over are forgotten.
_MANY = 1000

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(slots=True)
class _Window:
    """The time in which notices to an address are counted; instants of any clock, in seconds."""

    ends: float
    count: int = 0


class Bursts(Generic[K]):
    """Counts, and says of each notice until when it is held. Knows no clock."""

    def __init__(self) -> None:
        self._windows: dict[K, _Window] = {}

    def admit(self, key: K, now: float, burst: Burst, longest: float) -> float | None:
        """Return until when a notice that comes ``now`` is held; None when it goes out by itself.

        Args:
            longest: seconds that it can wait.
        """
        window = self._windows.get(key)
        if window is None or now >= window.ends:
            if len(self._windows) >= _MANY:
                self._windows = {old: one for old, one in self._windows.items() if one.ends > now}
            window = self._windows[key] = _Window(now + burst.within)
        window.count += 1
        if window.count <= burst.more_than or longest <= 0:
            return None
        return min(window.ends, now + longest)


@dataclass(slots=True)
class _Held(Generic[T]):
    """The notices held for one address; each with the future that whoever handed it in awaits."""

    due: float
    timer: asyncio.TimerHandle
    items: list[tuple[T, asyncio.Future[int]]] = field(default_factory=list)


class Digests(Generic[K, T]):
    """Holds what a burst brings and sends it as one.

    Args:
        split: the parts in which these can go to that address.
        send: sends a part; what it raises, everybody gets whose notice is in it.
        longest: seconds that anything is held at most.
    """

    def __init__(
        self,
        split: Callable[[K, Sequence[T]], list[Sequence[T]]],
        send: Callable[[K, Sequence[T]], Awaitable[None]],
        longest: float,
    ) -> None:
        self._split = split
        self._send = send
        self._longest = longest
        self._bursts: Bursts[K] = Bursts()
        self._held: dict[K, _Held[T]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def hold(self, key: K, item: T, burst: Burst, longest: float) -> int:
        """Hold the item if need be, and return once it went out, with how many in one.

        0 means that it is not held: whoever handed it in sends it.

        Args:
            longest: seconds that it can wait.

        Raises:
            Undeliverable, Delayed: the digest did not go out.
        """
        loop = asyncio.get_running_loop()
        due = self._bursts.admit(key, loop.time(), burst, min(longest, self._longest))
        if due is None:
            return 0
        sent_together: asyncio.Future[int] = loop.create_future()
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _Held(due, loop.call_at(due, self.flush, key))
        elif due < held.due:
            held.timer.cancel()
            held.due, held.timer = due, loop.call_at(due, self.flush, key)
        held.items.append((item, sent_together))
        if sum(len(one.items) for one in self._held.values()) >= MOST_HELD:
            self.flush(key)
        return await sent_together

    def flush(self, key: K | None = None) -> None:
        """Send what is held for an address, or for all of them, now."""
        for one in [key] if key is not None else list(self._held):
            held = self._held.pop(one, None)
            if held is not None:
                held.timer.cancel()
                task = asyncio.create_task(self._send_held(one, held))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def _send_held(self, key: K, held: _Held[T]) -> None:
        # Whoever gave up waiting hands it in again.
        waiting = [(item, future) for item, future in held.items if not future.done()]
        for part in self._split(key, [item for item, _ in waiting]):
            futures = [future for _, future in waiting[: len(part)]]
            del waiting[: len(part)]
            error: Exception | None = None
            try:
                await self._send(key, part)
            except Exception as raised:
                error = raised
            for future in futures:
                if not future.done():
                    future.set_result(len(part)) if error is None else future.set_exception(error)
