"""``caseladder handover`` and ``caseladder swap`` against a running stack."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

import pytest

from tests.cli.program import Answer, Up

NOW = datetime.now(UTC).replace(microsecond=0)
END = NOW + timedelta(minutes=15)
HALF = timedelta(hours=12)
# A week in June, the year after next month: far from any holiday.
JUNE = datetime.fromisoformat(f"{NOW.year + 1}-06-08T08:00:00+08:00")
ONE, OTHER = ("--by", "agent-1", "--role", "agent"), ("--by", "agent-3", "--role", "agent")
MANAGER = ("--by", "supervisor-1", "--role", "supervisor")
SHIFTS = {
    "cli-day": ("agent-1", END - HALF, END),
    "cli-night": ("agent-3", END, END + HALF),
    "cli-boss": ("supervisor-2", END - HALF, END),
    "cli-june": ("agent-1", JUNE, JUNE + HALF),
    "cli-back": ("agent-3", JUNE + 4 * HALF, JUNE + 5 * HALF),
    "cli-own": ("agent-1", JUNE + 10 * HALF, JUNE + 11 * HALF),
}


@pytest.fixture(scope="module", autouse=True)
def roster(up: Up) -> Iterator[Any]:
    """A duty roster for two of the sample staff, while this module runs."""
    rows = "".join(f"{id_},{who},{start.isoformat()},{end.isoformat()}\n" for id_, (who, start, end) in SHIFTS.items())
    held = up("file", "complaint", "--key", "cli-held", "--set", "facts.category=delay", "--json").json["id"]
    up("acknowledge", held, *ONE)
    eventually(lambda: up("list", "--kind", "complaint", "--json"), lambda cases: holds(cases, held, "agent-1"))
    yield up("duty", "import", "-", "--json", given=f"id,person,from,to\n{rows}").json
    window = ("--from", (NOW - 2 * HALF).isoformat(), "--to", (JUNE + 12 * HALF).isoformat())
    assert up("duty", "import", "-", *window, given="id,person,from,to\n").code == 0


def holds(cases: list[dict[str, Any]], case_id: str, person: str) -> bool:
    """Whether a person holds a case of the list."""
    return any((case["id"], case["holder"]) == (case_id, person) for case in cases)


def eventually(look: Any, wanted: Any) -> Any:
    """The JSON of an answer, once it is what is wanted."""
    deadline = monotonic() + 15
    while True:
        answer: Answer = look()
        if answer.code == 0 and wanted(answer.json):
            return answer.json
        assert monotonic() < deadline, (answer.out, answer.err)
        sleep(0.05)


def test_a_shift_is_handed_over(up: Up, roster: dict[str, Any]) -> None:
    assert (roster["shifts"], roster["handovers"]) == (6, 6)
    view = eventually(lambda: up("handover", "show", "cli-day", "--json"), lambda view: view["status"] == "open")
    assert (view["outgoing"]["id"], view["relief"]["id"]) == ("agent-1", "agent-3")
    assert "complaint:cli-held" in up("handover", "show", "handover:cli-day").out
    eventually(lambda: up("handover", "list", "--json"), lambda views: view["id"] in [one["id"] for one in views])
    [row] = [line for line in up("handover", "list").out.splitlines() if line.split()[:1] == ["cli-day"]]
    assert "agent-1, agent-3" in row
    # By somebody else, by nobody, of no shift.
    assert "only agent-1 as agent and agent-3 as agent sign [S4-3.3.1]" in up(
        "handover", "sign", "cli-day", "--by", "agent-2", "--role", "agent"
    ).refused(1)
    assert "by is missing" in up("handover", "sign", "cli-day").refused(2)
    assert "there is no case handover:nowhere" in up("handover", "show", "nowhere").refused(1)

    up("handover", "sign", "cli-day", *OTHER, "--text", "all told")
    assert up("show", "complaint:cli-held", "--json").json["holder"] == "agent-1"
    assert "to sign      agent-1" in up("handover", "show", "cli-day").out
    assert up("handover", "sign", "cli-day", *ONE, "--json").json["signers"] == []
    done = eventually(
        lambda: up("handover", "show", "cli-day", "--json"), lambda view: view["responsible"] == "agent-3"
    )
    assert done["handed"] >= 1
    assert up("show", "complaint:cli-held", "--json").json["holder"] == "agent-3"
    assert "has signed as outgoing [S4-3.3.1]" in up("handover", "sign", "cli-day", *ONE).refused(1)


def test_where_nobody_relieves_somebody_is_named(up: Up) -> None:
    view = eventually(lambda: up("handover", "show", "cli-boss", "--json"), lambda view: view["status"] == "open")
    assert view["relief"] is None
    assert "comes        nobody in the roster" in up("handover", "show", "cli-boss").out
    to = '{"to": {"id": "supervisor-3", "role": "supervisor"}}'
    naming = ("do", "handover:cli-boss", "name_relief", "--with", to, "--by", "qa-1", "--role", "qa_manager", "--json")
    assert up(*naming).json["relief"] == {"id": "supervisor-3", "role": "supervisor"}
    signing = ("handover", "sign", "cli-boss", "--role", "supervisor", "--json", "--by")
    up(*signing, "supervisor-2")
    assert up(*signing, "supervisor-3").json["signers"] == []


def test_a_swap_is_asked_for_agreed_to_and_signed(up: Up) -> None:
    asking = ("swap", "ask", "--by", "agent-1", "--with", "agent-3", "--give", "cli-june", "--take", "cli-back")
    view = up(*asking, "--json").json
    case = view["id"]
    assert (view["status"], view["agreed"], view["valid"]) == ("open", False, False)
    assert up(*asking, "--json").json["id"] == case
    assert "agent-3 has not agreed yet" in up("swap", "sign", case, *MANAGER).refused(1)
    assert "it is agent-3 as agent who agrees [S1-1.7]" in up("swap", "agree", case, *ONE).refused(1)
    assert "agreed      yes" in up("swap", "agree", case, *OTHER).out
    assert "may not sign; allowed: supervisor, department_manager" in up("swap", "sign", case, *OTHER).refused(1)
    assert "valid       yes: the roster has changed" in up("swap", "sign", case, *MANAGER).out
    assert up("swap", "show", case, "--json").json["outcome"] == "valid"
    window = ("--from", JUNE.isoformat(), "--to", (JUNE + 9 * HALF).isoformat())
    shown = {row["id"]: row["person"] for row in up("duty", "show", *window, "--json").json}
    assert shown == {"cli-june": "agent-3", "cli-back": "agent-1"}
    assert "the case is closed" in up("swap", "refuse", case, "--reason", "late", *ONE).refused(1)


def test_a_swap_may_be_refused(up: Up) -> None:
    asking = ("swap", "ask", "--by", "agent-3", "--with", "agent-1", "--give", "cli-june")
    case = up(*asking, "--json").json["id"]
    said = up("swap", "refuse", case, "--reason", "on leave then", *ONE).out
    assert "closed: refused" in said
    assert "on leave then" in said
    # Asked for again it is another case.
    assert up(*asking, "--json").json["id"] != case


@pytest.mark.parametrize(
    ("with_", "give", "said"),
    [
        ("agent-1", "cli-own", "nobody swaps with oneself [S1-1.7]"),
        ("agent-3", "cli-nothing", "shift 'cli-nothing' is not in the roster [S1-1.7]"),
        ("nobody", "cli-own", "'nobody' is nobody of the staff [S1-1.7]"),
        ("agent-3", "cli-night", "shift 'cli-night' is not 'agent-1''s [S1-1.7]"),
        ("agent-3", "cli-day", "only a coming one [S1-1.7]"),
    ],
)
def test_what_makes_no_swap_is_one_clear_line(up: Up, with_: str, give: str, said: str) -> None:
    assert said in up("swap", "ask", "--by", "agent-1", "--with", with_, "--give", give).refused(1)
