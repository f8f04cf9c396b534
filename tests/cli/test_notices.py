"""Notices from the command line: what became of them, sending one again, acknowledging by its code."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from activities.notify import ack_tokens
from starter.settings import link_secret_file
from tests.cli.program import Up, call
from tests.workflows.backend import is_about

AGENT = ("--by", "agent-1", "--role", "agent")
KEYS = count(1)


def filed(up: Up, *settings: str) -> str:
    """A complaint of the northern branch, whose agent is agent-1."""
    key = f"told-{next(KEYS)}"
    given = ("--set", "facts.category=delay", "--set", "facts.unit=north", *settings)
    return str(up("file", "complaint", "--key", key, *given, "--json").json["id"])


def told(up: Up, case: str, notice: str = "rung") -> dict[str, Any]:
    """The newest notice of a name, once it is on record."""
    deadline = monotonic() + 20
    while True:
        rows: list[dict[str, Any]] = up("notices", "list", case, "--json").json
        found = [row for row in rows if row["notice"] == notice]
        if found or monotonic() > deadline:
            return found[0]
        sleep(0.05)


def mailed(up: Up, case: str) -> list[str]:
    """The texts of the mails about a case."""
    mails = (email.message_from_bytes(f.read_bytes(), policy=email.policy.default) for f in folder(up).glob("*.eml"))
    return [str(mail.get_body().get_content()) for mail in mails if is_about(mail, case)]  # type: ignore[union-attr]


def folder(up: Up) -> Path:
    return Path(up.says["mail"])


def code_in(texts: list[str]) -> str:
    [code] = {code for text in texts for code in re.findall(r"(?:Code:|受理码：) *(\S+)", text)}
    return str(code)


def test_the_code_of_a_notice_acknowledges_as_that_person_once(up: Up) -> None:
    case = filed(up)
    told(up, case)
    code = code_in(mailed(up, case))
    assert re.fullmatch(r"[2-9A-Z]{4}-[2-9A-Z]{4}", code)

    line = up("acknowledge", case, "--code", code, *AGENT).refused(2)
    assert line == "--code says who acts; leave out --by and --role"
    held = up("acknowledge", case, "--code", code.lower(), "--json").json
    assert (held["acknowledged"], held["holder"]) == (True, "agent-1")
    assert up("timeline", case, "--json").json[-1]["type"] in ("clock_met", "notified")
    [taken] = [event for event in up("timeline", case, "--json").json if event["type"] == "acknowledged"]
    assert taken["actor"] == {"id": "agent-1", "role": "agent"}

    reused = up("acknowledge", case, "--code", code).refused(1)
    assert reused == "this notice is answered or over: agent-1 holds the case now"


def test_a_code_that_does_not_count_is_told_why(up: Up) -> None:
    case = filed(up)
    told(up, case)
    other = filed(up)
    told(up, other)
    before = up("show", case, "--json").json
    assert "eight letters and digits like K7Q2-M9XA" in up("acknowledge", case, "--code", "K7Q2").refused(2)
    forged = up("acknowledge", case, "--code", "K7Q2-M9XA").refused(1)
    assert forged == f"--code = K7Q2-M9XA: no notice of {case} has this code"
    foreign = code_in(mailed(up, other))
    assert f"no notice of {case} has this code" in up("acknowledge", case, "--code", foreign).refused(1)

    past = datetime.now(UTC) - timedelta(days=2)
    facts = ("--set", "facts.shipment.waybill=W1", "--set", f"facts.shipment.posted_on={past:%Y-%m-%d}")
    given = ("--key", "told-late", "--set", f"received_at={past.isoformat()}", *facts)
    old = str(up("file", "inquiry", *given, "--json").json["id"])
    event = up("timeline", old, "--json").json[0]
    secret = link_secret_file(up.data).read_text("ascii")
    expired = ack_tokens.short_code(secret, old, event["seq"], "agent-1", ack_tokens.expiry(event["at"]))
    assert "it was good until 2" in up("acknowledge", old, "--code", expired).refused(1)
    assert up("show", case, "--json").json == before


def test_the_secret_behind_the_codes_is_for_its_owner_alone(up: Up) -> None:
    file = link_secret_file(up.data)
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text("ascii")) >= 32


def test_what_became_of_a_notice_is_listed_and_explained(up: Up) -> None:
    case = filed(up)
    row = told(up, case)
    assert (row["case_id"], row["outcome"], row["channel"], row["roles"]) == (case, "sent", "email", ["agent"])
    assert row["id"].startswith(f"{case}/")
    [attempt] = row["attempts"]
    assert (attempt["recipient"], attempt["channel"], attempt["outcome"]) == ("agent-1", "email", "sent")
    listed = up("notices", "list", case).out
    assert re.search(rf"{case} +{row['seq']} +rung +agent-1 +sent +email +1", listed)
    assert case in up("notices", "list", "--limit", "1000").out
    assert up("notices", "list", row_case_number(up, case)).out == listed

    explained = up("notices", "explain", case, str(row["seq"])).out
    assert f"rung ({row['id']})" in explained
    assert re.search(r"agent +agent-1 +on_duty", explained)
    assert re.search(r"agent-1 +email +sent +1", explained)
    assert up("notices", "explain", case, str(row["seq"]), "--json").json == row
    assert "example.com" not in listed + explained
    unknown = up("notices", "explain", case, "9999").refused(1)
    assert unknown.startswith(f"notice = 9999: notices of {case}: ")
    assert up("notices", "list", "complaint:nobody").out == "no notices\n"


def row_case_number(up: Up, case: str) -> str:
    return f"complaint/{up('show', case, '--json').json['number']}"


def test_a_notice_is_sent_again_and_a_closed_case_says_that_it_cannot(up: Up) -> None:
    case = filed(up)
    row = told(up, case)
    up("notices", "resend", case, str(row["seq"]), *AGENT)
    deadline = monotonic() + 20
    while len(again := [r for r in up("notices", "list", case, "--json").json if r["id"] == row["id"]]) < 2:
        assert monotonic() < deadline
        sleep(0.05)
    assert [one["outcome"] for one in again] == ["sent", "sent"]
    # The same id: the maildir, like any receiver that looks at ids, has it once.
    assert len([text for text in mailed(up, case) if "受理码" in text]) == 1
    assert "by is missing" in up("notices", "resend", case, str(row["seq"])).refused(2)
    assert "notices of this case" in up("notices", "resend", case, "1", *AGENT).refused(1)

    up("do", case, "withdraw", "--by", "supervisor-1", "--role", "supervisor")
    assert "the case is closed" in up("notices", "resend", case, str(row["seq"]), *AGENT).refused(1)


@pytest.mark.parametrize("arguments", [("notices", "list"), ("notices", "explain", "complaint:x", "1")])
def test_without_a_casebook_it_says_so(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert "no database" in call(*arguments, "--data", str(tmp_path)).refused(1)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("LINK_SECRET", "geheim", "CASELADDER_LINK_SECRET: each secret must have 32 characters or more"),
        ("LINK_SECRET", f"{'x' * 32},geheim", "several are separated by commas, the newest first"),
        ("CONSOLE_SECRET", f"{'x' * 32},", "CASELADDER_CONSOLE_SECRET: each secret must have 32 characters or more"),
        ("TEMPLATES", "/no/such/folder", "CASELADDER_TEMPLATES = /no/such/folder: there is no such folder"),
        ("APPRISE", "perhaps", "CASELADDER_APPRISE = perhaps: Input should be a valid boolean"),
        ("DIGEST_HOLD", "-1", "CASELADDER_DIGEST_HOLD = -1: Input should be greater than or equal to 0"),
        ("DIGEST_HOLD", "301", "CASELADDER_DIGEST_HOLD = 301: Input should be less than or equal to 300"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, variable: str, value: str, message: str) -> None:
    answer = call("notices", "list", "--data", str(tmp_path), env={f"CASELADDER_{variable}": value})
    line = answer.refused(2)
    assert message in line
    assert "geheim" not in line
