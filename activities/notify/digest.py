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
        """Until when a notice that comes ``now`` is held; None when it goes out by itself.

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
    """What waits for one address, each with the word that whoever handed it in waits for."""

    due: float
    timer: asyncio.TimerHandle
    items: list[tuple[T, asyncio.Future[int]]] = field(default_factory=list)


class Digests(Generic[K, T]):
    """Holds what a burst brings and hands it on as one.

    Args:
        split: the parts in which these can go to that address.
        hand_on: sends a part; what it raises, everybody gets whose notice is in it.
        longest: seconds that anything is held at most.
    """

    def __init__(
        self,
        split: Callable[[K, Sequence[T]], list[Sequence[T]]],
        hand_on: Callable[[K, Sequence[T]], Awaitable[None]],
        longest: float,
    ) -> None:
        self._split = split
        self._hand_on = hand_on
        self._longest = longest
        self._bursts: Bursts[K] = Bursts()
        self._held: dict[K, _Held[T]] = {}
        self._going: set[asyncio.Task[None]] = set()

    async def took(self, key: K, item: T, burst: Burst, longest: float) -> int:
        """Hold the item if need be, and answer once it went out, with how many in one.

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
        word: asyncio.Future[int] = loop.create_future()
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _Held(due, loop.call_at(due, self.let_go, key))
        elif due < held.due:
            held.timer.cancel()
            held.due, held.timer = due, loop.call_at(due, self.let_go, key)
        held.items.append((item, word))
        if sum(len(one.items) for one in self._held.values()) >= MOST_HELD:
            self.let_go(key)
        return await word

    def let_go(self, key: K | None = None) -> None:
        """Hand on what waits for an address, or for all of them, now."""
        for one in [key] if key is not None else list(self._held):
            held = self._held.pop(one, None)
            if held is not None:
                held.timer.cancel()
                task = asyncio.create_task(self._go(one, held))
                self._going.add(task)
                task.add_done_callback(self._going.discard)

    async def _go(self, key: K, held: _Held[T]) -> None:
        # Whoever gave up waiting hands it in again.
        waiting = [(item, word) for item, word in held.items if not word.done()]
        for part in self._split(key, [item for item, _ in waiting]):
            words = [word for _, word in waiting[: len(part)]]
            del waiting[: len(part)]
            error: Exception | None = None
            try:
                await self._hand_on(key, part)
            except Exception as raised:
                error = raised
            for word in words:
                if not word.done():
                    word.set_result(len(part)) if error is None else word.set_exception(error)
