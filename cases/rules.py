"""Which rules this build runs: a number, and what changed with each.

A run of a case keeps to the rules that it was started by, since under other rules it would compute other events
than those that were recorded. Whoever changes what a command, a deadline or an outcome emits raises `RULES`, says
why in `REASONS`, and runs ``make releases`` (CONTRIBUTING.md). Events and policies of every
earlier number stay readable.
"""

from __future__ import annotations

from collections.abc import Mapping

RULES = 2
# The first by which senders prove what they send.
FIRST_PROVEN = 2
REASONS: Mapping[int, str] = {
    1: "the rules of release 0.1",
    2: "money by two people: separate duties, one claim for a parcel, the payee, dates that are proven",
}


class OtherRules(Exception):
    """Raised where a worker meets a run that was started by other rules: it fails the workflow task, not the run."""

    def __init__(self, case_id: str) -> None:
        super().__init__(f"{case_id}: not started by rules {RULES}: run caseladder migrate")


def marker() -> str:
    """Return what a run's history says of the rules that it was started by."""
    return f"rules-{RULES}"
