"""What senders sign is what the ledger has: each worked case, signed step by step, and forged afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.audit.keys import new_key
from activities.audit.sent import unproven
from activities.casebook.texts import PERSONAL, commitment, seal, strip
from activities.policies.store import Policies
from activities.senders.check import check
from activities.senders.key_set import ANY, BadKeySet, KeySet, entry, read_key_set
from activities.senders.sign import Signer
from activities.senders.statement import Said, Statement, kept, of_command, of_intake, texts_of, texts_of_intake
from cases.case import Case
from cases.registry import KINDS, kind_of
from cases.rules import FIRST_PROVEN, RULES
from cases.vocabulary.commands import Command, read_command
from cases.vocabulary.events import EVENTS, Actor, Event, canonical
from cases.vocabulary.facts import Intake, read_intake
from cases.vocabulary.refusals import Refused
from starter.rehearsal.engine import Prepared
from starter.rehearsal.scenario import load_scenario
from tests.authenticator import Authenticator

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.toml"))
POLICIES = Policies()
FILER = {"id": "crm", "role": "system"}
Json = dict[str, Any]


@dataclass
class Signed:
    """A case of which everything that was sent is signed, as the ledger has it."""

    case: Case
    raws: list[Json] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    intake: Intake | None = None
    # Those of each row.
    salts: list[list[str]] = field(default_factory=list)

    def take(self, first: int, said: Statement, of: Intake | Command) -> None:
        """Keep what was said beside the events from ``first`` on."""
        assert of.proof is not None
        if len(self.case.events) >= first:
            proof = of.proof.model_dump(mode="json", exclude_none=True)
            self.rows.append([first, len(self.case.events), kept(Said(said, proof), RULES)])
            self.salts.append(list(of.proof.salts.values()))
        self.record(of)

    def record(self, of: Intake | Command | None = None) -> None:
        """Record what has happened, under the salts that the sender chose."""
        proof = None if of is None else of.proof
        salts = {} if of is None or proof is None else {text: bytes.fromhex(proof.salts[at]) for at, text in _texts(of)}
        for event in self.case.events[len(self.raws) :]:
            raw, _ = seal(json.loads(json.dumps(event.as_json())), salts)
            if isinstance(of, Intake) and proof is not None and PERSONAL in proof.salts and event.seq == 1:
                salt = bytes.fromhex(proof.salts[PERSONAL])
                raw["data"][PERSONAL] = commitment(salt, canonical(of.personal()))
            self.raws.append(raw)

    def faults(self, keys: KeySet) -> list[str]:
        """Return what an audit finds."""
        events = [Event.from_json(strip(canonical(raw))) for raw in self.raws]
        return [
            str(one)
            for one in unproven(
                f"{self.case.KIND}:{self.case.key}", self.raws, events, self.rows, self.case.policy, keys
            )
        ]


def _texts(of: Intake | Command) -> list[tuple[str, str]]:
    return list((texts_of_intake(of) if isinstance(of, Intake) else texts_of(of)).items())


@contextmanager
def signing_at(instant: datetime) -> Iterator[None]:
    """Have what is signed in the block say that it was signed then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("activities.senders.sign._now", instant.isoformat)
        yield


