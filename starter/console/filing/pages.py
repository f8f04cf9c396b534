"""Filing a case on the phone with the customer: the page, what it finds meanwhile, its draft, and sending."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from activities.casebook.related import Clues, Found
from activities.desk.drafts import Draft
from activities.replies.inbox import Letter
from cases.case import Case
from cases.registry import KINDS, kind_named
from cases.vocabulary.commands import Note
from cases.vocabulary.refusals import Refused
from starter.access import kinds_filed, may_file, sees
from starter.api import actions
from starter.api.actions import NoAnswer
from starter.console.filing.asked import PARENT, POLICY, Asked, asked, clues_of, facts_of, said
from starter.console.filing.faults import faults_in, refused_at
from starter.console.forms import Options
from starter.console.papers.paper import unit_of
from starter.console.session import Sealer
from starter.console.web import Look, Message, case_url, instant
from starter.messages import Messages

Json = dict[str, Any]
# The key of a case that was filed here begins with this, as the day of filing goes on.
KEY = "C"
# How long a draft is kept, and a page that somebody has open is taken.
LIFETIME = timedelta(days=7)
# The message of a customer that a case is filed from, among what a draft keeps; and the kind that is offered for it.
MESSAGE, FROM_MESSAGE = "message", "complaint"
# The command that links two cases, where a kind has it.
LINK = "link"
RECEIVED, REASON = "received_at", "received_reason"
# So many cases are shown beside the form.
SHOWN = 20
# Of a phone that is being typed the beginning says nothing.
_WHOLE = 7
# Characters of one note.
_LONGEST = 4000
# What the page sends besides what was typed.
_NOT_TYPED = frozenset({"csrf", "opening", "do", "add", "link", "seen", MESSAGE})


@dataclass(frozen=True)
class Opening:
    """When the form was opened, and the key of the case that comes of it: made once, by the console.

    Args:
        message: of a customer that the form was begun from, which is settled once it is filed.
    """

    key: str
    at: datetime
    message: int | None = None

    _PURPOSE = "filing"

    @classmethod
    def new(cls, look: Look) -> Opening:
        """Return that of a form that opens now."""
        now = look.times.now.replace(microsecond=0)
        return cls(f"{KEY}-{now:%Y%m%d}-{secrets.token_hex(4)}", now)

    @classmethod
    def of(cls, draft: Draft) -> Opening:
        """Return that of a draft."""
        number = draft.typed.get(MESSAGE)
        return cls(draft.key, draft.began_at, int(number[0]) if number else None)

    @classmethod
    def read(cls, look: Look) -> Opening | None:
        """Return that of the page that was sent; None where it is nobody's, somebody else's or too old."""
        found = look.site.sealer.open(look.field("opening"), cls._PURPOSE, LIFETIME)
        if found is None or found["by"] != look.who.id:
            return None
        return cls(found["key"], datetime.fromisoformat(found["at"]), found.get(MESSAGE))

    def sealed(self, sealer: Sealer, by: str) -> str:
        """Return what the page carries, so that nobody chooses another key, instant or message."""
        told = {"key": self.key, "at": self.at.isoformat(), "by": by, MESSAGE: self.message}
        return sealer.seal(told, self._PURPOSE)


@dataclass(frozen=True)
class Near:
    """A case that may be the same matter.

    Args:
        why: the clues that lead to it.
        duplicate: of the same kind and open, so that another one may be too many.
        takes_note: whether what was typed may go there.
    """

    view: Json
    why: tuple[str, ...]
    duplicate: bool
    takes_note: bool


@dataclass(frozen=True)
class Sheet:
    """A form that somebody fills in: its kind, its fields, when it was opened, and what was typed."""

    kind: type[Case]
    asked: Asked
    opening: Opening
    typed: Mapping[str, Sequence[str]]

    def first(self, name: str) -> str:
        """Return the first value of a field."""
        return (self.typed.get(name) or [""])[0].strip()

    def draft(self) -> Draft:
        """Return what is kept of it."""
        # What no database takes, the model refuses when it is filed.
        texts = {name: [value.replace("\0", "") for value in values] for name, values in self.typed.items()}
        kept = {name: values for name, values in texts.items() if name not in _NOT_TYPED and any(values)}
        if self.opening.message is not None:
            kept[MESSAGE] = [str(self.opening.message)]
        return Draft(self.opening.key, self.kind.KIND, self.opening.at, kept)


async def new(look: Look) -> Response:
    """Go to the form of the first kind that somebody may file."""
    kinds = kinds_filed(look.who)
    if not kinds:
        raise HTTPException(403)
    return look.go(f"/console/new/{kinds[0]}")


async def file(look: Look) -> Response:
    """Show the form of a kind, and do what was sent from it."""
    kind = _kind(look)
    if look.request.method != "POST":
        return await _opened(look, kind)
    sheet = _sent(look, kind)
    if look.field("do") == "discard":
        await look.services.drafts.end(look.who.id, sheet.opening.key, kind.KIND, sheet.opening.at)
        return look.go(f"/console/new/{kind.KIND}")
    if look.field("do") == "check":
        near = await _kept(look, sheet)
        look.message = Message("note", look.say("new.kept"))
        return await _page(look, sheet, near)
    if (target := look.field("add")) is not None:
        return await _add(look, sheet, target)
    return await _file(look, sheet)


async def check(look: Look) -> Response:
    """Keep the draft, and show what else there is about the matter, as a fragment."""
    kind = _kind(look)
    if look.request.method != "POST":
        return look.go(f"/console/new/{kind.KIND}")
    sheet = _sent(look, kind)
    near = await _kept(look, sheet)
    response = look.page("new_found.html", fresh=True, near=near, **_offered(kind))
    # Whoever reloads the page comes back to the draft.
    response.headers["HX-Replace-Url"] = f"/console/new/{kind.KIND}?draft={sheet.opening.key}"
    return response


async def begun_from(look: Look, letter: Letter, parent: Json | None) -> str:
    """Begin a filing with what a customer has written, as of when it came, and return the address of its form.

    Args:
        parent: the closed case that it answers, if this person sees it.
    """
    kind = KINDS[FROM_MESSAGE]
    now, came_at = look.times.now, letter.came_at.replace(microsecond=0)
    typed = {
        "description": [letter.said],
        **{f"customer.{way}": [address] for way, address in letter.sender.items()},
        **({} if parent is None else {PARENT: [parent["id"]]}),
    }
    opening = Opening(f"{KEY}-{now:%Y%m%d}-{secrets.token_hex(4)}", came_at, letter.id)
    sheet = Sheet(kind, _asked(look, kind), opening, typed)
    await _kept(look, sheet)
    return f"/console/new/{kind.KIND}?draft={opening.key}"


# --- what the page is about -------------------------------------------------------------------------


def _kind(look: Look) -> type[Case]:
    """Return the kind that the address names. Raises HTTPException: 404 for none, 403 for who files none of it."""
    kind = KINDS.get(look.request.path_params["kind"])
    if kind is None or not kind.FILED:
        raise HTTPException(404)
    if kind.KIND not in kinds_filed(look.who):
        raise HTTPException(403)
    return kind


async def _opened(look: Look, kind: type[Case]) -> Response:
    """Show the form as it opens: empty, from a draft, or as it was sent when the session had run out."""
    back = look.draft()
    key = look.request.query_params.get("draft")
    draft = None if key is None else await look.services.drafts.one(look.who.id, key)
    if back is not None:
        look.fields = dict(back.fields)
        sheet = _sent(look, kind)
    elif draft is not None and draft.kind == kind.KIND:
        sheet = Sheet(kind, _asked(look, kind), Opening.of(draft), draft.typed)
    else:
        sheet = Sheet(kind, _asked(look, kind), Opening.new(look), {})
        if key is not None:
            look.message = Message("note", look.say("new.draft_gone"))
    near = await _near(look, sheet, log=False) if sheet.typed else []
    return await _page(look, sheet, near)


def _sent(look: Look, kind: type[Case]) -> Sheet:
    fields = _asked(look, kind)
    return Sheet(kind, fields, Opening.read(look) or Opening.new(look), dict(look.fields))


def _asked(look: Look, kind: type[Case]) -> Asked:
    units = [one.id for one in look.directory.units if may_file(look.who, kind, one.id)]
    policies = []
    for name in look.services.policies.names():
        # One that cannot be read is said so elsewhere.
        with suppress(Refused):
            if kind.KIND in look.services.policies.load(name).kinds:
                policies.append((name, name))
    choices: dict[str, Options] = {
        "unit": [(one, look.formatter.unit(one)) for one in units],
        "checklist.witnesses": [(role, look.words.word("role", role)) for role in look.policy.all_roles],
        POLICY: policies,
    }
    own = unit_of(look)
    offered = look.policy.choices.model_dump()
    return asked(kind, look.words, choices, offered, {"unit": own} if own in units and own is not None else {})


# --- what else there is -----------------------------------------------------------------------------


async def _kept(look: Look, sheet: Sheet) -> list[Near]:
    """Keep the draft, and return what else there is; a look by a number or an address is logged once for each typed."""
    clues = _clues(look, sheet)
    new_number = await look.services.drafts.save(look.who.id, sheet.draft(), clues.ref, clues.phone)
    return await _near(look, sheet, log=new_number)


def _clues(look: Look, sheet: Sheet) -> Clues:
    clues = clues_of(facts_of(sheet.asked.all, sheet.typed, look.times.zone))
    digits = sum(character.isdigit() for character in clues.phone or "")
    return clues if digits >= _WHOLE else replace(clues, phone=None)


async def _near(look: Look, sheet: Sheet, *, log: bool) -> list[Near]:
    units, kinds = sees(look.who)
    found = await look.services.related.find(
        _clues(look, sheet), units=units, kinds=kinds, caller=look.who.id, role=look.who.role, log=log, limit=SHOWN
    )
    return [_one(one, sheet) for one in found if one.view["id"] != f"{sheet.kind.KIND}:{sheet.opening.key}"]


def _one(found: Found, sheet: Sheet) -> Near:
    kind, is_open = kind_named(found.view["kind"]), found.view["status"] != "closed"
    takes = kind is not None and Note.NAME in kind.COMMANDS and is_open
    return Near(found.view, found.why, is_open and found.view["kind"] == sheet.kind.KIND, takes)


def _offered(kind: type[Case]) -> Json:
    return {"links": LINK in kind.COMMANDS}


# --- the page ---------------------------------------------------------------------------------------


async def _page(
    look: Look, sheet: Sheet, near: Sequence[Near], errors: Mapping[str, str] | None = None, *, status: int = 200
) -> Response:
    own, opening = sheet.kind.KIND, sheet.opening
    errors = errors or {}
    drafts = [draft for draft in await look.services.drafts.of(look.who.id) if draft.key != opening.key]
    begun = f"{look.policy.local(opening.at):%Y-%m-%dT%H:%M:%S}"
    more = {field.name for field in sheet.asked.more}
    return look.page(
        "new.html",
        status=status,
        page="new",
        kind=own,
        kinds=[name for name in kinds_filed(look.who) if name != own],
        asked=sheet.asked,
        typed=sheet.typed,
        errors=errors,
        first_fault=next((field for field in sheet.asked.all if field.name in errors), None),
        more_open=any(name in more for name in errors)
        or (opening.message is not None and any(sheet.first(name) for name in more)),
        message_id=opening.message,
        opening=opening.sealed(look.site.sealer, look.who.id),
        opened_at=opening.at.isoformat(),
        received=sheet.first(RECEIVED) or begun,
        moved=RECEIVED in errors or REASON in errors or sheet.first(RECEIVED) not in ("", begun),
        reason=sheet.first(REASON),
        near=near,
        fresh=False,
        drafts=[(draft, _about(draft), Opening.of(draft).sealed(look.site.sealer, look.who.id))
                for draft in drafts],
        **_offered(sheet.kind),
    )  # fmt: skip


def _about(draft: Draft) -> str:
    """Return what tells a draft from others: to whoever has typed it."""
    names = ("customer.name", "customer.phone", "shipment.waybill", "description", "question")
    texts = [(draft.typed.get(name) or [""])[0].strip() for name in names]
    return " · ".join(text[:40] for text in texts if text)


# --- sending ----------------------------------------------------------------------------------------


async def _add(look: Look, sheet: Sheet, case_id: str) -> Response:
    """Write what was typed as a note on a case that there is, and go there."""
    lines = said(sheet.asked.all, sheet.typed)
    if not lines:
        look.message = Message("bad", look.say("new.nothing_to_add"))
        return await _page(look, sheet, await _near(look, sheet, log=False), status=422)
    text = "\n".join(lines)

    async def note() -> Json:
        for place in range(0, len(text), _LONGEST):
            body = {"text": text[place : place + _LONGEST]}
            after = await _do(look, case_id, Note.NAME, body, f"{sheet.opening.key}-note-{place}")
        return after

    try:
        after = await _settling(look, sheet, "noted", note)
    except (Refused, NoAnswer) as error:
        return await _not_done(look, sheet, error)
    await look.services.drafts.end(look.who.id, sheet.opening.key, sheet.kind.KIND, sheet.opening.at)
    return look.go(case_url(case_id, done=Note.NAME, events=str(after["events"])))


async def _file(look: Look, sheet: Sheet) -> Response:
    received, errors = _received(look, sheet)
    intake = _intake(look, sheet, received)
    errors |= faults_in(sheet.kind.INTAKE, intake, sheet.asked.all, look.words)
    if errors:
        near = await _kept(look, sheet)
        look.message = Message("bad", look.say("paper.see_fields"))
        return await _page(look, sheet, near, errors, status=422)
    near = await _kept(look, sheet)
    target = look.field("link")
    unseen = [one for one in near if one.duplicate and one.view["id"] not in look.fields.get("seen", ())]
    if unseen and target is None:
        look.message = Message("note", look.say("new.look_first", count=len(unseen)))
        return await _page(look, sheet, near)
    try:
        view = await _settling(
            look, sheet, "filed", lambda: actions.file(look.services, look.who, sheet.kind.KIND, intake)
        )
    except (Refused, NoAnswer) as error:
        return await _not_done(look, sheet, error)
    await look.services.drafts.end(look.who.id, sheet.opening.key, sheet.kind.KIND, sheet.opening.at)
    return await _afterwards(look, sheet, view["id"], received, target)


async def _afterwards(look: Look, sheet: Sheet, case_id: str, received: datetime, target: str | None) -> Response:
    """Say why it was received at another time, and link it, where that was asked for; then go to the case."""
    then: dict[str, Json] = {}
    if received != sheet.opening.at:
        moments = {"opened": sheet.opening.at, "received": received}
        shown = {name: f"{look.policy.local(at):%Y-%m-%d %H:%M}" for name, at in moments.items()}
        then[Note.NAME] = {"text": look.say("new.received_note", reason=sheet.first(REASON), **shown)}
    if target is not None:
        then[LINK] = {"case": target}
    failed = []
    for name, body in then.items():
        try:
            await _do(look, case_id, name, body, f"{sheet.opening.key}-{name}")
        except (Refused, NoAnswer):
            failed.append(name)
    return look.go(case_url(case_id, filed=sheet.kind.KIND, **({"undone": ",".join(failed)} if failed else {})))


async def _do(look: Look, case_id: str, name: str, body: Json, request_id: str) -> Json:
    return await actions.command(look.services, look.who, case_id, name, body, request_id)


async def _settling(look: Look, sheet: Sheet, outcome: str, do: Callable[[], Awaitable[Json]]) -> Json:
    """Do something with what was typed, which settles the message that it comes from; see `Messages.settle`."""
    if sheet.opening.message is None:
        return await do()
    return await Messages(look.services.database).settle(look.who, sheet.opening.message, outcome, do)


async def _not_done(look: Look, sheet: Sheet, error: Refused | NoAnswer) -> Response:
    """Say why nothing was done, at its field where it has one; what was typed stays."""
    if isinstance(error, Refused) and error.code == "message_settled":
        # Filed once more it is a case of its own, of no message.
        sheet = replace(sheet, opening=replace(sheet.opening, message=None))
        look.message = Message("bad", f"{look.words.refusal(error)} {look.say('messages.file_anyway')}")
        return await _page(look, sheet, await _kept(look, sheet), status=409)
    near = await _near(look, sheet, log=False)
    if isinstance(error, NoAnswer):
        look.message = Message("bad", look.say("error.away"))
        return await _page(look, sheet, near, status=503)
    errors = refused_at(error, sheet.asked.all, look.words)
    why = look.say("paper.see_fields") if errors else look.say("case.again", why=look.words.refusal(error))
    look.message = Message("bad", why)
    return await _page(look, sheet, near, errors, status=422)


def _received(look: Look, sheet: Sheet) -> tuple[datetime, dict[str, str]]:
    """Return when the case was received, and what is wrong with that.

    It is when the form was opened, unless somebody says why it was earlier.
    """
    opened = sheet.opening.at
    try:
        received = instant(sheet.first(RECEIVED), look.times.zone)
    except ValueError:
        return opened, {RECEIVED: look.say("paper.wrong_instant")}
    if received is None or received == opened:
        return opened, {}
    if received > look.times.now:
        return opened, {RECEIVED: look.say("new.future")}
    if received.year < 2000:
        return opened, {RECEIVED: look.say("paper.wrong_instant")}
    return received, {} if sheet.first(REASON) else {REASON: look.say("new.reason_needed")}


def _intake(look: Look, sheet: Sheet, received: datetime) -> Json:
    facts = facts_of(sheet.asked.all, sheet.typed, look.times.zone)
    if sheet.asked.filer:
        facts["filed_by"] = {"id": look.who.id, "role": look.who.role}
    intake: Json = {"key": sheet.opening.key, "received_at": received.isoformat(), "facts": facts}
    beside = {"policy": sheet.first(POLICY), "parent": sheet.first(PARENT)}
    return intake | {name: value for name, value in beside.items() if value and (name, value) != ("policy", "default")}
