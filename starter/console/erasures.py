"""The page of erasures: asking for one, deciding what somebody else asked for, and legal holds."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.responses import Response

from cases.vocabulary.lifecycle import ERASED_FOR
from cases.vocabulary.refusals import Refused
from starter.access import may_read_looks
from starter.console.web import Look, Message, case_id_named
from starter.erasure import Erasure

# So many of the last erasures are shown, and of each so many cases.
SHOWN = 50
# The fields of the form that asks for one; what was typed there stays where it is refused.
_ASKED = ("case", "customer", "why")


async def erasures(look: Look) -> Response:
    """Show erasures and holds, and do what a form of the page asks for.

    Raises:
        HTTPException: 403 for who may not read them.
    """
    if not may_read_looks(look.who):
        raise HTTPException(403)
    erasure = Erasure(look.services.database)
    if look.request.method == "POST":
        try:
            await _do(look, erasure)
        except Refused as refusal:
            look.message = Message("bad", look.words.refusal(refusal))
        else:
            look.message = look.message or Message("good", look.say("erasures.done"))
    return look.page(
        "erasures.html",
        page="erasures",
        # What waits is there also when the policies have had much erased since.
        found=[
            *(await erasure.book.all(waiting=True)),
            *(one for one in await erasure.book.all(SHOWN) if one["approved"] is not None),
        ],
        holds=await erasure.book.holds(),
        reasons=ERASED_FOR,
        most=SHOWN,
        given={name: look.field(name) or "" if look.field("do") == "ask" else "" for name in _ASKED},
        named=look.request.query_params.get("case", ""),
    )


async def _do(look: Look, erasure: Erasure) -> None:
    """Do what was asked for.

    Raises:
        Refused: see `Erasure`; or ``invalid``: something is missing.
    """
    by, now, case = look.who.actor(), datetime.now(UTC), (look.field("case") or "").strip()
    match look.field("do"):
        case "ask":
            customer = (look.field("customer") or "").strip()
            if bool(case) == bool(customer):
                raise Refused("invalid", look.say("erasures.either"))
            why = next((one for one in ERASED_FOR if one == look.field("why")), None)
            if why is None:
                raise Refused("invalid", look.say("erasures.say_why"))
            asked = await erasure.ask(by, why, now, case_id=await case_id_named(look, case), customer=customer)
            if asked["kept"]:
                look.message = Message("note", look.say("erasures.some_stay", cases=", ".join(sorted(asked["kept"]))))
        case "approve" | "reject" as what:
            number = look.field("number") or ""
            if not number.isdecimal() or len(number) > 20:
                raise HTTPException(403)
            await erasure.decide(int(number), by, what == "approve", now)
        case "hold":
            reference = (look.field("reference") or "").strip()
            if not reference or len(reference) > 200:
                raise Refused("invalid", look.say("erasures.say_reference"))
            await erasure.hold(await case_id_named(look, case), reference, by)
        case "lift":
            await erasure.lift(case, by)
        case _:
            raise HTTPException(403)
