"""Approvals by passkey: what a worker takes, and what an audit finds of one that was forged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.audit.keys import new_key
from activities.audit.sent import unproven
from activities.policies.store import Policies
from activities.senders.gate import Gate
from activities.senders.key_set import ANY, KeySet, entry, read_key_set
from activities.senders.sign import Signer
from activities.senders.statement import Said, kept, of_command
from cases.case import Case
from cases.registry import KINDS
from cases.rules import RULES
from cases.vocabulary.commands import read_command
from cases.vocabulary.events import Event, canonical
from cases.vocabulary.facts import read_intake
from cases.vocabulary.refusals import Refused
from tests.authenticator import PRESENT, Authenticator

Json = dict[str, Any]
CASE, AMOUNT = "complaint:C-1", "6000.00"
QA = {"id": "qa-1", "role": "qa_manager"}
POLICY = Policies().read(Path(__file__).parents[1] / "scenarios" / "policies" / "passkeys.toml")
# After all that is signed here, which nothing may be recorded before.
START = datetime.now(UTC) + timedelta(hours=1)


@dataclass(frozen=True)
class Known:
    """The server's key, two people's passkeys, and the key set with them."""

    server: Signer
    mine: Authenticator
    theirs: Authenticator
    keys: KeySet


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    folder = tmp_path_factory.mktemp("passkeys")
    server, file = folder / "server.pem", folder / "senders.toml"
    mine, theirs = Authenticator("qa-1"), Authenticator("gm-1")
    file.write_text(entry(new_key(server), ANY, [ANY]) + mine.entry() + theirs.entry(), "utf-8")
    return Known(Signer(server), mine, theirs, read_key_set(file))


def approve(**fields: Any) -> Json:
    return {"by": QA, "subject": "refund", "amount": AMOUNT, "reason": "as assessed", **fields}


def refusal_of(gate: Gate, body: Json, case_id: str = CASE) -> str | None:
    command = read_command(KINDS["complaint"].COMMANDS, "approve", body)
    said = None
    if command.proof is not None:
        said = Said(of_command(case_id, command), command.proof.model_dump(mode="json", exclude_none=True))
    try:
        gate.check(said, datetime.now(UTC))
    except Refused as refusal:
        return f"{refusal.code}: {refusal.message}"
    return None


@pytest.mark.parametrize("signed", [True, False])
def test_who_confirms_with_their_passkey_is_taken(known: Known, signed: bool) -> None:
    body = known.mine.command(CASE, "approve", approve())
    gate = Gate("open", known.keys)
    if signed:
        body, gate = known.server.command(CASE, "approve", body), Gate("signed", known.keys)
    assert refusal_of(gate, body) is None


TAMPERED: dict[str, Callable[[Json], Json]] = {
    "amount": lambda body: {**body, "amount": "60000.00"},
    "subject": lambda body: {**body, "subject": "offer"},
    "reason": lambda body: {**body, "reason": "because"},
    "person": lambda body: {**body, "by": {"id": "gm-1", "role": "general_manager"}},
    "role": lambda body: {**body, "by": {**QA, "role": "general_manager"}},
    "request id": lambda body: {**body, "request_id": "another"},
    "time": lambda body: {**body, "proof": {**body["proof"], "at": datetime.now(UTC).isoformat()}},
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
def test_whoever_runs_the_server_changes_nothing_of_what_was_confirmed(
    known: Known, change: Callable[[Json], Json]
) -> None:
    body = change(known.mine.command(CASE, "approve", approve()))
    # The server signs again what it has changed.
    assert (refusal_of(Gate("signed", known.keys), known.server.command(CASE, "approve", body)) or "").startswith(
        "unsigned: proof.passkey: "
    )
    assert refusal_of(Gate("signed", known.keys), known.server.command(CASE, "approve", body), "complaint:C-2")


HOW: dict[str, tuple[Json, str]] = {
    "nobody verified": ({"flags": PRESENT}, "does not confirm this"),
    "nobody there": ({"flags": 0}, "does not confirm this"),
    "another page": ({"origin": "https://cases.example.org"}, "does not confirm this"),
    "a registration": ({"type": "webauthn.create"}, "does not confirm this"),
}


@pytest.mark.parametrize(("how", "said"), HOW.values(), ids=HOW.keys())
def test_what_an_authenticator_did_not_confirm_here_is_refused(known: Known, how: Json, said: str) -> None:
    body = known.server.command(CASE, "approve", known.mine.command(CASE, "approve", approve(), **how))
    assert said in (refusal_of(Gate("signed", known.keys), body) or "")


def test_another_persons_passkey_is_refused_and_an_unknown_one(known: Known) -> None:
    for authenticator, said in (
        (known.theirs, "credential: it is not of qa-1"),
        (Authenticator("qa-1"), "credential: it is not in the key set"),
        (replace(known.mine, key=known.theirs.key), "does not confirm this"),
    ):
        body = known.server.command(CASE, "approve", authenticator.command(CASE, "approve", approve()))
        assert said in (refusal_of(Gate("signed", known.keys), body) or ""), said
    # Nor does a worker without a key set take anybody's word for it.
    assert refusal_of(Gate(), known.mine.command(CASE, "approve", approve())) is not None


def test_a_passkey_counts_until_its_last_instant(known: Known, tmp_path: Path) -> None:
    file, body = tmp_path / "senders.toml", known.mine.command(CASE, "approve", approve())
    for until, right in (("2100-01-01T00:00:00Z", True), ("2026-01-01T00:00:00Z", False)):
        file.write_text(f"{known.mine.entry()}until = {until}\n", "utf-8")
        assert (refusal_of(Gate("open", read_key_set(file)), body) is None) == right


@pytest.fixture(autouse=True)
def earlier_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let earlier rules have had proofs too, as later releases will know some."""
    monkeypatch.setattr("cases.rules.FIRST_PROVEN", RULES - 1)


