"""The letter to a claimant: what is paid and why, or the refusal and its clause (S0-A)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from activities.notify.templates import format_moment
from activities.notify.translations import LANGUAGES, TEMPLATES, Translations, word_files
from cases.compensation import Assessment, ways_of_dispute
from cases.kinds.claim_facts import ClaimFacts


def _environment(language: str) -> SandboxedEnvironment:
    translations = Translations.read(language, word_files(language))
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES / "letters"),
        undefined=StrictUndefined,
        autoescape=False,  # letters are plain text
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=lambda value: format_moment(value, language, exact=True),
        said=lambda term, section: translations.word(section, term),
    )
    return environment


_environments = {language: _environment(language) for language in LANGUAGES}


def letter(
    assessment: Assessment | Mapping[str, Any], facts: ClaimFacts, language: str, *, number: str, on: date
) -> str:
    """Write an assessment as a letter to the customer, with the ways of dispute open to them (S0-A.5.5).

    It holds no names and no reasons of discretion, so that it can be shown wherever the case can.

    Args:
        assessment: the assessment, or the data of its ``assessed`` event.
        facts: the claim's facts: the waybill and whether arbitration was agreed.
        language: ``zh`` or ``en``.
        number: the case number.
        on: the date of the letter, a day of the policy's zone.

    Raises:
        ValueError: another language, or a claim without a shipment.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language = {language!r}: allowed: {', '.join(LANGUAGES)}")
    if facts.shipment is None:
        raise ValueError("facts.shipment is missing; the letter names the waybill")
    assessed = assessment.as_json() if isinstance(assessment, Assessment) else assessment
    text = (
        _environments[language]
        .get_template(f"{language}.txt")
        .render(
            assessed=assessed,
            number=number,
            on=on.isoformat(),
            shipment=facts.shipment,
            claimed=facts.factor,
            ways=ways_of_dispute(facts),
        )
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
