"""What the notices of a month-end summary say, in both languages."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from activities.notify.templates import Templates
from activities.notify.translations import LANGUAGES

AT = "2026-04-02T18:00:00+08:00"
FACTS = {
    "month": "2026-03",
    "total": 3,
    "counts": {"late": 2, "unstated": 1},
    "exceptions": [
        {"number": "2026-03-0001", "late": True, "category": "late", "cause": "a truck broke", "measure": "serviced"},
        {"number": "2026-03-0002", "late": False, "category": "unstated"},
    ],
}


def words(name: str, language: str, type_: str, **data: Any) -> str:
    """Subject and text of a notice; no template may have fallen back."""
    event = {"type": type_, "at": AT, "actor": {"id": "a-1", "role": "director"}, "data": data}
    facts = {"case_id": "summary:2026-03", "number": "N-1", "kind": "summary", "roles": ["director"], "clause": "C"}
    with capture_logs() as logs:
        text = Templates().render(name, language, {**facts, "event": event, "view": {"facts": FACTS}})
    assert logs == []
    assert "caseladder" not in text.body
    return f"{text.subject}\n{text.body}"


SUBJECTS = {
    "sign": ("[N-1] Your signature is needed (director)", "[N-1] 请签署（总监）"),
    "sent_back": ("[N-1] The month-end summary was sent back", "[N-1] 月度整改总结被退回"),
    "reminder": (
        "[N-1] Reminder 2: the month-end summary waits for your signature",
        "[N-1] 第 2 次催办：月度整改总结待您签署",
    ),
}
DATA: dict[str, tuple[str, dict[str, Any]]] = {
    "sign": ("signature_asked", {"step": 3, "role": "director", "due": AT, "sent_back": True}),
    "sent_back": ("sent_back", {"step": 4, "to": 3, "role": "deputy_gm", "reason": "Ms Li is wrong"}),
    "reminder": ("reminded", {"rung": "director", "count": 2, "subject": "signature:3"}),
}


@pytest.mark.parametrize("name", SUBJECTS)
def test_whose_turn_it_is_is_said_without_free_text(name: str) -> None:
    for language, subject in zip(("en", "zh"), SUBJECTS[name], strict=True):
        text = words(name, language, DATA[name][0], **DATA[name][1])
        assert text.startswith(f"{subject}\n")
        assert "Ms Li" not in text


@pytest.mark.parametrize(("language", "asks"), [("en", "Give cause and prevention"), ("zh", "写明原因和预防措施")])
def test_the_first_who_sign_are_asked_for_cause_and_prevention(language: str, asks: str) -> None:
    data = {"role": "project_manager", "due": AT}
    assert asks in words("sign", language, "signature_asked", step=1, **data)
    assert asks not in words("sign", language, "signature_asked", step=2, **data)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_customer_gets_the_whole_summary(language: str) -> None:
    said = [{"role": "project_manager", "text": "no spare truck\nforged: line"}]
    text = words("summary", language, "summary_sent", month="2026-03", said=said)
    for part in ("2026-03-0001", "a truck broke", "serviced", "2026-03-0002", "no spare truck forged: line"):
        assert part in text
    assert ("The first 2 of 3 are listed." if language == "en" else "3 件中的前 2 件") in text
    assert "None" not in text
