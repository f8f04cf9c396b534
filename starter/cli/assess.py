"""The command ``assess``: the compensation of a claim, without filing it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from cases.vocabulary.refusals import Refused
from starter.cli import output
from starter.cli.errors import OK, BadInput
from starter.cli.intake import assign, read_instant, read_object
from starter.cli.options import OUTPUT, OutputOptions
from starter.cli.policies import find

if TYPE_CHECKING:
    from cases.compensation import Assessment
    from cases.kinds.claim_facts import ClaimIntake
    from cases.policy.model import Policy

# Takes the place of the key in an intake and of the case number in a letter, for the claim has neither.
UNFILED = "not-filed"


def register(app: App) -> None:
    """Add the command."""
    app.command(assess)


def assess(
    source: Annotated[Path, Parameter(name="FILE", allow_leading_hyphen=True)],
    /,
    *,
    at: str | None = None,
    policy: str | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative="", metavar="NAME=VALUE")] = None,
    letter: Literal["zh", "en"] | None = None,
    options: OutputOptions = OUTPUT,
) -> int:
    """Assess a claim as a dry run: lines, formulas, clauses and total, or the refusal. Nothing is stored.

    Needs no server. Exit code 0 also for a claim that is refused, 2 for facts that cannot be assessed.

    Args:
        source: the facts of a claim, or a whole intake with facts, as JSON or TOML; - reads stdin.
            Their form: caseladder schema claim.
        at: when it is assessed, an RFC 3339 instant; now without it. It counts as filed then, unless
            the intake says received_at.
        policy: a policy's name or file, instead of the intake's own.
        set_: a field over the file's, for example --set loss.lost_value=100.00. May be repeated.
        letter: also write the letter to the customer, in Chinese or English.
    """
    intake = _read(source, set_ or ())
    pinned = find(policy or intake.policy)
    moment = pinned.local(datetime.now(UTC) if at is None else read_instant(at, "--at"))
    filed = pinned.local(intake.received_at or moment)
    if filed > moment:
        raise BadInput(f"received_at = {filed.isoformat()}: lies after {moment.isoformat()}, when it is assessed")
    assessment = _assess(intake, pinned, filed, moment)
    text = None if letter is None else _letter(assessment, intake, letter, moment)
    shown = {"policy": pinned.name, "filed_at": filed.isoformat(), "at": moment.isoformat(), **assessment.as_json()}
    if options.json:
        output.print_json(shown if text is None else {**shown, "letter": text})
        return OK
    output.print_assessment(shown)
    if text is not None:
        output.line(f"\n{text.rstrip()}")
    return OK


def _read(source: Path, pairs: list[str] | tuple[()]) -> ClaimIntake:
    from cases.kinds.claim_facts import ClaimIntake
    from cases.vocabulary.facts import read_intake

    given = read_object(source)
    assign(given, pairs, "--set")
    whole: Mapping[str, Any] = {"key": UNFILED, **given} if "facts" in given else {"key": UNFILED, "facts": given}
    intake = read_intake(ClaimIntake, whole)
    assert isinstance(intake, ClaimIntake)
    return intake


def _assess(intake: ClaimIntake, policy: Policy, filed: datetime, moment: datetime) -> Assessment:
    from cases import compensation

    try:
        return compensation.assess(intake.facts, policy, filed_at=filed, at=moment)
    except Refused as refusal:
        # Here a refusal means that the file is incomplete, so it is bad input.
        clause = f" [{refusal.clause}]" if refusal.clause else ""
        raise BadInput(f"{refusal.message}{clause}") from None


def _letter(assessment: Assessment, intake: ClaimIntake, language: str, moment: datetime) -> str:
    from activities.notify.letters import letter

    return letter(assessment, intake.facts, language, number=intake.key, on=moment.date())
