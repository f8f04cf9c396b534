"""What senders proved, held against the events that it led to. Pure.

The signature says who sent what. That it led to these events is found by doing it again: the case as it was before is
given the command, by the rules of its time, and has to answer with the events that are recorded. So neither an amount
nor a deadline that a person signed can be another one in the ledger. An amount that the policy wants confirmed with a
passkey is approved only by whoever has that passkey, whatever else is signed or not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from activities.casebook.ledger import Fault
from activities.casebook.texts import COMMITMENT, PERSONAL, commitments
from activities.senders.check import AHEAD, verify
from activities.senders.key_set import KeySet
from activities.senders.statement import FILE, Said, said_again, signed_bytes
from cases import rules
from cases.case import Case
from cases.kinds.claim_dates import BACKDATING
from cases.kinds.form_fields import FormIntake
from cases.mechanisms.approvals import ApprovalRequested, Approved
from cases.mechanisms.payment import Paid, PayoutRequested
from cases.mechanisms.replies import ReplySending
from cases.policy.model import Policy
from cases.registry import kind_of
from cases.vocabulary.commands import Approve, read_command
from cases.vocabulary.events import EVENTS, SYSTEM, Event, texts_of
from cases.vocabulary.facts import read_intake
from cases.vocabulary.lifecycle import CommandRefused, Erased, Promised, Replied
from cases.vocabulary.proof import Proof
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import is_reference, put

Json = dict[str, Any]


@dataclass(frozen=True)
class _Proven:
    """What was proved of the events from ``first`` to ``last``.

    Args:
        rules: the number that they came about by, which nobody signs.
    """

    first: int
    last: int
    said: Said
    rules: int

    def proof(self) -> Proof:
        """Return the proof itself."""
        return Proof.model_validate(self.said.proof)


def unproven(
    case_id: str,
    raws: Sequence[Json],
    events: Sequence[Event],
    rows: Sequence[Sequence[Any]],
    policy: Policy,
    keys: KeySet,
) -> Iterator[Fault]:
    """Find what was not sent by whom the events of a case name.

    Args:
        raws: the bodies of the events.
        events: the same without their texts.
        rows: first seq, last seq and body of each proof, in order.
        policy: that the case is pinned to.
        keys: who may sign for whom, and from when on everything has to be signed.
    """

    def wrong(detail: str, seq: int) -> Fault:
        return Fault(case_id, seq, "changed", detail)

    opened = raws[0]["data"]
    if f"{opened['kind']}:{opened['key']}" != case_id:
        yield wrong(f"it says that it is {opened['kind']}:{opened['key']}", 1)
    if keys.policies is not None and policy.hash not in keys.policies:
        yield wrong(f"it is pinned to the policy {policy.hash}, which is not among those of the key set", 1)
    proofs: list[_Proven] = []
    taken: set[bytes] = set()
    for first, last, body in rows:
        try:
            raw = json.loads(body)
            proven = _Proven(first, last, said_again(case_id, raw), raw["rules"])
            # Somebody files at the time at which the case was received; a command may wait for a worker.
            filed = _recorded_at(raws[0]) if proven.said.statement.command == FILE else None
            verify(proven.said.statement, proven.proof(), keys, filed)
            message = signed_bytes(proven.said.statement, proven.proof())
        except Refused as refusal:
            yield wrong(f"who sent it is not proven: {refusal.message}", last)
        except (ValueError, TypeError, KeyError) as error:
            yield wrong(f"what proves who sent it is no proof ({type(error).__name__})", last)
        else:
            if not (proofs[-1].last if proofs else 0) < first <= last <= len(events):
                yield wrong("what proves who sent it is of other events", last)
            elif _is_refusal(raws, proven):
                # A signal is refused as often as it comes, and it changes nothing.
                if raws[last - 1]["data"]["command"] != proven.said.statement.command:
                    yield wrong("what proves who sent it is of another command", last)
                else:
                    proofs.append(proven)
            elif message in taken:
                yield wrong("what proves who sent it was sent once, and is taken a second time", last)
            else:
                taken.add(message)
                proofs.append(proven)
                if _recorded_at(raws[first - 1]) < proven.proof().at - AHEAD:
                    yield wrong("it is recorded as of before it was signed", first)
    signed = {seq for one in proofs for seq in range(one.first, one.last + 1)}
    asked_for = _asked_for(raws, keys.signed_since)
    yield from _unsigned(case_id, raws, proofs, asked_for)
    yield from _unasked(case_id, raws, signed, asked_for)
    yield from _unconfirmed(case_id, raws, proofs, policy)
    yield from _differing(raws, events, proofs, policy, wrong)


def _is_refusal(raws: Sequence[Json], one: _Proven) -> bool:
    # One with a reason is a violation that a command leads to.
    last = raws[one.last - 1]
    return one.first == one.last and last["type"] == CommandRefused.TYPE and "reason" not in last["data"]


def _recorded_at(raw: Json) -> datetime:
    return datetime.fromisoformat(raw["recorded_at"])


def _asked_for(raws: Sequence[Json], since: datetime | None) -> set[int]:
    """Return which events have to be proven: what follows one of that time is of that time, whatever it says."""
    late = next((raw["seq"] for raw in raws if since is not None and _recorded_at(raw) >= since), None)
    return set() if late is None else set(range(late, len(raws) + 1))


def _unsigned(case_id: str, raws: Sequence[Json], proofs: Sequence[_Proven], asked_for: set[int]) -> Iterator[Fault]:
    """Find events that somebody has to have sent, and of whom nothing proves it."""
    proven: dict[int, Json] = {}
    for one in proofs:
        proven.update(dict.fromkeys(range(one.first, one.last + 1), one.said.statement.by))
    for raw in raws:
        seq, actor = raw["seq"], raw["actor"]
        # What the case does by itself is by nobody; that it was filed is always by somebody.
        if actor == SYSTEM.as_json() and (seq > 1 or seq in proven):
            continue
        # An erasure is decided in a book of its own, by two people whom no key signs for; it decides no money.
        if raw["type"] == Erased.TYPE:
            continue
        if seq in proven and actor != proven[seq]:
            yield Fault(case_id, seq, "changed", f"it is by {actor['id']}, and {proven[seq]['id']} has proven it")
        elif seq not in proven and seq in asked_for and not _asks_for_the_filer(raw, raws[0]):
            yield Fault(case_id, seq, "inserted", f"nothing proves that {actor['id']} as {actor['role']} sent it")


def _asks_for_the_filer(raw: Json, first: Json) -> bool:
    """Whether an event is the one question that a claim asks by itself in the name of whoever filed it."""
    question = (ApprovalRequested.TYPE, BACKDATING, None, first["actor"])
    return (raw["type"], raw["data"].get("subject"), raw["data"].get("amount"), raw["actor"]) == question


def _unasked(case_id: str, raws: Sequence[Json], signed: set[int], asked_for: set[int]) -> Iterator[Fault]:
    """Find what no case does by itself, and amounts that are other ones than somebody has sent before."""
    asked: dict[tuple[str, str | None], tuple[str | None, str | None]] = {}
    for raw in raws:
        seq, type_, data = raw["seq"], raw["type"], raw["data"]
        what = (type_, data.get("subject"))
        money = (data["amount"], data.get("payee")) if "amount" in data else None
        by_itself = raw["actor"] == SYSTEM.as_json() and seq in asked_for - signed
        if by_itself and EVENTS[type_].BY_COMMAND and not _has_gone_out(raw, raws):
            yield Fault(case_id, seq, "inserted", f"no case does {type_} by itself, and nobody has signed it")
        elif by_itself and money is not None:
            # What was paid is what was asked for; everything else is asked for again as it was.
            known = asked.get((PayoutRequested.TYPE, None) if type_ == Paid.TYPE else what)
            if known is None or money[0] != known[0] or (type_ != Paid.TYPE and money[1] != known[1]):
                yield Fault(case_id, seq, "inserted", "it is about other money than what was signed before")
        elif money is not None:
            asked[what] = money


def _has_gone_out(raw: Json, raws: Sequence[Json]) -> bool:
    """Whether an event says, for the first time, what came of a reply that somebody had sent: as it was asked for."""
    data, of = raw["data"], raw["data"].get("of")
    if raw["type"] not in (Replied.TYPE, Promised.TYPE) or not isinstance(of, int) or not 0 < of < raw["seq"]:
        return False
    asked, before = raws[of - 1], raws[of : raw["seq"] - 1]
    if any(one["type"] == raw["type"] and one["data"].get("of") == of for one in before):
        return False
    said = {name: value for name, value in data.items() if name != "of"}
    return bool(asked["type"] == ReplySending.TYPE and said.items() <= asked["data"].items())


def _unconfirmed(case_id: str, raws: Sequence[Json], proofs: Sequence[_Proven], policy: Policy) -> Iterator[Fault]:
    """Find approvals that somebody has to have confirmed with a passkey, and did not."""
    if policy.approvals is None:
        return
    least = policy.approvals.passkey_from
    asked: dict[str, str | None] = {}
    # What is confirmed once is one approval, however often it is said.
    confirmed: dict[str | None, _Proven] = {}
    for one in proofs:
        if one.said.proof.get("passkey") and one.said.statement.command == Approve.NAME:
            confirmed.setdefault(one.said.statement.request_id, one)
    for raw in raws:
        seq, data = raw["seq"], raw["data"]
        if raw["type"] == ApprovalRequested.TYPE:
            asked[data["subject"]] = data["amount"]
        if raw["type"] != Approved.TYPE:
            continue
        # The case goes by what was asked, its readers by what stands in the event.
        amounts = {Decimal(each) for each in (asked.get(data["subject"]), data["amount"]) if each is not None}
        if not any(amount >= least for amount in amounts):
            continue
        found = next((one for one in confirmed.values() if one.first <= seq <= one.last), None)
        said = {} if found is None else json.loads(found.said.statement.content)
        meant = {Decimal(said["amount"])} if "amount" in said else None
        if found is None or amounts != meant or said.get("subject") not in (None, data["subject"]):
            yield Fault(case_id, seq, "inserted", f"nothing proves that {raw['actor']['id']} confirmed {max(amounts)}")
        else:
            del confirmed[found.said.statement.request_id]


def _differing(
    raws: Sequence[Json],
    events: Sequence[Event],
    proofs: Sequence[_Proven],
    policy: Policy,
    wrong: Callable[[str, int], Fault],
) -> Iterator[Fault]:
    """Do what was proved once more, and find the first events that are not those that it leads to."""
    if not proofs:
        return
    try:
        kind = kind_of(str(raws[0]["data"]["kind"]), policy)
    except Refused:
        return
    case, known = kind(policy), 0
    for one in proofs:
        if not rules.FIRST_PROVEN <= one.rules <= rules.RULES:
            # Nobody signs the number, and under one that nobody knows nothing would be done again.
            yield wrong(f"it is said to have come about by rules {one.rules}, which cannot be", one.last)
            return
        case.follow(events[known : one.first - 1])
        case.end_step()
        known = one.last
        recorded = events[one.first - 1 : one.last]
        if one.rules != rules.RULES or _is_refusal(raws, one):
            # Under other rules it led to what it led to then; and a repeat was refused for what it was refused for.
            case.follow(recorded)
            case.end_step()
            continue
        statement = one.said.statement
        content = json.loads(statement.content)
        try:
            case = _done(case, kind, one, content, policy, recorded[-1].recorded_at)
        except (Refused, ValueError, TypeError, KeyError, AssertionError) as error:
            why = f"is not possible there ({type(error).__name__})"
            yield wrong(f"{statement.command} as it was signed {why}", one.last)
            return
        texts = set(_commitments(content))
        personal = content.get(PERSONAL) if statement.command == FILE else None
        made = [_sealed(event, texts, personal) for event in case.events[one.first - 1 :]]
        for raw, again in zip(raws[one.first - 1 : one.last], made, strict=False):
            if raw != _with_own_texts(raw, again):
                yield wrong(f"it is not what {statement.command} as it was signed leads to", raw["seq"])
                return
        if len(made) != len(recorded):
            yield wrong(f"{statement.command} as it was signed leads to {len(made)} events, not {len(recorded)}", known)
            return


def _done(case: Case, kind: type[Case], one: _Proven, content: Json, policy: Policy, at: datetime) -> Case:
    """Return the case after what was proved was done again.

    Raises:
        Refused: it cannot be read, or no case comes of it.
    """
    statement = one.said.statement
    by = {"by": statement.by}
    if statement.command == FILE:
        known = _standing_in({name: value for name, value in content.items() if name != PERSONAL})
        if issubclass(kind.INTAKE, FormIntake):
            # Nothing goes by a personal field, so that any value stands for one that a form cannot be without.
            any_ = kind.EXAMPLE["facts"]["fields"]
            needed = {name: any_[name] for name in kind.INTAKE.PERSONAL_FIELDS if name in any_}
            known["facts"] = {**known["facts"], "fields": {**needed, **known["facts"]["fields"]}}
        return kind.open(read_intake(kind.INTAKE, {**known, **by}), policy, at)
    # A text is nothing to the rules, so its commitment stands for it.
    sent = {**_standing_in(content), **by, "request_id": statement.request_id, "proof": one.said.proof}
    command = read_command(kind.COMMANDS, statement.command, sent)
    try:
        case.decide(command, at)
    except Refused:
        # What it was refused for is on record, or what fell due before.
        if len(case.events) < one.first:
            raise
    case.end_step()
    return case


def _commitments(content: Any) -> Iterator[str]:
    if isinstance(content, dict) and {*content} == {COMMITMENT}:
        yield content[COMMITMENT]
    elif isinstance(content, dict | list):
        for inner in content.values() if isinstance(content, dict) else content:
            yield from _commitments(inner)


def _standing_in(content: Any) -> Any:
    """Return a content with each commitment in place of its text."""
    if isinstance(content, dict):
        if {*content} == {COMMITMENT}:
            return content[COMMITMENT]
        return {name: _standing_in(inner) for name, inner in content.items()}
    return [_standing_in(inner) for inner in content] if isinstance(content, list) else content


def _with_own_texts(raw: Json, again: Json) -> Json:
    """Return an event with the recorded commitments in place of what the rules themselves wrote as a text."""
    recorded = commitments(raw["data"])
    # A text that was said before is unknown here, so that only a reference to it comes of it.
    own = [path for path, text in texts_of(again).items() if isinstance(text, str) or is_reference(text)]
    said = {path: {COMMITMENT: recorded[path]} for path in own if path in recorded}
    return {**again, "data": put(again["data"], said)}


def _sealed(event: Event, texts: set[str], personal: Json | None) -> Json:
    """Return an event as it is recorded, where a commitment stands for each text."""
    raw = event.as_json()
    said = {path: {COMMITMENT: text} for path, text in texts_of(raw).items() if isinstance(text, str) and text in texts}
    raw["data"] = put(raw["data"], said)
    if event.seq == 1 and personal is not None:
        raw["data"][PERSONAL] = personal
    return raw