def play(prepared: Prepared, signer: Signer, passkey: Authenticator) -> Signed | None:
    """Run a scenario, with everything that is sent signed; None where there is no case.

    What stands there for a passkey is one.
    """
    kind, effects = kind_of(prepared.kind, prepared.policy), prepared.effects
    case_id = f"{prepared.kind}:{prepared.key}"
    with signing_at(prepared.received_at):
        intake = read_intake(kind.INTAKE, signer.intake(prepared.kind, {"by": FILER, **prepared.intake}, kind))
    try:
        signed = Signed(kind.open(intake, prepared.policy, prepared.received_at), intake=intake)
    except Refused:
        return None
    case = signed.case

    def settle(at: datetime) -> None:
        told = effects.notices, effects.payout, effects.earlier_claims, effects.serial, effects.merge, effects.reply
        case.rehearse_effects(at, *told)

    signed.take(1, of_intake(case_id, intake), intake)
    settle(case.events[-1].at)
    for number, step in enumerate(prepared.steps):
        case.elapse(step.at, inclusive=False, after_each=settle)
        case.end_step()
        signed.record()
        by = Actor(step.by, step.role or case.ladder.rung, step.person)
        raw = {**step.fields, "by": by.as_json(), "request_id": f"r-{number}"}
        before = len(case.events)
        confirmed = raw.pop("proof", None) is not None
        try:
            with signing_at(step.at):
                raw = passkey.command(case_id, step.command, raw) if confirmed else raw
                command = read_command(kind.COMMANDS, step.command, signer.command(case_id, step.command, raw, kind))
        except Refused:
            continue
        with suppress(Refused):
            case.decide(command, step.at)
        signed.take(before + 1, of_command(case_id, command), command)
        settle(step.at)
    if prepared.until is not None:
        case.elapse(prepared.until, after_each=settle)
    signed.record()
    return signed


@dataclass(frozen=True)
class Keys:
    """A server's key, a person's, a passkey, and the key set that knows them."""

    server: Signer
    person: Signer
    passkey: Authenticator
    known: KeySet


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("senders")
    server, person, file = folder / "server.pem", folder / "gm.pem", folder / "senders.toml"
    since, passkey = "signed_since = 2020-01-01T00:00:00+08:00\n", Authenticator("qa-1")
    senders = entry(new_key(server), ANY, [ANY]) + entry(new_key(person), "gm-1", ["general_manager"])
    file.write_text(since + senders + passkey.entry(), "utf-8")
    return Keys(Signer(server), Signer(person), passkey, read_key_set(file))


@pytest.mark.parametrize("path", SCENARIOS, ids=[path.stem for path in SCENARIOS])
def test_what_was_signed_leads_to_what_is_recorded(path: Path, keys: Keys) -> None:
    signed = play(load_scenario(path, POLICIES).case, keys.server, keys.passkey)
    if signed is None:
        return
    assert signed.faults(keys.known) == []
    # Each proof is needed, but for those of commands that did nothing but let time pass.
    for place, (first, last, _) in enumerate(signed.rows):
        less = Signed(signed.case, signed.raws, signed.rows[:place] + signed.rows[place + 1 :])
        # What the program sends for another case is sent too.
        by_somebody = any(
            raw["actor"]["id"] != "caseladder" or EVENTS[raw["type"]].BY_COMMAND
            for raw in signed.raws[first - 1 : last]
        )
        assert bool(less.faults(keys.known)) == by_somebody


def _path(name: str) -> Path:
    return next(path for path in SCENARIOS if path.stem.startswith(name))


def _played(keys: Keys, name: str) -> Signed:
    signed = play(load_scenario(_path(name), POLICIES).case, keys.server, keys.passkey)
    assert signed is not None
    return signed


def _seq_of(signed: Signed, type_: str) -> int:
    return next(int(raw["seq"]) for raw in signed.raws if raw["type"] == type_)


def _forge(signed: Signed, type_: str, **data: Any) -> int:
    seq = _seq_of(signed, type_)
    signed.raws[seq - 1] = {**signed.raws[seq - 1], "data": {**signed.raws[seq - 1]["data"], **data}}
    return seq


def test_an_erasure_needs_no_signature(keys: Keys) -> None:
    erased = 0
    for path in SCENARIOS:
        signed = play(load_scenario(path, POLICIES).case, keys.server, keys.passkey)
        if signed is None or signed.case.closed_at is None:
            continue
        later = signed.case.closed_at + timedelta(days=4 * 366)
        signed.case.erase("customer", Actor("gm-1", "general_manager"), Actor("qa-1", "qa_manager"), later)
        signed.record()
        assert signed.faults(keys.known) == [], path.stem
        erased += 1
    assert erased > 10


