"""What recording, loading and paying for a case can meet in the casebook.

ApplicationError
├── BadBatch         it can never be recorded, whatever the ledger holds
├── LedgerConflict   the ledger holds something else
├── LedgerBehind     the ledger lacks what came before; its one detail is the last ``seq`` that it has
├── LedgerBroken     the ledger of a case is not as it was recorded
├── NoSuchCase       the casebook does not know the case
├── Superseded       another run holds the case
└── Recovering       it has to wait until an operator has recovered the casebook; the only one that is retried
"""

from __future__ import annotations

from temporalio.exceptions import ApplicationError


class BadBatch(ApplicationError):
    """Raised when a batch can never be recorded, whatever the ledger holds. Never retried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="BadBatch", non_retryable=True)


class LedgerConflict(ApplicationError):
    """Raised when a batch conflicts with the ledger. Never retried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="LedgerConflict", non_retryable=True)


class LedgerBehind(ApplicationError):
    """Raised when the ledger lacks the events before a batch: an older one was restored. Never retried."""

    def __init__(self, message: str, head_seq: int) -> None:
        super().__init__(message, head_seq, type="LedgerBehind", non_retryable=True)


class LedgerBroken(ApplicationError):
    """Raised when a case cannot be loaded, since its ledger is not as it was recorded. Never retried."""

    def __init__(self, message: str) -> None:
        super().__init__(message, type="LedgerBroken", non_retryable=True)


class NoSuchCase(ApplicationError):
    """Raised when the casebook does not know a case that is to be loaded. Never retried."""

    def __init__(self, case_id: str) -> None:
        super().__init__(f"the casebook knows no case {case_id}", type="NoSuchCase", non_retryable=True)


class Superseded(ApplicationError):
    """Raised when another run holds the case, so that this one changes nothing any more. Never retried."""

    def __init__(self, case_id: str) -> None:
        super().__init__(f"{case_id}: another run holds the case", type="Superseded", non_retryable=True)


# What ends the waiting of openings and payments, for people to do.
ENDS = "caseladder recover --from-engine, or --engine-lost where the engine has lost its cases too"
WAITING = f"new cases wait for their numbers, and payments wait, until the casebook is recovered: {ENDS}"


class Recovering(ApplicationError):
    """Raised when something has to wait until the casebook is recovered. Retried."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message} until the casebook is recovered: {ENDS}", type="Recovering")
