"""What the API and the console do for a caller: find a case, file one, send a command, look at whom it is about.

Everything here asks `starter.access` first. A case out of a caller's reach is answered as one that
does not exist, so that nobody learns of it by asking.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import structlog
from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError

from activities.access.access_log import MESSAGE, SEARCH
from activities.access.idempotency import Answer
from activities.audit.keys import BadKeys, Keys, read_keys
from activities.audit.make import Checkpoints, Untrue
from activities.audit.prove import prove
from activities.casebook.filter import Filter
from activities.casebook.paging import Page
from activities.casebook.search import Order
from activities.database.errors import DatabaseAway, StatementFailed
from activities.payouts.payees import PayeeDetails
from activities.people.swap import Swaps
from activities.senders.statement import UNSIGNED
from cases.case import Case
from cases.kinds.form import Form
from cases.policy.model import Policy
from cases.registry import KINDS, kind_named, kind_of
from cases.vocabulary.commands import Command, read_command
from cases.vocabulary.contract import PASSING, UnreadablePayload
from cases.vocabulary.events import EVENTS, Event, canonical, without_texts
from cases.vocabulary.refusals import Refused, shown
from cases.vocabulary.values import CASE_NUMBER
from starter.access import (
    Caller,
    Scope,
    answer_of,
    customers_of,
    filed_kinds,
    may_change,
    may_file,
    may_read_looks,
    may_read_personal,
    may_read_texts,
    may_see,
    may_send,
    may_verify,
    own,
    reader,
    scope_of,
    sees,
)
from starter.api import schemas
from starter.api.services import Services
from starter.client import DEFAULT_POLICY
from starter.filing import check_roster, named_filer

log = structlog.get_logger(__name__)
# Seconds to wait for a worker's answer.
PATIENCE = 10
# Seconds between looks whether a case that was filed a moment ago is recorded.
RECORDED = (0.05, 0.1, 0.2, 0.4, 0.8)

Json = dict[str, Any]


class NoAnswer(Exception):
    """No worker answered in time or in clear, or Temporal is away; the request may still be carried out."""


@asynccontextmanager
async def patiently(seconds: float = PATIENCE) -> AsyncIterator[None]:
    """Wait for an answer of Temporal or a worker.

    Raises:
        NoAnswer: there was none.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise NoAnswer(f"no worker answered within {seconds:g} s") from None
    except UnreadablePayload as error:
        raise NoAnswer(str(error)) from None
    except RPCError as error:
        raise NoAnswer(f"the Temporal server does not do it ({error.status.name})") from None
    except RuntimeError as error:
        # What a client that was never connected says of a server that is away.
        if "connect" not in str(error).lower():
            raise
        raise NoAnswer("the Temporal server does not answer") from None


# --- reading --------------------------------------------------------------------------------------


async def find(services: Services, caller: Caller, case_id: str, scope: Scope = "read") -> Json:
    """Return the view of a case that the caller sees, from the casebook; what is not there yet, from the case.

    Raises:
        Refused: ``not_found``, also for a case out of reach; ``scope``.
        NoAnswer: only the case itself could say.
    """
    check_scope(caller, scope)
    view = await view_of(services, case_id)
    customer = None if customers_of(caller) is None else await _customer_of(services, case_id)
    if not may_see(caller, view, customer):
        raise _missing()
    return view


async def search(
    services: Services,
    caller: Caller,
    filter: Filter,
    *,
    order: Order = "due",
    limit: int = 50,
    after: str | None = None,
    counted: bool = False,
) -> Page:
    """Return one page of the cases that a caller sees. Where customers' words found any, the look is recorded with it.

    Raises:
        Refused: ``invalid``.
    """
    units, kinds = sees(caller)
    page = await services.search.page(
        filter, units=units, kinds=kinds, customers=customers_of(caller), own=own(caller), reader=reader(caller),
        order=order, limit=limit, after=after, counted=counted,
    )  # fmt: skip
    if page.personal:
        await services.access_log.searched(caller.id, caller.role)
    return page


def _missing() -> Refused:
    return Refused("not_found", "there is no such case")


