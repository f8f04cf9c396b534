"""What every request passes before it is looked at: how much may be sent, and what the answer forbids."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cases.vocabulary.refusals import Refused
from starter.api.issuer import is_loopback
from starter.api.problems import fault, log_fault, refused
from starter.settings import Settings

# An encoded slash belongs to a case's key, a plain one may also part the path. The server decodes
# both alike, so the encoded one travels as this character until the path has been taken apart.
SLASH = "\x1f"
_ENCODED = re.compile(rb"%2[fF]")
CASES = "/api/v1/cases/"
# The one address to which the UI of Temporal may send the console's cookie (`starter.console.codec`).
CODEC = "/console/codec/decode"

# What brings files is sent as this, so many at a time.
MULTIPART, FILES = "multipart/form-data", 5
# A mail brings its attachments with it.
MAIL = "message/rfc822"

# Seconds that a client may take to read what it is sent.
SLOWEST = 30.0

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "Cache-Control": "no-store",
}


def cut(scope: Scope) -> None:
    """Cut the connection of a request, where the server can (`starter.api.serve`)."""
    scope.get("caseladder.abort", lambda: None)()


class Guard:
    """The outermost layer: host, body limit, headers, the encoded slash, and what nobody else caught.

    Args:
        limit: bytes of a request's body.
        files: bytes of one that brings files.
        local_only: whether only names of this machine are taken as Host, so that no page of another
            site reaches the development issuer under its own name.
        secure: whether people come by https.
    """

    def __init__(self, app: ASGIApp, limit: int, files: int, local_only: bool, secure: bool) -> None:
        self._app, self._limit, self._files, self._local_only = app, limit, files, local_only
        self._headers = {**HEADERS, **({"Strict-Transport-Security": "max-age=31536000"} if secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, seen = False, 0
        headers = Headers(scope=scope)
        with_files = headers.get("content-type", "").partition(";")[0].strip().lower() in (MULTIPART, MAIL)
        limit = self._files if with_files else self._limit

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                own = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    own.setdefault(name, value)
            try:
                async with asyncio.timeout(SLOWEST):
                    await send(message)
            except TimeoutError:
                # What waits in the socket would wait for ever: the connection is cut, not closed.
                cut(scope)
                raise ClientDisconnect from None

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _too_large(limit)
            return message

        path: str = scope["path"]
        if path.startswith(CASES) and _ENCODED.search(scope.get("raw_path", b"")):
            scope["path"] = unquote(_ENCODED.sub(b"%1F", scope["raw_path"]).decode("ascii", "replace"))
        try:
            self._check(headers, limit)
            await self._app(scope, counted, answer)
        except Refused as refusal:
            if not begun:
                await refused(refusal)(scope, receive, answer)
        except ClientDisconnect:
            return
        except Exception as error:
            log_fault(scope, error)
            if not begun:
                await fault()(scope, receive, answer)

    def _check(self, headers: Headers, limit: int) -> None:
        host, colon, port = headers.get("host", "").rpartition(":")
        if self._local_only and not is_loopback(host if colon and port.isdigit() else host + colon + port):
            raise Refused("bad_host", "Host: the development issuer serves names of this machine only")
        if int(headers.get("content-length", "0")) > limit:
            raise _too_large(limit)


def _too_large(limit: int) -> Refused:
    return Refused("too_large", f"a body has at most {limit} bytes")


class CodecCors:
    """What a browser may send to `CODEC` from the UI of Temporal; everything else passes by."""

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["POST"],
            allow_headers=["Authorization", "Content-Type", "X-Namespace"],
            allow_credentials=True,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer a browser that asks whether it may be sent."""
        app = self._cors if scope["type"] == "http" and scope["path"] == CODEC else self._app
        await app(scope, receive, send)


def origins_of(setting: str) -> list[str]:
    """Return the origins of a setting, which are separated by commas."""
    return [origin.strip() for origin in setting.split(",") if origin.strip()]


def install(app: FastAPI, settings: Settings, *, local_only: bool) -> None:
    """Put the guards before the app."""
    if origins := origins_of(settings.cors_origins):
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=["Retry-After", "Location"],
        )
    # Added later, so asked first: the other one would turn the UI's question away.
    if origins := origins_of(settings.ui_origin):
        app.add_middleware(CodecCors, origins=origins)
    secure = (settings.public_url or "").startswith("https://")
    # What stands around the files takes its share.
    files = settings.attachment_limit * FILES + settings.body_limit
    app.add_middleware(Guard, limit=settings.body_limit, files=files, local_only=local_only, secure=secure)
