"""The pages of messages that no case takes: the list of those that wait, and one of them with what can come of it."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from activities.access.access_log import MESSAGE
from activities.casebook.related import Clues, Found
from activities.replies.inbox import DISMISSED_FOR, Letter
from activities.replies.ways import masked
from cases.registry import kind_named
from cases.vocabulary.commands import CustomerWrote
from cases.vocabulary.contract import PASSING
from cases.vocabulary.refusals import Refused
from starter.access import may_settle_messages, sees
from starter.api import actions
from starter.api.actions import NoAnswer
from starter.console.filing.pages import begun_from
from starter.console.web import Look, Message
from starter.messages import Messages, beginning

HERE = "/console/messages"
# So many messages are on a page.
PAGE = 50
# So many cases of whoever wrote are offered.
SHOWN = 20
# What can have come of a message, as the address of the list says it.
_DONE = ("added", "dismissed")


async def messages(look: Look) -> Response:
    """Show the messages that wait. Raises HTTPException: 403 for who settles none."""
    _check(look)
    done = look.request.query_params.get("done")
    if done in _DONE:
        look.message = Message("good", look.say(f"messages.{done}"))
    return await _list(look)


async def message(look: Look) -> Response:
    """Show a message that waits, and do what a form of its page asks for.

    Raises:
        HTTPException: 403 for who settles none; 404 for what is no number of one.
    """
    _check(look)
    number = look.request.path_params["number"]
    if number >= 1 << 53:
        raise HTTPException(404)
    operation = Messages(look.services.database)
    try:
        letter = await operation.one(look.who, number)
        if look.request.method == "POST" and (response := await _done(look, operation, letter)) is not None:
            return response
    except Refused as refusal:
        if refusal.code not in ("message_settled", "not_found"):
            raise
        # Nothing is left to show of it.
        look.message = Message("bad", look.words.refusal(refusal))
        return await _list(look)
    return await _page(look, letter)


def _check(look: Look) -> None:
    if not may_settle_messages(look.who):
        raise HTTPException(403)


async def _done(look: Look, operation: Messages, letter: Letter) -> Response | None:
    """Do what was asked for, and return where that leads; None where the message stays, with what is to be said.

    Raises:
        Refused: ``message_settled``, ``not_found``: somebody was faster.
    """
    match look.field("do"):
        case "look":
            await _looked(look, letter)
            # Whoever has the number is told which cases have it.
            await _near(look, letter, log=True)
            return look.go(f"{HERE}/{letter.id}")
        case "add":
            try:
                view = await actions.named(look.services, look.who, "case", (look.field("case") or "").strip())
                await operation.add(look.who, letter.id, view)
            except Refused as refusal:
                if refusal.code == "message_settled":
                    raise
                look.message = Message("bad", look.words.refusal(refusal))
                return None
            except NoAnswer:
                look.message = Message("bad", look.say("error.away"))
                return None
            return look.go(f"{HERE}?done=added")
        case "file":
            await _looked(look, letter)
            return look.go(await begun_from(look, letter, await _answered(look, letter)))
        case "dismiss":
            reason = look.field("reason")
            if reason not in DISMISSED_FOR:
                look.message = Message("bad", look.say("messages.say_why"))
                return None
            try:
                await operation.dismiss(look.who, letter.id, reason)
            except Refused as refusal:
                if refusal.code not in PASSING:
                    raise
                look.message = Message("bad", look.words.refusal(refusal))
                return None
            return look.go(f"{HERE}?done=dismissed")
        case _:
            raise HTTPException(403)


async def _looked(look: Look, letter: Letter) -> None:
    await look.services.access_log.look(
        MESSAGE.format(letter.id), look.who.id, look.who.role, masked=False, sitting=look.session.id
    )


async def _near(look: Look, letter: Letter, *, log: bool = False) -> list[Found]:
    """Return the cases of whoever wrote that this person sees and that take the message, the open ones first."""
    units, kinds = sees(look.who)
    found = await look.services.related.find(
        Clues(**letter.sender), units=units, kinds=kinds, caller=look.who.id, role=look.who.role, log=log, limit=SHOWN
    )
    return [one for one in found if _takes(one.view)]


def _takes(view: dict[str, Any]) -> bool:
    kind = kind_named(view["kind"])
    return view["status"] != "closed" and kind is not None and CustomerWrote.NAME in kind.COMMANDS


async def _list(look: Look) -> Response:
    operation, after, status = Messages(look.services.database), look.request.query_params.get("after") or None, 200
    try:
        found, following = await operation.waiting(look.who, PAGE, after)
    except Refused as refusal:
        look.message, status, found, following = Message("bad", look.words.refusal(refusal)), 422, [], None
    return look.page(
        "messages.html",
        status=status,
        page="messages",
        count=await operation.count(look.who),
        after=following,
        paged=after is not None,
        letters=[(one, _sender(look, one, shown=False), _why(look, one), beginning(one)) for one in found],
    )


async def _page(look: Look, letter: Letter) -> Response:
    seen = await look.services.access_log.again(
        MESSAGE.format(letter.id), look.who.id, masked=False, sitting=look.session.id
    )
    return look.page(
        "message.html",
        page="messages",
        letter=letter,
        looked=seen is not None,
        sender=_sender(look, letter, shown=seen is not None),
        why=_why(look, letter),
        text=letter.text if seen is not None else beginning(letter),
        answers=await _answered(look, letter),
        near=[one.view for one in await _near(look, letter)],
        reasons=DISMISSED_FOR,
        typed=look.field("case") or "",
    )


async def _answered(look: Look, letter: Letter) -> dict[str, Any] | None:
    """Return the closed case that a message answers, if this person sees it."""
    if letter.case_id is None:
        return None
    try:
        return await actions.find(look.services, look.who, letter.case_id)
    except (Refused, NoAnswer):
        return None


def _sender(look: Look, letter: Letter, *, shown: bool) -> str:
    """Return whom a message is from."""
    told = [address if shown else masked(address) for address in letter.sender.values()]
    return told[0] if told else look.say("messages.nobody")


def _why(look: Look, letter: Letter) -> str:
    """Return why a message waits."""
    if letter.why in (None, "unmatched"):
        return look.say("messages.unmatched")
    if letter.why == "closed":
        return look.say("messages.closed")
    return look.say("messages.refused", why=look.words.word("code", letter.why))