async def view_of(services: Services, case_id: str) -> Json:
    """Return the view of a case, whoever asks; raises as `find`."""
    kind, colon, key = case_id.partition(":")
    if kind_named(kind) is None or not colon or not key:
        raise _missing()
    if len(case_id) > 200 or not case_id.isascii() or "\0" in case_id:
        raise _missing()
    view = await services.casebook.case(case_id)
    if view is None:
        # Filed a moment ago, or the casebook was away since.
        try:
            async with patiently():
                view = await services.cases.case(case_id)
        except Refused as refusal:
            raise (refusal if refusal.code in PASSING else _missing()) from None
    if "rung" not in view:
        raise _missing()
    return view


async def _customer_of(services: Services, case_id: str) -> str | None:
    """Return the customer's reference, for which a case that was filed a moment ago is waited for."""
    for pause in RECORDED:
        known, customer = await services.casebook.customer(case_id)
        if known:
            return customer
        await asyncio.sleep(pause)
    return None


def check_scope(caller: Caller, scope: Scope) -> None:
    """Refuse a system whose key is not for this."""
    if caller.kind == "system" and scope not in caller.scopes:
        raise Refused("scope", f"this key is not for {scope!r}; its scopes: {', '.join(sorted(caller.scopes))}")


async def events(services: Services, caller: Caller, view: Mapping[str, Any]) -> list[Json]:
    """Return the events of a case that was found: from the ledger, or from the case while that has none yet.

    They are without what people wrote freely where the caller may not read it.

    Raises:
        NoAnswer: only the case itself could say.
    """
    recorded = await services.casebook.events(view["id"])
    if not recorded:
        async with patiently():
            recorded = await services.cases.timeline(view["id"])
    if may_read_texts(caller, view):
        return recorded
    # Of what this build does not know, nobody can say where the texts are.
    return [without_texts(event) if event["type"] in EVENTS else {**event, "data": {}} for event in recorded]


async def explain(services: Services, caller: Caller, view: Mapping[str, Any]) -> list[Json]:
    """Why each clock of a case is due when it is, worked out from its events: no workflow is asked.

    Raises:
        NoAnswer: see `events`.
    """
    case = await replayed(services, caller, view)
    return case.explain(now_in(case))


async def personal(services: Services, caller: Caller, case_id: str, sitting: bytes | None = None) -> Json:
    """Return the personal facts of a case, masked unless the caller handles it. The look is recorded with it.

    Args:
        sitting: a session for which the look holds, in which it is recorded once; see `personal_again`.

    Raises:
        Refused: ``not_found``.
    """
    view = await find(services, caller, case_id)
    masked = not may_read_personal(caller, view)
    facts, erased = await services.access_log.look(case_id, caller.id, caller.role, masked=masked, sitting=sitting)
    return {"masked": masked, "erased": erased, "facts": mask(facts) if masked else facts}


async def linked(services: Services, caller: Caller, case_id: str) -> list[Json]:
    """Return the views of the cases that a case is linked with, from either side, as far as the caller sees them.

    Raises:
        Refused: ``not_found``, ``scope``.
        NoAnswer: see `find`.
    """
    await find(services, caller, case_id)
    units, kinds = sees(caller)
    found = await services.search.linked(case_id, units=units, kinds=kinds)
    if (customers := customers_of(caller)) is None:
        return found
    return [view for view in found if (await services.casebook.customer(view["id"]))[1] in customers]


async def personal_again(
    services: Services, caller: Caller, view: Mapping[str, Any], sitting: bytes
) -> dict[str, Any] | None:
    """Return the personal facts of a case that was found, if the caller has looked at them in this sitting; else None.

    Who handled the case and does no more has not looked at what they may see now, and the other way round.
    """
    masked = not may_read_personal(caller, view)
    seen = await services.access_log.again(view["id"], caller.id, masked=masked, sitting=sitting)
    if seen is None:
        return None
    return dict(mask(seen[0])) if masked else seen[0]


async def looks(services: Services, caller: Caller, case_id: str) -> list[Json]:
    """Who looked at the personal facts of a case, the last first.

    Raises:
        Refused: ``role``, ``not_found``.
    """
    await find(services, caller, case_id)
    _check_overseer(caller)
    return await services.access_log.looks(case_id)