# --- the audit ------------------------------------------------------------------------------------


def asked() -> Case:
    """A case in which an approval is asked; the rules are those of passkeys."""
    raw = {"key": "C-1", "received_at": START.isoformat(), "facts": {"category": "damage"}}
    case = KINDS["complaint"].open(read_intake(KINDS["complaint"].INTAKE, raw), POLICY, START)
    send(case, "request_approval", {"by": {"id": "agent-7", "role": "agent"}, "subject": "refund", "amount": AMOUNT})
    return case


def send(case: Case, name: str, body: Json) -> list[Any]:
    """Do a command, and return the row of its proof."""
    first = len(case.events) + 1
    command = read_command(case.COMMANDS, name, body)
    case.decide(command, START)
    if command.proof is None:
        return []
    said = Said(of_command(CASE, command), command.proof.model_dump(mode="json", exclude_none=True))
    return [first, len(case.events), kept(said, RULES)]


def raws_of(case: Case) -> list[Json]:
    raws = [json.loads(json.dumps(event.as_json())) for event in case.events]
    for raw in raws:
        raw["data"].pop("reason", None)
    return raws


def faults(raws: list[Json], rows: list[list[Any]], keys: KeySet) -> list[str]:
    events = [Event.from_json(raw) for raw in raws]
    return [str(one) for one in unproven(CASE, raws, events, rows, POLICY, keys)]


def test_an_approval_that_was_confirmed_is_right_and_without_it_is_named(known: Known) -> None:
    case = asked()
    body = {"by": QA, "amount": AMOUNT}
    row = send(case, "approve", known.server.command(CASE, "approve", known.mine.command(CASE, "approve", body)))
    raws = raws_of(case)
    missing = [f"{CASE} seq {row[0]}: inserted: nothing proves that qa-1 confirmed 6000.00"]

    assert faults(raws, [row], known.keys) == []
    # Whether or not everything has to be signed.
    assert known.keys.signed_since is None
    assert faults(raws, [], known.keys) == missing
    other = json.loads(row[2])
    del other["proof"]["passkey"]
    assert missing[0] in faults(raws, [[*row[:2], canonical(other)]], known.keys)
    # What is confirmed once is one approval, also where it is said to come of other rules.
    twice = [*raws, {**raws[row[0] - 1], "seq": row[1] + 1}]
    earlier = canonical({**json.loads(row[2]), "rules": RULES - 1})
    assert faults(twice, [[row[0], row[1] + 1, earlier]], known.keys) == [
        f"{CASE} seq {row[1] + 1}: inserted: nothing proves that qa-1 confirmed 6000.00"
    ]


