"""Where the payment gateway calls back: nobody logs in for it, its word counts only signed and fresh."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from cases.vocabulary.refusals import Refused
from starter.api.services import Services

# The longest callback that is read, in bytes: one payout.
LONGEST = 16_384

router = APIRouter(include_in_schema=False)


@router.post("/api/v1/payouts/callback")
async def called_back(request: Request) -> Response:
    """Take what the gateway says came of an order; said again, it changes nothing.

    Raises:
        Refused: ``too_large``, ``too_many_requests``, or as `activities.payouts.Payouts.called_back`.
    """
    services: Services = request.app.state.services
    services.attempts.check(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST:
            raise Refused("too_large", f"a callback has at most {LONGEST} bytes")
    try:
        taken = await services.payouts.called_back(request.headers, bytes(body))
    except Refused as refusal:
        if refusal.code == "bad_signature":
            services.attempts.failed(request)
        raise
    return JSONResponse({"key": taken.key, "state": taken.result.state if taken.result else "pending"})
