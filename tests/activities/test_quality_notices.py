"""What the notices of a quality complaint say, in both languages."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from activities.notify.templates import Templates

AT = "2026-03-05T23:59:59+08:00"
VIEW = {"decision": {"established": True}}


def words(name: str, language: str, type_: str, data: dict[str, Any]) -> str:
    """Subject and text of a notice; no template may have fallen back."""
    event = {"type": type_, "at": AT, "actor": {"id": "a-1", "role": "gm_office"}, "data": data}
    facts = {"case_id": "quality:Q-1", "number": "2026-03-0007", "kind": "quality", "roles": ["rnd"], "clause": "C"}
    with capture_logs() as logs:
        text = Templates().render(name, language, {**facts, "event": event, "view": VIEW})
    assert logs == []
    return f"{text.subject}\n{text.body}"


DECIDED = {"established": True, "disposal": "allowance", "amount": "900.00", "quantity": None, "role": "deputy_gm"}
SAID: list[tuple[str, str, dict[str, Any], tuple[str, str], tuple[str, ...]]] = [
    (
        "sign", "signature_asked", {"step": "gm_check", "role": "gm_office", "due": AT},
        ("It is your turn: check by the GM office.", "请办理：总经理室查核。"), ("23:59",),
    ),
    (
        "sent_back", "sent_back", {"step": "decision", "to": "opinion", "role": "deputy_gm", "reason": "Ms Li"},
        ("from decision to composite opinion", "由“核决”退回“综合意见”"), (),
    ),
    (
        "slip", "slip_issued", {"slip": "reminder", "step": "rnd", "role": "rnd", "count": 2},
        ("Reminder slip 2: research and development is late", "催办单第 2 次：研发部已逾期"), (),
    ),
    (
        "slip", "slip_issued", {"slip": "query", "step": "rnd", "role": "rnd", "count": 1},
        ("Query slip: say why it was late, research and development", "洽办单：请说明逾期原因（研发部）"), (),
    ),
    (
        "qa_report", "qa_reported", {"cause": "Ms Li", "responsible": ["rnd"], "established": True, "needs_rnd": False},
        ("QA has reported on a complaint about a product", "品管已提出客诉调查报告，请批示"), (),
    ),
    ("quality_decided", "decided", DECIDED, ("Decided: allowance", "已核决：折让"), ("900.00",)),
    (
        "quality_decided", "rejected", {"subject": "decision", "amount": "900.00", "reason": "Ms Li"},
        ("The opinion was rejected: compose it anew", "综合意见被否决，请重新拟定"), (),
    ),
    ("not_established", "decided", DECIDED, ("The complaint is not upheld", "客诉不成立"), ()),
    (
        "customer_answer", "customer_answered", {"accepted": False, "text": "Ms Li"},
        ("Business files a new form", "由业务部另填新的客诉表"), (),
    ),
    (
        "customer_answer", "customer_answered", {"accepted": True},
        ("The customer accepts the decision", "客户接受核决结果"), (),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "type_", "data", "said", "both"), SAID)
def test_a_notice_says_what_is_to_be_done_without_free_text(
    name: str, type_: str, data: dict[str, Any], said: tuple[str, str], both: tuple[str, ...]
) -> None:
    for language, wanted in zip(("en", "zh"), said, strict=True):
        text = words(name, language, type_, data)
        assert all(part in text for part in (wanted, *both)), text
        assert "Ms Li" not in text
