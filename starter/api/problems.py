"""Every "no" of the API as a problem document (RFC 9457), with the refusal's code and clause."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from activities.attachments.stores import StoreAway
from activities.database.errors import DatabaseAway, StatementFailed
from activities.senders.statement import UNSIGNED
from cases.vocabulary.refusals import Refused, path
from starter.api.actions import NoAnswer
from starter.api.auth import IssuerAway
from starter.api.limits import TooManyRequests

MEDIA_TYPE = "application/problem+json"
# Of a refusal by its code. What is not named here contradicts the state of the case: 409.
STATUS = {
    **dict.fromkeys(("malformed", "bad_json", "bad_host"), 400),
    **dict.fromkeys(("unauthenticated", "bad_token", "bad_key", "bad_signature"), 401),
    **dict.fromkeys(("no_role", "not_staff", "scope", "read_only", "role", "unit", "not_you", "authority"), 403),
    **dict.fromkeys(("other_customer", "not_in_charge"), 403),
    **dict.fromkeys(("four_eyes", "duties", "not_holder", "not_yours", UNSIGNED, "passkey_required"), 403),
    "bad_origin": 403,
    "key_missing": 503,
    **dict.fromkeys(("not_found", "unknown_kind", "unknown_command", "unknown_policy_hash"), 404),
    **dict.fromkeys(("unknown_payout", "no_checkpoint"), 404),
    **dict.fromkeys(("token_expired", "token_used"), 410),
    **dict.fromkeys(("invalid", "unknown_role", "unknown_policy", "bad_policy"), 422),
    "token_forged": 404,
    **dict.fromkeys(("too_large", "file_too_large"), 413),
    **dict.fromkeys(("file_type", "file_empty", "file_unsafe"), 422),
    "unsupported_media_type": 415,
    **dict.fromkeys(("too_many_requests", "busy"), 429),
}
# Seconds after which it is worth asking again.
BUSY = 2

log = structlog.get_logger(__name__)


def status_of(refusal: Refused) -> int:
    """Return the HTTP status of a refusal."""
    return STATUS.get(refusal.code, 409)


def problem(
    status: int, code: str, detail: str, clause: str = "", headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """Return a problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "code": code}
    if clause:
        body["clause"] = clause
    return JSONResponse({**body, **more}, status, dict(headers or {}), MEDIA_TYPE)


def refused(refusal: Refused) -> JSONResponse:
    """Return the problem document of a refusal."""
    status = status_of(refusal)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if isinstance(refusal, TooManyRequests):
        headers["Retry-After"] = str(refusal.seconds)
    elif status == 429:
        headers["Retry-After"] = str(BUSY)
    return problem(status, refusal.code, refusal.message, refusal.clause, headers)


def _allowed(app: FastAPI, path: str, known: str) -> str:
    """Return the methods that an address takes: each is a route of its own, and the framework names one of them."""
    paths = app.openapi()["paths"]
    # An address that is named itself is no other one's.
    named = [path] if path in paths else [one for one in paths if _template(one).fullmatch(path)]
    methods = {method.upper() for one in named for method in paths[one]}
    return ", ".join(sorted(methods)) or known


@cache
def _template(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))


def install(app: FastAPI) -> None:
    """Answer every error of the app with a problem document."""

    @app.exception_handler(Refused)
    async def _refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)
        return refused(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        found = error.errors()
        wrong = [f"{path(item['loc'][1:]) or item['loc'][0]}: {item['msg']}" for item in found]
        # What a rule of ours says fits the schema, and yet has a value that is not taken.
        if all(item["type"] == "value_error" for item in found):
            return problem(422, "invalid", "; ".join(wrong))
        return problem(400, "malformed", "; ".join(wrong))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        code = status.phrase.lower().replace(" ", "_").replace("-", "_")
        headers = dict(error.headers or {})
        if status == 405:
            headers["Allow"] = _allowed(app, request.url.path, headers.get("Allow", ""))
            if request.method in headers["Allow"].split(", "):
                # Only filing takes any name there; to ask for a case, an id is given, which has a colon.
                return problem(404, "not_found", "Not Found")
        return problem(status, code, str(error.detail), headers=headers)

    async def away(_: Request, error: Exception) -> JSONResponse:
        log.warning("unavailable", reason=str(error) or type(error).__name__)
        codes: dict[type[Exception], str] = {
            NoAnswer: "no_answer", IssuerAway: "issuer_away", StoreAway: "store_away",
        }  # fmt: skip
        code = codes.get(type(error), "database_away")
        detail = {
            "no_answer": f"{error}; a write may still be carried out: repeat it with the same Idempotency-Key",
            "issuer_away": "the issuer of tokens does not answer, so no token can be checked",
            "store_away": "the store of attachments does not answer; nothing was attached",
        }.get(code, str(getattr(error, "message", error)))
        return problem(503, code, detail, headers={"Retry-After": "5"})

    for kind in (NoAnswer, IssuerAway, StoreAway, DatabaseAway, StatementFailed):
        app.exception_handler(kind)(away)


def fault() -> JSONResponse:
    """Return the problem document of a fault in this program."""
    return problem(500, "fault", "something went wrong here; it was logged")


def log_fault(scope: Scope, error: Exception) -> None:
    """Log where a fault came from; not its text, which may quote what was sent."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = None if frame is None else f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}"
    route = getattr(scope.get("route"), "path", None)
    log.error("fault", error=type(error).__name__, place=place, method=scope["method"], route=route)