def test_an_amount_that_was_not_signed_is_named(keys: Keys) -> None:
    signed = _played(keys, "10b")
    seq = _forge(signed, "approved", amount="1000000.00")

    assert signed.faults(keys.known) == [
        f"claim:10b seq {seq}: changed: it is not what approve as it was signed leads to"
    ]


def test_another_text_than_was_signed_is_named(keys: Keys) -> None:
    signed = _played(keys, "10b")
    seq = _forge(signed, "offered", reason=commitment(b"0" * 16, "because the supervisor said so"))

    assert signed.faults(keys.known) == [
        f"claim:10b seq {seq}: changed: it is not what offer as it was signed leads to"
    ]


def test_another_actor_than_signed_is_named(keys: Keys) -> None:
    signed = _played(keys, "10b")
    seq = _seq_of(signed, "approved")
    signed.raws[seq - 1]["actor"] = {"id": "gm-9", "role": "general_manager"}

    first = signed.faults(keys.known)[0]

    assert first.startswith(f"claim:10b seq {seq}: changed: it is by gm-9, and ")


def test_an_event_that_nobody_signed_is_named(keys: Keys) -> None:
    signed = _played(keys, "10b")
    last = signed.raws[-1]
    by = {"id": "gm-1", "role": "general_manager"}
    signed.raws.append({**last, "seq": last["seq"] + 1, "type": "noted", "actor": by, "data": {"text": "forged"}})

    assert signed.faults(keys.known) == [
        f"claim:10b seq {last['seq'] + 1}: inserted: nothing proves that gm-1 as general_manager sent it"
    ]
    # Before everything had to be signed, that was no fault.
    assert signed.faults(KeySet(keys.known.senders, {}, None)) == []


def test_a_statement_that_was_changed_is_named(keys: Keys) -> None:
    signed = _played(keys, "10b")
    for row in signed.rows:
        body = json.loads(row[2])
        if body["command"] == "approve":
            body["by"]["id"] = "gm-2"
            row[2] = canonical(body)
            break

    first = signed.faults(keys.known)[0]

    assert (
        "changed: who sent it is not proven: proof: signature: it is not of this command, sender and content" in first
    )