def test_a_confirmation_of_no_amount_is_named(known: Known) -> None:
    case = KINDS["complaint"].replay(Policies().load("default"), asked().events)
    row = send(case, "approve", known.server.command(CASE, "approve", known.mine.command(CASE, "approve", {"by": QA})))
    row[2] = canonical({**json.loads(row[2]), "rules": RULES - 1})

    assert faults(raws_of(case), [row], known.keys) == [
        f"{CASE} seq {row[0]}: inserted: nothing proves that qa-1 confirmed 6000.00"
    ]


def test_a_confirmation_that_is_used_again_is_named(known: Known) -> None:
    case = asked()
    body = known.server.command(CASE, "approve", known.mine.command(CASE, "approve", {"by": QA, "amount": AMOUNT}))
    first = send(case, "approve", body)
    send(case, "request_approval", {"by": {"id": "agent-7", "role": "agent"}, "subject": "refund", "amount": AMOUNT})
    # A case knows a repeat by its request id; whoever writes into the ledger does not ask it.
    again = send(case, "approve", body)

    assert faults(raws_of(case), [first, again], known.keys) == [
        f"{CASE} seq {again[1]}: changed: what proves who sent it was sent once, and is taken a second time",
        f"{CASE} seq {again[0]}: inserted: nothing proves that qa-1 confirmed 6000.00",
    ]


@pytest.mark.parametrize(
    ("place", "data"),
    [
        ("approved", {"amount": "9000.00"}),
        ("approved", {"amount": None}),
        ("approval_requested", {"amount": "9000.00"}),
        ("approval_requested", {"amount": None}),
    ],
)
@pytest.mark.parametrize("rules", [RULES, RULES - 1])
def test_another_amount_than_was_confirmed_is_named(known: Known, place: str, data: Json, rules: int) -> None:
    case = asked()
    body = {"by": QA, "amount": AMOUNT}
    row = send(case, "approve", known.server.command(CASE, "approve", known.mine.command(CASE, "approve", body)))
    # Said to come of other rules, it is not done again; what was confirmed is held against it all the same.
    row[2] = canonical({**json.loads(row[2]), "rules": rules})
    raws = raws_of(case)
    forged = next(raw for raw in raws if raw["type"] == place)
    forged["data"] = {**forged["data"], **data}

    found = faults(raws, [row], known.keys)

    # What was confirmed is then either not what stands there, or not what is done again.
    assert bool(found) == (rules == RULES or data["amount"] is not None), found


def test_whoever_runs_the_server_cannot_approve_and_what_they_write_is_named(known: Known) -> None:
    case = asked()
    signed = known.server.command(CASE, "approve", {"by": QA, "amount": AMOUNT})
    command = read_command(case.COMMANDS, "approve", signed)
    with pytest.raises(Refused) as refusal:
        case.decide(command, START)
    assert refusal.value.code == "passkey_required"
    # Into the ledger, with the proof that they can make.
    first = len(case.events) + 1
    free = KINDS["complaint"].replay(Policies().load("default"), case.events)
    free.decide(command, START)
    assert command.proof is not None
    said = Said(of_command(CASE, command), command.proof.model_dump(mode="json", exclude_none=True))

    found = faults(raws_of(free), [[first, len(free.events), kept(said, RULES)]], known.keys)

    assert f"{CASE} seq {first}: inserted: nothing proves that qa-1 confirmed {Decimal(AMOUNT)}" in found
    assert f"{CASE} seq {len(free.events)}: changed: approve as it was signed is not possible there (Refused)" in found