async def searches(services: Services, caller: Caller, message: int | None = None) -> list[Json]:
    """Who found cases by what customers said, or looked at who wrote a message, the last first, at most 1000.

    Raises:
        Refused: ``scope``, ``role``.
    """
    check_scope(caller, "read")
    _check_overseer(caller)
    return await services.access_log.looks(SEARCH if message is None else MESSAGE.format(message))


def _check_overseer(caller: Caller) -> None:
    if not may_read_looks(caller):
        raise Refused("role", f"role {caller.role!r} may not read who looked; QA, the general manager and auditors may")


async def proof(services: Services, caller: Caller, case_id: str) -> str:
    """Return the proof of a case, which a stranger checks offline; see `activities.audit.prove.prove`.

    Raises:
        Refused: ``role``, ``not_found``; ``no_checkpoint``: none has the case yet; ``untrue``: it is not as
            it was signed.
    """
    await find(services, caller, case_id)
    keys = _verifying(services, caller)
    try:
        return await prove(services.database, keys, case_id)
    except Untrue as error:
        raise _untrue(error) from None


async def checkpoint(services: Services, caller: Caller) -> str:
    """Return the newest checkpoint as it is handed out.

    Raises:
        Refused: ``role``, ``scope``; ``no_checkpoint``: there is none yet; ``untrue``: nobody who is trusted has
            signed it.
    """
    check_scope(caller, "read")
    keys = _verifying(services, caller)
    try:
        text = await Checkpoints(services.database, keys).newest()
    except Untrue as error:
        raise _untrue(error) from None
    if not text:
        raise Refused("no_checkpoint", "there is no checkpoint yet")
    return text


def _verifying(services: Services, caller: Caller) -> Keys:
    """Return the keys of checkpoints for a caller who may verify. They are read each time, since they may change."""
    if not may_verify(caller):
        raise Refused("role", f"role {caller.role!r} may not verify; QA, the general manager and auditors may")
    try:
        return read_keys(services.settings.key_file)
    except BadKeys:
        raise Refused(
            "no_checkpoint", "CASELADDER_CHECKPOINT_KEY: this server has no key that checks checkpoints"
        ) from None


def _untrue(error: Untrue) -> Refused:
    log.error("record_untrue", reason=str(error))
    return Refused("untrue", f"nothing is proved: {error}")