def test_what_came_about_by_other_rules_is_not_done_again(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = _played(keys, "10b")
    _forge(signed, "approved", amount="1000000.00")
    monkeypatch.setattr("cases.rules.RULES", RULES + 1)

    assert signed.faults(keys.known) == []


@pytest.mark.parametrize("number", [FIRST_PROVEN - 1, RULES + 1])
def test_nobody_says_that_other_rules_were_in_force(keys: Keys, number: int) -> None:
    """The attack: a number that is not signed, so that nothing is done again."""
    signed = _played(keys, "10b")
    _forge(signed, "approved", amount="1000000.00")
    for row in signed.rows:
        row[2] = canonical({**json.loads(row[2]), "rules": number})

    assert signed.faults(keys.known) == [
        f"claim:10b seq {signed.rows[0][1]}: changed: it is said to have come about by rules {number}, which cannot be"
    ]


def test_what_was_signed_is_not_taken_twice(keys: Keys) -> None:
    """The attack: a signed command stands a second time, further on, where it leads to what stands there."""
    signed = _played(keys, "10b")
    first, last, body = next(row for row in signed.rows if json.loads(row[2])["command"] == "acknowledge")
    end = len(signed.raws)
    again = [{**raw, "seq": end + 1 + place} for place, raw in enumerate(signed.raws[first - 1 : last])]
    signed.raws += again
    signed.rows.append([end + 1, len(signed.raws), body])

    assert any("was sent once, and is taken a second time" in fault for fault in signed.faults(keys.known))


def test_an_event_of_before_everything_was_signed_does_not_follow_one_of_after(keys: Keys) -> None:
    """The attack: a forged event says that it was recorded when nobody had to sign."""
    signed = _played(keys, "10b")
    last = signed.raws[-1]
    by = {"id": "gm-1", "role": "general_manager"}
    forged = {**last, "seq": last["seq"] + 1, "type": "disputed", "actor": by, "data": {"path": "appeal"}}
    signed.raws.append({**forged, "recorded_at": "2019-12-31T00:00:00+08:00"})

    assert signed.faults(keys.known) == [
        f"claim:10b seq {last['seq'] + 1}: inserted: nothing proves that gm-1 as general_manager sent it"
    ]


def test_nothing_is_recorded_as_of_before_it_was_signed(keys: Keys) -> None:
    """The attack: a claim that was filed too late is recorded as of in time, and everything that followed from it."""
    signed = _played(keys, "10b")
    with signing_at(datetime.fromisoformat("2026-09-01T10:00:00+08:00")):
        late = keys.server.intake("claim", {"by": FILER, **load_scenario(_path("10b"), POLICIES).case.intake})
    intake = read_intake(KINDS["claim"].INTAKE, late)
    assert intake.proof is not None
    statement = of_intake("claim:10b", intake)
    signed.rows[0][2] = kept(Said(statement, intake.proof.model_dump(mode="json", exclude_none=True)), RULES)

    assert "claim:10b seq 1: changed: it is recorded as of before it was signed" in signed.faults(keys.known)


def test_another_policy_than_the_key_set_knows_is_named(keys: Keys) -> None:
    """The attack: a policy by which the same signed commands lead to more money."""
    signed = _played(keys, "10b")
    known = signed.case.policy.hash

    assert signed.faults(KeySet(keys.known.senders, {}, keys.known.signed_since, frozenset([known]))) == []
    assert signed.faults(KeySet(keys.known.senders, {}, keys.known.signed_since, frozenset(["0" * 64]))) == [
        f"claim:10b seq 1: changed: it is pinned to the policy {known}, which is not among those of the key set"
    ]


def test_a_case_of_another_kind_or_key_is_named(keys: Keys) -> None:
    signed = _played(keys, "10b")
    _forge(signed, "case_opened", kind="inquiry")

    assert "claim:10b seq 1: changed: it says that it is inquiry:10b" in signed.faults(keys.known)


def test_what_is_approved_is_what_somebody_asked_for(keys: Keys) -> None:
    """The attack: the question that a signed approval answers is another one, as if the case had asked by itself."""
    signed = _played(keys, "10b")
    seq = _seq_of(signed, "approval_requested")
    first, last, _ = next(row for row in signed.rows if row[0] <= seq <= row[1])
    signed.rows = [row for row in signed.rows if row[0] != first]
    for raw in signed.raws[first - 1 : last]:
        raw["actor"] = {"id": "caseladder", "role": "system"}
    _forge(signed, "approval_requested", amount="1000000.00")

    assert f"claim:10b seq {seq}: inserted: it is about other money than what was signed before" in signed.faults(
        keys.known
    )


@pytest.mark.parametrize("type_", ["date_proven", "withdrawn", "disputed", "replied"])
def test_a_case_does_not_do_by_itself_what_only_people_do(keys: Keys, type_: str) -> None:
    signed = _played(keys, "10b")
    last = signed.raws[-1]
    by, data = {"id": "caseladder", "role": "system"}, {"date": "promised_at", "evidence": "x", "path": "appeal"}
    signed.raws.append(
        {**last, "seq": last["seq"] + 1, "type": type_, "actor": by, "data": {**data, "stage": "answer"}}
    )

    assert f"claim:10b seq {last['seq'] + 1}: inserted: no case does {type_} by itself, and nobody has signed it" in (
        signed.faults(keys.known)
    )


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("replied", {"stage": "interim", "via": "mail"}),
        ("replied", {"stage": "answer", "via": "mail"}),
        ("promised", {"reply_by": "2026-03-11T15:00:00+08:00"}),
    ],
    ids=["a second time", "of another stage", "of another time"],
)
def test_what_came_of_a_reply_is_what_somebody_had_sent(keys: Keys, type_: str, data: Json) -> None:
    signed = _played(keys, "quick-reply-by-mail")
    last, of = signed.raws[-1], _seq_of(signed, "reply_sending")
    signed.raws.append(
        {
            **last,
            "seq": last["seq"] + 1,
            "type": type_,
            "actor": {"id": "caseladder", "role": "system"},
            "data": {**data, "of": of},
        }
    )

    fault = f"seq {last['seq'] + 1}: inserted: no case does {type_} by itself, and nobody has signed it"
    assert f"complaint:quick-reply-by-mail {fault}" in signed.faults(keys.known)


