"""The operations of erasing, under /api/v1: ask, decide, look; and legal holds. For people, who decide in pairs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.responses import Response

from cases.vocabulary.refusals import Refused
from cases.vocabulary.values import Model
from starter.access import Caller, may_read_looks
from starter.api import schemas, shapes
from starter.api.routes import CallerOf, ServicesOf, object_of
from starter.erasure import Erasure

router = APIRouter(default_response_class=JSONResponse, tags=["erasure"])
Number = Annotated[int, Path(ge=1, le=1 << 53, description="of the erasure")]


class Page(Model):
    """Which page."""

    limit: int = Field(50, ge=1, le=200)
    before: int | None = Field(None, ge=1, le=1 << 53, description="the number of the last erasure of the page before")


def check_person(caller: Caller, *, reads: bool = False) -> None:
    """Refuse systems, and whoever may not read erasures. Who may ask and decide `Erasure` says.

    Raises:
        Refused: ``role``.
    """
    if caller.kind != "person" or (reads and not may_read_looks(caller)):
        raise Refused("role", f"role {caller.role!r} may not; QA and the general manager may, auditors may read")


@router.post(
    "/erasures",
    responses={200: {"model": shapes.Erasure}, **shapes.problems(404, 409, 413, 415)},
    openapi_extra=shapes.body(shapes.WantedErasure, {"case": "complaint:call-2026-0042", "why": "customer"}),
)
async def ask_erasure(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Ask that what a closed case, or every one of a customer, holds of persons is erased; somebody else decides.

    For QA and the general manager. Refused while the case is open, is kept (O-APP2), or a legal hold stands.
    """
    body = await object_of(request)
    check_person(caller)
    schemas.check(shapes.WantedErasure, body, "erasure")
    wish = shapes.WantedErasure.model_validate(body)
    if (wish.case is None) == (wish.customer is None):
        raise Refused("invalid", "erasure: give either case or customer")
    asked = await Erasure(services.database).ask(
        caller.actor(), wish.why, _now(), case_id=wish.case or "", customer=wish.customer or ""
    )
    return JSONResponse(asked)


@router.get("/erasures", responses={200: {"model": shapes.Erasures}, **shapes.problems()})
async def erasures(services: ServicesOf, caller: CallerOf, page: Annotated[Page, Query()]) -> Response:
    """Return the erasures, the last first: who asked, who decided, and how far each has come."""
    check_person(caller, reads=True)
    return JSONResponse({"erasures": await Erasure(services.database).book.all(page.limit, page.before)})


@router.get("/erasures/{number}", responses={200: {"model": shapes.Erasure}, **shapes.problems(404)})
async def erasure(services: ServicesOf, caller: CallerOf, number: Number) -> Response:
    """Return one erasure."""
    check_person(caller, reads=True)
    return JSONResponse(await Erasure(services.database).book.one(number))


@router.post("/erasures/{number}/approve", responses={200: {"model": shapes.Erasure}, **shapes.problems(404, 409)})
async def approve_erasure(services: ServicesOf, caller: CallerOf, number: Number) -> Response:
    """Approve an erasure that somebody else asked for; it is done at once, and cannot be undone."""
    return JSONResponse(await _decide(services, caller, number, approve=True))


@router.post("/erasures/{number}/reject", responses={200: {"model": shapes.Erasure}, **shapes.problems(404, 409)})
async def reject_erasure(services: ServicesOf, caller: CallerOf, number: Number) -> Response:
    """Reject an erasure, or take back an own one."""
    return JSONResponse(await _decide(services, caller, number, approve=False))


async def _decide(services: ServicesOf, caller: Caller, number: int, *, approve: bool) -> dict[str, Any]:
    check_person(caller)
    return await Erasure(services.database).decide(number, caller.actor(), approve, _now())


@router.get("/holds", responses={200: {"model": shapes.Holds}, **shapes.problems()})
async def holds(
    services: ServicesOf,
    caller: CallerOf,
    case: Annotated[shapes.CaseName | None, Query(description="of one case")] = None,
) -> Response:
    """Return the legal holds that stand, or all that a case ever had."""
    check_person(caller, reads=True)
    return JSONResponse({"holds": await Erasure(services.database).book.holds(case)})


@router.post(
    "/holds",
    responses={200: {"model": shapes.Holds}, **shapes.problems(404, 409, 413, 415)},
    openapi_extra=shapes.body(
        shapes.WantedHold, {"case": "complaint:call-2026-0042", "reference": "(2028) Hu 01 Min Chu 17"}
    ),
)
async def set_hold(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Set a legal hold: nothing of the case is erased as long as it stands. For QA and the general manager."""
    body = await object_of(request)
    check_person(caller)
    schemas.check(shapes.WantedHold, body, "hold")
    hold, erasure = shapes.WantedHold.model_validate(body), Erasure(services.database)
    await erasure.hold(hold.case, hold.reference, caller.actor())
    return JSONResponse({"holds": await erasure.book.holds(hold.case)})


@router.post(
    "/holds/lift",
    responses={200: {"model": shapes.Holds}, **shapes.problems(404, 409, 413, 415)},
    openapi_extra=shapes.body(shapes.HeldCase, {"case": "complaint:call-2026-0042"}),
)
async def lift_hold(request: Request, services: ServicesOf, caller: CallerOf) -> Response:
    """Lift the legal hold of a case. For QA and the general manager."""
    body = await object_of(request)
    check_person(caller)
    schemas.check(shapes.HeldCase, body, "hold")
    held, erasure = shapes.HeldCase.model_validate(body), Erasure(services.database)
    await erasure.lift(held.case, caller.actor())
    return JSONResponse({"holds": await erasure.book.holds(held.case)})


def _now() -> datetime:
    return datetime.now(UTC)
