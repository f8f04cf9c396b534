"""``caseladder mail`` and ``caseladder messages``: what is piped waits for a person, who puts it on a case."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from tests.cli.program import Up, call
from tests.temporal import eventually


def letter(text: str, *, headers: str = "") -> str:
    """A mail of nobody's case."""
    return f"From: eve@evil.test\nMessage-ID: <{uuid4()}@evil.test>\nSubject: Where is it?\n{headers}\n{text}\n"


async def waiting(up: Up, *texts: str) -> dict[str, str]:
    """Wait until messages with these texts wait for a person; return their ids by the text."""

    async def listed() -> dict[str, str]:
        return {one["text"]: str(one["id"]) for one in up("messages", "list", "--json").json}

    return await eventually(listed, lambda found: set(texts) <= found.keys())


async def test_a_piped_mail_waits_for_a_person(up: Up) -> None:
    first, second = f"Where is my parcel {uuid4()}?", f"Buy cheap parcels {uuid4()}"
    raw = letter(first)
    assert [up("mail", given=raw).out, up("mail", given=raw).out] == ["waits\n", "known\n"]
    assert up("mail", "--json", given=letter(second)).json == {"state": "waits"}
    assert up("mail", given=letter("Away.", headers="Auto-Submitted: auto-replied\n")).out == "auto\n"
    ids = await waiting(up, first, second)
    assert "eve@evil.test" in up("messages", "list").out
    filed = {"key": str(uuid4()), "category": "delay"}
    case = up("file", "complaint", "--key", filed["key"], "--set", "facts.category=delay", "--json").json["id"]
    # Whoever is named is of the staff, and of a role that may.
    for by, said in (
        ("nobody-9", "not in the directory of staff"),
        ("finance-1", "role 'finance' settles no messages"),
    ):
        assert said in up("messages", "add", ids[first], case, "--by", by).refused(1)
        assert said in up("messages", "dismiss", ids[first], "--reason", "spam", "--by", by).refused(1)
    # The case is of no unit, so that no agent of a branch sees it.
    assert "no such case" in up("messages", "add", ids[first], case, "--by", "agent-1").refused(1)
    assert up("messages", "add", ids[first], case, "--by", "qa-1").code == 0
    told = await eventually(lambda: _events(up, case), lambda types: "customer_wrote" in types)
    assert told.count("customer_wrote") == 1
    dismiss = ("messages", "dismiss", ids[second], "--by", "supervisor-1", "--reason")
    assert "allowed: answered, duplicate" in up(*dismiss, "boring").refused(2)
    assert up(*dismiss, "spam").code == 0
    assert "supervisor-1 has settled it" in up(*dismiss, "spam").refused(1)
    assert "no message 999999 waits" in up("messages", "dismiss", "999999", *dismiss[3:], "spam").refused(1)
    assert not {ids[first], ids[second]} & {str(one["id"]) for one in up("messages", "list", "--json").json}


async def _events(up: Up, case: str) -> list[str]:
    return [one["type"] for one in up("timeline", case, "--json").json]


def test_without_a_casebook_the_mail_server_tries_again(tmp_path: Path) -> None:
    assert "no database" in call("mail", "--data", str(tmp_path), given=letter("x")).refused(75)
    away = {"CASELADDER_DATABASE_URL": "postgresql://127.0.0.1:9/none"}
    assert call("mail", "--data", str(tmp_path), given=letter("x"), env=away).code == 75
    assert "no mail" in call("mail", "--data", str(tmp_path), given=" \n").refused(2)
