"""``caseladder sign``: keys, and commands and intakes that are signed for any client."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activities.senders.check import check
from activities.senders.key_set import read_key_set
from activities.senders.statement import Said, of_command, of_intake
from cases.kinds.complaint import Complaint
from cases.vocabulary.commands import read_command
from cases.vocabulary.facts import read_intake
from starter.senders import guard_of
from starter.settings import Settings, SettingsError
from tests.cli.program import call


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The general manager's key, whose entry stands in ``senders.toml``."""
    made = call("sign", "key", str(tmp_path / "gm.pem"), "--by", "gm-1", "--role", "general_manager")
    assert made.code == 0, made.err
    (tmp_path / "senders.toml").write_text("signed_since = 2026-12-01T00:00:00+08:00\n" + made.out, "utf-8")
    return tmp_path / "gm.pem"


def test_a_key_is_its_owners_alone_and_its_entry_is_of_the_key_set(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    [[sender]] = read_key_set(key.with_name("senders.toml")).senders.values()

    assert (sender.id, sender.roles, sender.person) == ("gm-1", ["general_manager"], None)
    assert "PRIVATE" not in key.with_name("senders.toml").read_text()


def test_a_command_is_signed_for_any_client(key: Path) -> None:
    signed = call(
        "sign", "command", "complaint:C-1", "note", "text=seen", "--by", "gm-1", "--role", "general_manager",
        "--key", str(key),
    )  # fmt: skip
    assert signed.code == 0, signed.err

    command = read_command(Complaint.COMMANDS, "note", json.loads(signed.out))

    assert command.proof is not None
    said = Said(of_command("complaint:C-1", command), command.proof.model_dump(mode="json", exclude_none=True))
    check(said, read_key_set(key.with_name("senders.toml")), datetime.now(UTC))


def test_an_intake_is_signed_for_any_client(key: Path) -> None:
    given = '{"key": "C-1", "facts": {"category": "delay", "customer": {"name": "Zhang San"}}}'
    signed = call(
        "sign", "intake", "complaint", "-", "--by", "gm-1", "--role", "general_manager", "--key", str(key), given=given
    )
    assert signed.code == 0, signed.err

    intake = read_intake(Complaint.INTAKE, json.loads(signed.out))

    assert intake.proof is not None
    said = Said(of_intake("complaint:C-1", intake), intake.proof.model_dump(mode="json", exclude_none=True))
    check(said, read_key_set(key.with_name("senders.toml")), datetime.now(UTC))
    assert "Zhang" not in str(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["command", "complaint:C-1", "note", "text=x"],
            "note: by is missing; say who acts",
        ),
        (["command", "complaint:C-1", "nod", "--by", "a", "--role", "agent", "--key", "KEY"], "command = 'nod'"),
        (["command", "complaint:C-1", "note", "text=x", "--by", "a", "--role", "agent"], "--key is missing"),
        (
            ["command", "complaint:C-1", "note", "text=x", "--by", "a", "--role", "agent", "--key", "none.pem"],
            "--key: none.pem: No such file or directory",
        ),
        (["command", "Nothing:C-1", "note", "--by", "a", "--role", "agent", "--key", "KEY"], "CASE = 'Nothing:C-1'"),
        (["key", "made.pem", "--by", "two words", "--role", "agent"], "id"),
        (["key", "made.pem", "--by", "gm-1", "--role", "General Manager"], "roles"),
    ],
)
def test_what_cannot_be_signed_is_named(key: Path, arguments: list[str], said: str) -> None:
    answer = call("sign", *(str(key) if one == "KEY" else one for one in arguments))

    assert answer.code in (1, 2)
    assert said in answer.err
    assert not Path("made.pem").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "CASELADDER_SENDERS is missing: CASELADDER_COMMANDS is signed"),
        ({"senders": "senders.toml"}, "CASELADDER_SENDER_KEY is missing: CASELADDER_COMMANDS is signed"),
        ({"senders": "no-day.toml", "sender_key": "gm.pem"}, "signed_since is missing"),
        ({"senders": "gm.pem", "sender_key": "gm.pem"}, "CASELADDER_SENDERS: "),
    ],
)
def test_a_worker_of_signed_commands_needs_a_key_set_and_a_key(key: Path, given: dict[str, str], said: str) -> None:
    folder = key.parent
    (folder / "no-day.toml").write_text("", "utf-8")
    files = {name: folder / file for name, file in given.items()}

    settings = Settings(commands="signed").model_copy(update=files)
    with pytest.raises(SettingsError, match=said):
        guard_of(settings)
