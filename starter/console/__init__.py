"""The console: pages for people, rendered here, with htmx for what moves while somebody watches.

It adds no rules. What somebody sees comes from `activities.casebook.search` within what `starter.access` says,
and what they do goes through `starter.api.actions`, as over the API.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from starter.api.limits import TooManyRequests
from starter.api.problems import refused
from starter.api.services import Services
from starter.console import (
    approvals,
    attachments,
    case,
    erasures,
    find,
    login,
    looks,
    messages,
    now,
    numbers,
    passkeys,
    payouts,
    policy,
    related,
    rules,
    stream,
    views,
)
from starter.console.codec import add_codec
from starter.console.filing import pages as filing
from starter.console.papers import pages, preview
from starter.console.web import CSP, Handler, Site

__all__ = ["mount"]

# Handlers by path, below /console; those of the second table need nobody to be logged in.
PAGES: dict[str, Handler] = {
    "/": now.now,
    "/now/todo": now.todo,
    "/now/board": now.board,
    "/now/take": now.take,
    "/now/bulk": now.bulk,
    "/now/seen": now.seen,
    "/now/preferences": now.preferences,
    "/views": views.views,
    "/views/save": views.save,
    "/stream": stream.stream,
    "/case": case.case,
    "/case/body": case.body,
    "/case/personal": case.personal,
    "/case/verify": case.verify,
    "/case/events": case.events,
    "/case/proof": case.proof,
    "/case/attachments": attachments.attachments,
    "/case/attachments/file": attachments.file,
    "/new": filing.new,
    "/new/{kind}": filing.file,
    "/new/{kind}/check": filing.check,
    "/approvals": approvals.approvals,
    "/approvals/next": approvals.following,
    "/approvals/waiting": approvals.waiting,
    "/passkeys": passkeys.passkeys,
    "/erasures": erasures.erasures,
    "/messages": messages.messages,
    "/messages/{number:int}": messages.message,
    "/looks": looks.looks,
    "/payouts": payouts.payouts,
    "/payouts/export": payouts.export,
    "/forms": pages.forms,
    "/forms/{name}": preview.form,
    "/forms/{name}/preview": preview.preview,
    "/forms/{name}/file": pages.file,
    "/customer": related.customer,
    "/shipment": related.shipment,
    "/find": find.find,
    "/find/export": find.export,
    "/find/verify": find.verify,
    "/numbers": numbers.numbers,
    "/policy": policy.policy,
    "/rules": rules.rules,
}
OPEN: dict[str, Handler] = {
    "/login": login.login,
    "/login/oidc": login.depart,
    "/login/callback": login.arrive,
    "/logout": login.logout,
    "/preferences": login.preferences,
}


class _Static(StaticFiles):
    """Scripts and styles; browsers ask whether theirs is still the one."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Content-Security-Policy"] = CSP
        return response


def mount(app: FastAPI, services: Services) -> None:
    """Serve the console below /console.

    Args:
        services: stay the caller's to close.
    """
    site = Site(services)
    add_codec(app, site)
    methods = ["GET", "POST"]
    routes = [Route(path, site.endpoint(handler), methods=methods) for path, handler in PAGES.items()]
    routes += [Route(path, site.endpoint(handler, login=False), methods=methods) for path, handler in OPEN.items()]

    async def nowhere(look: object) -> Response:
        raise HTTPException(404)

    async def too_many(_: Request, error: Exception) -> Response:
        # Streams are refused when they begin, which is after a page's handler.
        assert isinstance(error, TooManyRequests)
        return refused(error)

    static = Mount("/static", _Static(directory=Path(__file__).parent / "static"))
    unknown = Route("/{rest:path}", site.endpoint(nowhere, login=False), methods=methods)
    app.mount("/console", Starlette(routes=[static, *routes, unknown], exception_handlers={TooManyRequests: too_many}))
