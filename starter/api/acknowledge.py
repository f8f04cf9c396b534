"""The link in a notice: /a/{token} shows what it is about, and its button takes the case up as that person.

Nobody logs in for it: the token says who, and works once (`activities.notify.ack_tokens`), for as long as the
directory has them where they were told of the case. Looking at the page does nothing, since mail programs look at
links by themselves.
"""

from __future__ import annotations

import html
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from activities.database.errors import DatabaseAway, StatementFailed
from activities.notify.ack_tokens import Ack, read
from cases.vocabulary.refusals import Refused
from starter.access import check_notified
from starter.api.actions import NoAnswer, patiently, view_of
from starter.api.limits import TooManyRequests
from starter.api.problems import status_of
from starter.api.services import Services

router = APIRouter(include_in_schema=False)

_WORDS = {
    "zh": {
        "title": "接单确认",
        "case": "案件",
        "as": "接单人",
        "button": "确认接单",
        "done": "已接单,案件由您处理。",
        "used": "此链接已用过,或案件已不在等待接单。",
        "expired": "此链接已过期,请使用最新的通知。",
        "forged": "此链接无效,请完整复制通知中的链接。",
        "gone": "此链接已失效:您已不在人员名录中,或不再负责此案件。",
        "refused": "未能接单:",
        "away": "系统暂时无法处理,请稍后再试。",
        "often": "操作过于频繁,请稍后再试。",
    },
    "en": {
        "title": "Take the case up",
        "case": "Case",
        "as": "As",
        "button": "Acknowledge",
        "done": "Acknowledged. The case is yours now.",
        "used": "This link was used, or nobody is waited for any more.",
        "expired": "This link has expired; use the newest notice.",
        "forged": "This link is not valid; copy the whole of it from the notice.",
        "gone": "This link is no longer good: you are not in the directory of staff, or not in charge of the case.",
        "refused": "Not acknowledged: ",
        "away": "This does not work at the moment; try again soon.",
        "often": "Too many requests; try again soon.",
    },
}
_NAMED = {"token_used": "used", "token_expired": "expired", "token_forged": "forged", "too_many_requests": "often"}
_NAMED |= dict.fromkeys(("not_staff", "not_in_charge"), "gone")
# What a link that somebody made up comes to, or one that was tried again and again.
_FAILED = ("token_forged", "token_expired", "token_used")
_STYLE = (
    ":root{color-scheme:light dark}body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:10vh auto;"
    "padding:0 1rem}button{font:inherit;padding:.6rem 1.4rem}"
)
_CSP = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


@router.get("/a/{token}")
async def show(request: Request, token: str) -> HTMLResponse:
    """Show what the link is about, with its button."""
    return await _answer(request, token, act=False)


@router.post("/a/{token}")
async def take_up(request: Request, token: str) -> HTMLResponse:
    """Acknowledge as the person whom the token names."""
    return await _answer(request, token, act=True)


async def _answer(request: Request, token: str, *, act: bool) -> HTMLResponse:
    services: Services = request.app.state.services
    language = "en" if request.headers.get("accept-language", "zh").lower().startswith("en") else "zh"
    ack: Ack | None = None
    try:
        services.attempts.check(request, token)
        secrets = services.settings.link_secrets
        if not secrets:
            raise Refused("token_forged", "no links are issued here")
        told, directory = read(secrets, token, datetime.now(UTC)), await services.directory.now()
        person = directory.person(told.person)
        language = language if person is None else person.language
        check_notified(directory, told.person, told.role, await view_of(services, told.case_id))
        ack = told
        if not act:
            return _page(language, 200, ack, button=True)
        async with patiently():
            known = None if person is None else person.person
            await services.cases.command(ack.case_id, "acknowledge", ack.command(known))
    except Refused as refusal:
        if refusal.code in _FAILED:
            services.attempts.failed(request, token)
        words = _WORDS[language]
        named = _NAMED.get(refusal.code)
        said = words[named] if named else words["refused"] + refusal.message
        page = _page(language, status_of(refusal), ack, said)
        if isinstance(refusal, TooManyRequests):
            page.headers["Retry-After"] = str(refusal.seconds)
        return page
    except (NoAnswer, DatabaseAway, StatementFailed):
        return _page(language, 503, ack, _WORDS[language]["away"], button=act)
    return _page(language, 200, ack, _WORDS[language]["done"])


def _page(language: str, status: int, ack: Ack | None, said: str = "", *, button: bool = False) -> HTMLResponse:
    words = {name: html.escape(text) for name, text in _WORDS[language].items()}
    about = "" if ack is None else (
        f"<p>{words['case']}: <b>{html.escape(ack.case_id)}</b><br>{words['as']}: "
        f"{html.escape(ack.person)} ({html.escape(ack.role)})</p>"
    )  # fmt: skip
    form = f'<form method="post"><button type="submit">{words["button"]}</button></form>' if button else ""
    spoken = f'<p role="status">{html.escape(said)}</p>' if said else ""
    return HTMLResponse(
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{words["title"]}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{words['title']}</h1>{about}{spoken}{form}</main></body></html>",
        status,
        {"Content-Security-Policy": _CSP},
    )