def test_a_claim_that_was_filed_late_asks_in_the_name_of_whoever_filed_it(keys: Keys) -> None:
    """It does so by itself, a moment after its opening, so nobody has signed the question, and it is no fault."""
    prepared = load_scenario(_path("10b"), POLICIES).case
    filed = prepared.received_at + timedelta(days=40)
    raw = {**prepared.intake, "by": {"id": "super-2", "role": "supervisor"}}
    raw["received_at"] = prepared.received_at.isoformat()
    with signing_at(filed):
        intake = read_intake(KINDS["claim"].INTAKE, keys.server.intake("claim", raw))
    signed = Signed(KINDS["claim"].open(intake, prepared.policy, filed))
    signed.take(1, of_intake("claim:10b", intake), intake)
    signed.case.elapse(filed)
    signed.record()
    [asked] = [raw for raw in signed.raws if raw["type"] == "approval_requested"]

    assert (asked["actor"]["id"], asked["seq"] > signed.rows[0][1]) == ("super-2", True)
    assert signed.faults(keys.known) == []
    asked["data"]["amount"] = "500.00"
    assert signed.faults(keys.known) == [
        f"claim:10b seq {asked['seq']}: inserted: nothing proves that super-2 as supervisor sent it"
    ]


@pytest.mark.parametrize(
    ("who", "by", "allowed"),
    [
        ("server", {"id": "gm-1", "role": "general_manager"}, True),
        ("person", {"id": "gm-1", "role": "general_manager"}, True),
        ("person", {"id": "gm-1", "role": "agent"}, False),
        ("person", {"id": "gm-2", "role": "general_manager"}, False),
        ("person", {"id": "gm-1", "role": "general_manager", "person": "p-1"}, False),
    ],
)
def test_a_key_signs_for_whom_the_key_set_says(keys: Keys, who: str, by: Json, allowed: bool) -> None:
    signer: Signer = getattr(keys, who)
    body = signer.command("complaint:1", "note", {"by": by, "text": "seen"})

    refusal = _refusal(keys.known, "complaint:1", "note", body)

    assert (refusal is None) == allowed
    if refusal is not None:
        assert refusal == f"unsigned: proof: key = {body['proof']['key']!r} may not sign for {by['id']} as {by['role']}"


CHANGES: dict[str, Callable[[Json], Json]] = {
    "text": lambda body: {**body, "text": "something else"},
    "sender": lambda body: {**body, "by": {"id": "gm-2", "role": "general_manager"}},
    "role": lambda body: {**body, "by": {**body["by"], "role": "agent"}},
    "request id": lambda body: {**body, "request_id": "another"},
    "time": lambda body: _proof(body, at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat()),
    "salt": lambda body: _proof(body, salts={"text": "0" * 32}),
    "no salt": lambda body: _proof(body, salts={}),
    "no signature": lambda body: _proof(body, signature=None),
    "no key": lambda body: _proof(body, key=None),
    "another key": lambda body: _proof(body, key="0" * 16),
    "another signature": lambda body: _proof(body, signature="A" * 86),
    "no base64": lambda body: _proof(body, signature="A"),
    "no request id": lambda body: {**body, "request_id": None},
    "an old one": lambda body: _proof(body, at=(datetime.now(UTC) - timedelta(minutes=16)).isoformat()),
    "of the future": lambda body: _proof(body, at=(datetime.now(UTC) + timedelta(minutes=2)).isoformat()),
}


def _proof(body: Json, **changes: Any) -> Json:
    return {**body, "proof": {**body["proof"], **changes}}