def mask(value: Any) -> Any:
    """Personal facts as those see them who do not handle the case: that they are there, and how they begin."""
    if isinstance(value, Mapping):
        return {name: mask(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [mask(inner) for inner in value]
    return f"{value[0]}***" if isinstance(value, str) and 1 < len(value) <= 40 else "***"


# --- writing --------------------------------------------------------------------------------------


async def file(
    services: Services,
    caller: Caller,
    kind: str,
    intake: Mapping[str, Any],
    idempotency_key: str | None = None,
    *,
    strict: bool = False,
) -> Json:
    """File a case, or find the one that was filed under the same key with the same content.

    Args:
        strict: hold the body against the published schema, so that "1" is no number and 1 no truth.

    Raises:
        Refused: what the rules say; ``scope``, ``read_only``, ``unit``, ``other_customer``, ``not_found`` (a parent out
            of a customer's reach), ``role`` or ``not_you`` (a form in the name of somebody else) for who may not file
            it; ``unknown_kind``, ``swapped_shift``, ``busy``.
        NoAnswer: it may be filed all the same; filing it again is harmless.
    """
    check_scope(caller, "file")
    case = await _kind_filed(services, caller, kind, intake)
    _check_file(caller, case, _fact(intake, "unit"), _fact(intake, "customer", "ref"))
    if customers_of(caller) is not None and isinstance(parent := intake.get("parent"), str):
        # Who speaks for a customer ties nothing to the case of another one.
        await find(services, caller, parent, "file")
    filed = intake
    if issubclass(case, Form):
        filed = await _in_own_name(services, caller, intake)
    if strict:
        schemas.check(case.INTAKE, filed, "intake")
    whole = _signed(caller, filed)

    async def do() -> Json:
        if issubclass(case, Form):
            await check_roster(Swaps(services.database), case, whole)
        async with patiently():
            return await _told(services, caller, await services.cases.file(kind, whole))

    with services.writes.among(f"{kind}:{intake.get('key')}"):
        return await once(services, caller, idempotency_key, ("file", kind, dict(intake)), do)


async def _told(services: Services, caller: Caller, view: Json) -> Json:
    """Return what a caller is told; who may not read could not ask for the number, which is given as it is recorded."""
    answer = answer_of(caller, view)
    if answer == view or answer["number"] is not None:
        return answer
    with suppress(DatabaseAway, StatementFailed):
        for pause in RECORDED:
            if (recorded := await services.casebook.case(view["id"])) is not None:
                return {**answer, "number": recorded["number"]}
            await asyncio.sleep(pause)
    return answer


def _fact(intake: Mapping[str, Any], *path: str) -> str | None:
    """Return a text among the facts of an intake that was not checked yet; None where there is none."""
    value = intake.get("facts")
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None


async def _kind_filed(services: Services, caller: Caller, name: str, intake: Mapping[str, Any]) -> type[Case]:
    """Return the kind of what is filed: of a form as the policy declares it that the intake names.

    Raises:
        Refused: ``unknown_kind``, ``unknown_policy``, ``bad_policy``; ``read_only`` before all of them.
    """
    if not may_change(caller):
        raise Refused("read_only", f"role {caller.role!r} reads and changes nothing")
    known, policy = KINDS.get(name), intake.get("policy", DEFAULT_POLICY)
    if known is not None and known.FILED:
        return known
    if known is None and kind_named(name) is not None:
        # What is no name of a policy the form's schema refuses.
        found = await services.policies.in_force(policy if isinstance(policy, str) else DEFAULT_POLICY)
        if name in found.form or name in services.forms:
            return kind_of(name, found)
    raise Refused("unknown_kind", f"kind = {shown(name)}: allowed: {', '.join(filed_kinds(services.forms))}")


async def _in_own_name(services: Services, caller: Caller, intake: Mapping[str, Any]) -> Json:
    """Return the intake of a form with who files it: people themselves, and whomever a system names.

    Raises:
        Refused: ``not_you``: a person names somebody else; ``unknown_person``, ``invalid``: a system names nobody of
            the staff, or in another role than theirs.
    """
    facts = intake.get("facts")
    if not isinstance(facts, Mapping):
        return dict(intake)
    mine, named = {"id": caller.id, "role": caller.role}, facts.get("filed_by")
    if caller.kind == "person":
        if "filed_by" in facts and named != mine:
            raise Refused(
                "not_you",
                f"facts.filed_by: who files it is who sends it, here {caller.id} as {caller.role}; leave it out",
            )
        return {**intake, "facts": {**facts, "filed_by": mine}}
    if isinstance(named, Mapping) and isinstance(named.get("id"), str):
        filer = named_filer(await services.directory.now(), named["id"], named.get("role"))
        given = {name: value for name, value in named.items() if name != "person"}
        return {**intake, "facts": {**facts, "filed_by": {**given, **filer}}}
    return dict(intake)


def _check_file(caller: Caller, kind: type[Case], unit: str | None, customer: str | None) -> None:
    if may_file(caller, kind, unit, customer):
        return
    customers = customers_of(caller)
    if customers is not None and customer not in customers:
        raise Refused(
            "other_customer", "facts.customer.ref: this key files only for the customers that it was made for"
        )
    if may_file(caller, kind, unit, customer, somewhere=True) and caller.units is not None:
        allowed = ", ".join(sorted(filter(None, caller.units))) or "none: leave it out"
        raise Refused("unit", f"facts.unit = {shown(unit)}: this caller files for: {allowed}")
    raise Refused("role", f"role {caller.role!r} files no {kind.KIND}")


async def command(
    services: Services,
    caller: Caller,
    case_id: str,
    name: str,
    body: Mapping[str, Any],
    request_id: str | None = None,
    *,
    strict: bool = False,
) -> Json:
    """Send a command as the caller, whoever the body says it is by.

    Args:
        body: the command's fields. A ``by`` in it must be the caller.
        request_id: makes a repeat harmless: the case answers it again, and the answer is kept.
        strict: as for `file`.

    Returns:
        The case view after it; of a key that may not read, see `starter.access.answer_of`.

    Raises:
        Refused: what the rules say; ``not_found``, ``scope``, ``read_only``, ``not_you``; ``closed``, ``busy`` or
            ``workflow_missing`` where the case takes nothing.
        NoAnswer: it may be carried out all the same; with a request id it can be repeated.
    """
    with services.writes.among(case_id):
        return await _command(services, caller, case_id, name, body, request_id, strict)


async def _command(
    services: Services,
    caller: Caller,
    case_id: str,
    name: str,
    body: Mapping[str, Any],
    request_id: str | None,
    strict: bool,
) -> Json:
    view = await find(services, caller, case_id, scope_of(name))
    if not may_change(caller):
        raise Refused("read_only", f"role {caller.role!r} reads and changes nothing")
    kind = await kind_of_case(services, view)
    known = kind.offered_commands()
    if name not in known:
        raise Refused("unknown_command", f"command = {shown(name)}: this case takes {', '.join(sorted(known))}")
    if not may_send(caller, name):
        raise Refused("role", f"{name}: only administration sends it: `caseladder calendar load`")
    given, others = await _naming(services, caller, view, known[name], body)
    whole = _signed(caller, given)
    if request_id is not None and whole.get("request_id") is None:
        # Keys are each caller's own; the case has one memory for all of them.
        whole["request_id"] = hashlib.sha256(f"{caller.kind}\n{caller.id}\n{request_id}".encode()).hexdigest()

    if strict:
        schemas.check(known[name], given, name)
    read_command(known, name, whole)
    for other in others:
        kind.refuse_known(name, view, other)

    async def do() -> Json:
        async with patiently():
            return await _told(services, caller, await services.cases.command(case_id, name, whole))

    return await once(services, caller, request_id, ("command", case_id, name, dict(body)), do)


async def _naming(
    services: Services, caller: Caller, view: Json, model: type[Command], body: Mapping[str, Any]
) -> tuple[Json, list[Json]]:
    """Return a command with the ids of the cases that it names, which people may give by number, and their views.

    Raises:
        Refused: ``not_found``, also for a case out of reach; ``ambiguous``: several kinds have that number.
        NoAnswer: see `find`.
    """
    given, others = dict(body), list[Json]()
    for field, mark in model.named().items():
        value = given.get(field)
        # What is linked already needs no look; what is no id at all the schema refuses.
        if not isinstance(value, str) or value in view.get("links", ()):
            continue
        if (typed := CASE_NUMBER.fullmatch(value)) is not None:
            wanted = view["kind"] if mark.same_kind else typed[1]
            other = await _numbered(services, caller, field, typed[2], wanted, scope_of(model.NAME))
        elif ":" in value:
            other = await find(services, caller, value, scope_of(model.NAME))
        else:
            continue
        given[field] = other["id"]
        others.append(other)
    return given, others


async def named(services: Services, caller: Caller, field: str, value: str) -> Json:
    """Return the view of a case that people name by its id or its number, and that the caller sees and may command.

    Raises:
        Refused: ``not_found``, also for a case out of reach; ``ambiguous``: several kinds have that number.
        NoAnswer: see `find`.
    """
    if (typed := CASE_NUMBER.fullmatch(value)) is not None:
        return await _numbered(services, caller, field, typed[2], typed[1], "command")
    return await find(services, caller, value, "command")


async def _numbered(
    services: Services, caller: Caller, field: str, number: str, kind: str | None, scope: Scope
) -> Json:
    """Return the view of the case of a number that the caller sees; of a kind, where that is said."""
    found: list[Json] = []
    for view in await services.casebook.by_number(number, kind):
        with suppress(Refused):
            found.append(await find(services, caller, view["id"], scope))
    if len(found) > 1:
        named = ", ".join(f"{one['kind']} {number}" for one in found)
        raise Refused("ambiguous", f"{field} = {number!r} is the number of several cases; say which: {named}")
    if not found:
        raise _missing()
    return found[0]


async def add_payee(services: Services, caller: Caller, case_id: str, body: Mapping[str, Any]) -> str:
    """Keep whom a case may pay, and return the token that stands for them.

    Raises:
        Refused: ``not_found``, ``scope``, ``read_only``, ``malformed``; what the case says to `name_payee` now.
    """
    view = await find(services, caller, case_id, "command")
    if not may_change(caller):
        raise Refused("read_only", f"role {caller.role!r} reads and changes nothing")
    schemas.check(PayeeDetails, body, "payee")
    case = await replayed(services, caller, view)
    case.elapse(now_in(case), inclusive=False)
    refusal = case.allowed(caller.actor(), now_in(case)).get("name_payee", _NO_PAYEE)
    if refusal is not None:
        raise refusal
    return await services.payees.add(case_id, PayeeDetails.model_validate(body))


_NO_PAYEE = Refused("unknown_command", "name_payee: this case pays nobody")


def _signed(caller: Caller, body: Mapping[str, Any]) -> Json:
    """Return what is sent with who sends it.

    Raises:
        Refused: ``not_you``: the body says that it is by somebody else.
    """
    by = caller.actor().as_json()
    given = body.get("by", by)
    if given not in (by, {"id": caller.id, "role": caller.role}):
        raise Refused(
            "not_you", f"by: what is sent is by who sends it, here {caller.id} as {caller.role}; leave it out"
        )
    return {**body, "by": by}


async def once(
    services: Services, caller: Caller, key: str | None, request: tuple[Any, ...], do: Callable[[], Awaitable[Json]]
) -> Json:
    """Do something once under a caller's key; asked again, answer as the first time.

    One that died under way is done again: what it does is itself harmless to repeat. So is one that was refused
    for a reason that passes.

    Raises:
        Refused: as the first time; ``idempotency_key_reused`` for another request.
    """
    if key is None:
        return await do()
    who = f"{caller.kind}:{caller.id}"
    digest = hashlib.sha256(canonical({"request": list(request)}).encode("utf-8", "surrogatepass")).digest()
    earlier = await services.idempotency.begin(who, key, digest)
    if earlier is not None:
        answer: Json = json.loads(earlier.body)
        if "refused" in answer:
            raise Refused(**answer["refused"])
        return dict(answer["view"])
    try:
        view = await do()
    except Refused as refusal:
        # Whose key is not known yet may be known a moment later.
        if refusal.code in PASSING or refusal.code == UNSIGNED:
            raise
        await services.idempotency.end(who, key, Answer(409, json.dumps({"refused": refusal.as_json()})))
        raise
    await services.idempotency.end(who, key, Answer(200, json.dumps({"view": view}, ensure_ascii=False)))
    return view


# --- what somebody may do now ---------------------------------------------------------------------


async def policy_of(services: Services, view: Mapping[str, Any]) -> Policy:
    """Return the policy that a case is pinned to."""
    document = await services.casebook.policy_document(view["policy_hash"])
    return services.policies.load(view["policy"]) if document is None else _policy(document)


# Reading a document takes long in proportion to a page, and most cases have the same few.
@lru_cache(maxsize=32)
def _policy(document: str) -> Policy:
    return Policy.from_document(document)


async def kind_of_case(services: Services, view: Mapping[str, Any]) -> type[Case]:
    """Return the kind of a case: of a form as the policy declares it that the case is pinned to."""
    return KINDS.get(view["kind"]) or kind_of(view["kind"], await policy_of(services, view))


async def replayed(services: Services, caller: Caller, view: Mapping[str, Any]) -> Case:
    """Return the case behind a view, made from its events as the caller may read them.

    A change to it changes nothing but itself.

    Raises:
        NoAnswer: see `events`.
    """
    recorded = await events(services, caller, view)
    kind = await kind_of_case(services, view)
    return kind.replay(await policy_of(services, view), map(Event.from_json, recorded))


def now_in(case: Case) -> datetime:
    """Return the present instant for a case: between two events only time passes, and it never runs backwards."""
    return max(datetime.now(UTC), case.events[-1].at)


def allowed_to(caller: Caller, case: Case) -> list[str]:
    """Name the commands that this caller may give now: what the case itself allows, and their access.

    Time runs on in the case that is given.
    """
    now = now_in(case)
    case.elapse(now, inclusive=False)
    allowed = case.allowed(caller.actor(), now)
    return [name for name, refusal in allowed.items() if refusal is None and may_send(caller, name)]
