"""What the notice of a copy says, in both languages: which copy, of what, and who decided (S1-5.9.7)."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from activities.notify.templates import Templates

EVENT = {
    "type": "copies_issued",
    "at": "2026-04-02T18:00:00+08:00",
    "actor": {"id": "gm-1", "role": "general_manager"},
    "data": {"copies": [{"no": 1, "to": "qa_manager"}, {"no": 2, "to": "agent"}, {"no": 3, "to": "finance"}]},
}


@pytest.mark.parametrize(
    ("language", "subject", "said"),
    [
        ("en", "[N-1] Copy 2 for agent", ("copy 2 of 3", "gm-1, general manager", "3. finance")),
        ("zh", "[N-1] 第 2 联（客服）", ("第 2 联，共 3 联", "gm-1、总经理", "第 3 联 财务")),
    ],
)
def test_it_says_which_copy_of_what_and_who_decided(language: str, subject: str, said: tuple[str, ...]) -> None:
    facts = {"case_id": "complaint:C-1", "number": "N-1", "kind": "complaint", "roles": ["agent"], "clause": "S1-5.9.7"}
    with capture_logs() as logs:
        text = Templates().render("copy", language, {**facts, "event": EVENT, "view": {}, "no": 2})
    assert logs == []
    assert text.subject == subject
    for one in said:
        assert one in text.body, text.body
    assert "caseladder" not in text.body