def _refusal(keys: KeySet, case_id: str, name: str, body: Json) -> str | None:
    command = read_command(KINDS[case_id.partition(":")[0]].COMMANDS, name, body)
    assert command.proof is not None
    try:
        said = Said(of_command(case_id, command), command.proof.model_dump(mode="json", exclude_none=True))
        check(said, keys, datetime.now(UTC))
    except Refused as refusal:
        return f"{refusal.code}: {refusal.message}"
    return None


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_is_changed_of_what_was_signed_is_refused(keys: Keys, change: Callable[[Json], Json]) -> None:
    body = keys.server.command("complaint:1", "note", {"by": {"id": "gm-1", "role": "general_manager"}, "text": "seen"})
    assert _refusal(keys.known, "complaint:1", "note", body) is None

    assert _refusal(keys.known, "complaint:1", "note", change(body)) is not None
    # Nor does it count for another case, or as another command.
    assert _refusal(keys.known, "complaint:2", "note", body) is not None
    assert _refusal(keys.known, "complaint:1", "reply", {**body, "stage": "answer"}) is not None


def test_a_key_counts_until_its_last_instant_and_proves_what_it_signed_before(keys: Keys, tmp_path: Path) -> None:
    file = tmp_path / "senders.toml"
    until = datetime.now(UTC) + timedelta(seconds=30)
    lines = file.write_text(entry(keys.server.keys(), ANY, [ANY]) + f"until = {until.isoformat()}\n", "utf-8")
    assert lines
    body = keys.server.command("complaint:1", "note", {"by": {"id": "gm-1", "role": "general_manager"}, "text": "seen"})

    assert _refusal(read_key_set(file), "complaint:1", "note", body) is None
    file.write_text(file.read_text().replace(until.isoformat(), "2026-01-01T00:00:00Z"), "utf-8")
    refusal = _refusal(read_key_set(file), "complaint:1", "note", body)

    assert refusal is not None
    assert refusal.startswith(f"unsigned: proof: key = {body['proof']['key']!r} was for signatures before ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[sender]\n", "is no TOML"),
        ("[[sender]]\nid = 'gm-1'\nkey = 'x'\n", "sender.0.roles is missing"),
        ("[[sender]]\nid = 'gm-1'\nroles = []\nkey = 'x'\n", "sender.0.roles"),
        ("[[sender]]\nid = 'gm-1'\nroles = ['*']\nkey = 'x'\n", "must be 32 bytes of Ed25519 in base64"),
        ("[[sendre]]\nid = 'gm-1'\n", "sendre is not a known field; allowed: passkey, policies, sender, signed_since"),
        ("signed_since = 2026-01-01\n", "signed_since"),
        ("[[passkey]]\nid = 'gm-1'\norigin = 'example.com'\ncredential = 'x'\nkey = 'x'\n", "passkey.0.origin"),
    ],
)
def test_a_wrong_key_set_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "senders.toml"
    file.write_text(text, "utf-8")

    with pytest.raises(BadKeySet) as error:
        read_key_set(file)

    assert str(error.value).startswith(str(file))
    assert said in str(error.value)


def test_whoever_has_a_key_that_counts_no_more_does_not_file_as_of_before(keys: Keys, tmp_path: Path) -> None:
    """The attack: an intake has no lifetime, so one that a stolen key signs says that it was signed before."""
    file, until = tmp_path / "senders.toml", datetime.now(UTC) - timedelta(hours=1)
    file.write_text(entry(keys.server.keys(), ANY, [ANY]) + f"until = {until.isoformat()}\n", "utf-8")
    with signing_at(until - timedelta(seconds=1)):
        raw = keys.server.intake("complaint", {"key": "1", "by": FILER, "facts": {"category": "delay"}})
    intake = read_intake(KINDS["complaint"].INTAKE, raw)
    assert intake.proof is not None
    said = Said(of_intake("complaint:1", intake), intake.proof.model_dump(mode="json", exclude_none=True))

    with pytest.raises(Refused, match="was for signatures before"):
        check(said, read_key_set(file), datetime.now(UTC))
    # What was on its way when the key ended still counts.
    check(said, read_key_set(file), until + timedelta(minutes=5))
