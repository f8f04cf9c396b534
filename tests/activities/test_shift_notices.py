"""What the notices of handovers and shift swaps say, in both languages."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from activities.notify.templates import Templates
from activities.notify.translations import LANGUAGES

AT = "2026-03-04T20:00:00+08:00"
OUT, IN = {"id": "agent-1", "role": "agent"}, {"id": "agent-2", "role": "agent"}
HANDOVER = {
    "outgoing": OUT,
    "relief": IN,
    "signers": [IN],
    "facts": {
        "shift": "S-1",
        "shift_ends_at": AT,
        "total": 3,
        "cases": [
            {"id": "complaint:C-1", "number": "2026-03-0001", "rung": "agent", "next_due": AT, "promised": [AT]},
            {"id": "complaint:C-2", "rung": "agent", "paused": ["answer"]},
        ],
    },
}
SWAP = {
    "facts": {
        "initiator": OUT,
        "counterparty": IN,
        "given": {"id": "S-20", "starts_at": "2026-10-20T08:00:00+08:00", "ends_at": "2026-10-20T20:00:00+08:00"},
        "returned": {"id": "S-22", "starts_at": "2026-10-22T08:00:00+08:00", "ends_at": "2026-10-22T20:00:00+08:00"},
    }
}
MOVES = [{"shift": "S-20", "from": "agent-1", "to": "agent-2"}]
# By name: the event, its data, the view, and what is said in English and in Chinese.
NOTICES: dict[str, tuple[str, dict[str, Any], dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {
    "handover": (
        "relief_told",
        {"role": "agent", "people": ["agent-2"], "from": OUT, "due": AT, "cases": 3},
        HANDOVER,
        (
            "[N-1] Handover at Wed 4 Mar 2026, 20:00: 3 open cases\n",
            "1. 2026-03-0001, agent; next due Wed 4 Mar 2026, 20:00; promised by Wed 4 Mar 2026",
            "2. C-2, agent; paused: answer",
            "The first 2 of 3 are listed.",
        ),
        ("交接班", "已承诺 2026年3月4日（周三）20:00 前回复", "已暂停：答复", "3 件中的前 2 件"),
    ),
    "relief_missing": (
        "relief_missing",
        {"role": "supervisor", "from": OUT, "due": AT},
        {**HANDOVER, "relief": None},
        ("[N-1] Nobody relieves agent-1 at Wed 4 Mar 2026, 20:00\n", "shift S-1; open cases: 3", "do=name_relief#"),
        ("无人接班：agent-1", "未结案件 3 件", "do=name_relief#"),
    ),
    "handover_open": (
        "escalated",
        {"from": "agent", "to": "supervisor", "cause": "deadline"},
        HANDOVER,
        ("[N-1] Handover not signed: agent-1\n", "agent-1 stays responsible.\nTo sign: agent-2."),
        ("交接班未签字：agent-1", "待签字：agent-2"),
    ),
    "handed_over": (
        "handed_over",
        {
            "round": 1,
            "role": "agent",
            "people": ["agent-1", "agent-2"],
            "cases": ["complaint:C-1"],
            "left": [{"case": "complaint:C-2", "code": "closed"}],
        },
        HANDOVER,
        ("[N-1] Handed over: 1 case to agent-2\n", "Left alone: C-2: The case is closed"),
        ("已交接：1 件转给 agent-2", "未交接：C-2，案件已结案"),
    ),
    "swap_asked": (
        "swap_asked",
        {"role": "agent", "people": ["agent-2"], "due": AT},
        SWAP,
        (
            "[N-1] agent-1 asks you to swap a shift\n",
            "gives shift S-20 (Tue 20 Oct 2026, 08:00 to Tue 20 Oct 2026, 20:00) to agent-2\n",
            "and takes shift S-22",
            "do=agree#",
        ),
        ("申请与您换班", "班次 S-20（2026年10月20日（周二）08:00 至", "班次 S-22", "部门经理"),
    ),
    "swap_agreed": (
        "swap_agreed",
        {"role": "agent", "due": AT},
        SWAP,
        ("[N-1] A shift swap waits for your signature\n", "Without your signature by Wed 4 Mar 2026", "do=sign#"),
        ("换班待您签字", "换班无效"),
    ),
    "swap_refused": (
        "swap_refused",
        {"role": "agent", "people": ["agent-1", "agent-2"], "reason": "Ms Li is away"},
        SWAP,
        ("[N-1] The shift swap is not valid\n", "the roster stays as it is"),
        ("换班未生效", "排班不变"),
    ),
    "swap_valid": (
        "roster_changed",
        {"role": "agent", "people": ["agent-1", "agent-2"], "moves": MOVES},
        SWAP,
        ("[N-1] The shift swap is valid: the roster has changed\n", "Shift S-20: agent-1 no longer, now agent-2"),
        ("换班已生效", "班次 S-20：由 agent-1 改为 agent-2"),
    ),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NOTICES)
def test_the_words_of_a_handover_and_a_swap(name: str, language: str) -> None:
    type_, data, view, english, chinese = NOTICES[name]
    event = {"type": type_, "at": AT, "actor": {"id": "agent-1", "role": "agent"}, "data": data}
    facts = {"case_id": "handover:S-1", "number": "N-1", "kind": "handover", "roles": ["agent"], "clause": "C"}
    page = "https://x.example/console/case?id=handover%3AS-1"
    with capture_logs() as logs:
        text = Templates().render(name, language, {**facts, "page": page, "event": event, "view": view})
    assert logs == []  # nothing fell back
    said = f"{text.subject}\n{text.body}"
    for part in english if language == "en" else chinese:
        assert part in said
    for never in ("None", "Ms Li", "\n\n\n"):
        assert never not in said
    assert f"：{page}\n" in said or f"Open it:  {page}\n" in said
