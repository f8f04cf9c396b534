"""A limit to what is written to one case at a time, so that a flood on one case is no outage of all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starter.client import busy

# Writes to one case that a process deals with at a time. A case takes some 50 a second, so who is among them is
# answered in time; whoever comes beyond them costs no connection to the database.
MOST = 100


class Crowd:
    """Counts the writes to each case that are being dealt with in this process."""

    def __init__(self) -> None:
        self._here: Counter[str] = Counter()

    @contextmanager
    def among(self, case_id: str) -> Iterator[None]:
        """Be one of those who write to a case, for the block.

        Raises:
            Refused: code ``busy``: there are `MOST` of them.
        """
        if self._here[case_id] >= MOST:
            raise busy(case_id)
        self._here[case_id] += 1
        try:
            yield
        finally:
            self._here[case_id] -= 1
            if not self._here[case_id]:
                del self._here[case_id]
