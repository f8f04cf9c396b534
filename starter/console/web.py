"""What every page of the console goes through: who looks, in which language, and is the form theirs.

Handlers get a `Look` and answer a response. Nothing here decides what somebody may see or do in a
case: that is asked of `starter.access` and `starter.api.actions`, as the API asks it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, quote, urlencode
from zoneinfo import ZoneInfo

import structlog
from markupsafe import Markup
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from activities.attachments.stores import StoreAway
from activities.database.errors import DatabaseAway, StatementFailed
from cases.directory import Directory
from cases.policy.forms import titles
from cases.policy.model import Policy
from cases.registry import KINDS
from cases.vocabulary.refusals import Refused, shown
from starter.access import Caller, caller_of, kinds_filed, may_erase, may_read_looks, may_read_names, may_reconcile
from starter.api.actions import NoAnswer
from starter.api.attachments import form_of
from starter.api.guards import MULTIPART
from starter.api.issuer import is_loopback
from starter.api.limits import Limiter, TooManyRequests
from starter.api.services import Services
from starter.console.formatting import Formatter, money
from starter.console.forms import rows_shown
from starter.console.pages import Pages
from starter.console.papers.paper import filed_by
from starter.console.rules import clause_links
from starter.console.session import LONGEST, Draft, Drafts, Sealer, Session
from starter.console.times import Times
from starter.console.translations import LANGUAGES, PageTranslations, translations

log = structlog.get_logger(__name__)

COOKIE = "caseladder_session"
# The development issuer's own, in the data folder.
KEY_FILE = "issuer.pem"
LANGUAGE, THEME = "caseladder_language", "caseladder_theme"
THEMES = ("auto", "light", "dark")
# Whether single keys do something, which who speaks to a computer may not want.
KEYS, KEYS_SAID = "caseladder_keys", ("on", "off")
STATIC = "/console/static"
# Bytes of a form; the longest texts that a command takes fit in well.
LARGEST = 256 * 1024
# A working day: who went home is logged out.
SESSION = timedelta(hours=10)
YEAR = 365 * 24 * 3600
# The wording of how far away an instant is, for the script that counts it down.
_RELATIVE = ("now", "in", "ago", "seconds", "minutes", "hours", "hours_minutes", "days", "days_hours")
CSP = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
        "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
    )
)  # fmt: skip
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # What a page shows is for this person now, and so is what the back button shows.
    "Cache-Control": "no-store",
}

Handler = Callable[["Look"], Awaitable[Response]]


@dataclass(frozen=True)
class Message:
    """What came of something: ``good``, ``bad`` or ``note``, with its text."""

    tone: str
    text: str


class NotForYou(Exception):
    """There is no such case, or this caller may not see it: they are told the same."""


class Site:
    """The console of one process."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.sealer = Sealer(*_secrets(services))
        self.drafts = Drafts()
        self.limiter = Limiter(services.settings.rate_limit)
        self.translations = translations(services.settings.templates, services.forms)
        self.pages = Pages()

    def endpoint(self, handler: Handler, *, login: bool = True) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler as an endpoint.

        Args:
            login: whether only somebody who is logged in gets there.
        """

        async def serve(request: Request) -> Response:
            look = Look(self, request)
            try:
                response = await look.enter(handler, login=login)
            except NotForYou:
                response = look.problem("case.not_found", 404)
            except TooManyRequests as refusal:
                response = look.problem("error.too_many", 429)
                response.headers["Retry-After"] = str(refusal.seconds)
            except Refused as refusal:
                response = look.page("error.html", status=422, why=look.words.refusal(refusal))
            except (DatabaseAway, StatementFailed, StoreAway, NoAnswer):
                response = look.problem("error.away", 503)
            except HTTPException as error:
                known = {404: "error.not_found", 413: "error.body", 403: "error.forbidden"}
                response = look.problem(known.get(error.status_code, "error.not_found"), error.status_code)
            return look.dressed(response)

        return serve


class Look:
    """One request of somebody who looks at the console."""

    def __init__(self, site: Site, request: Request) -> None:
        self.site, self.services, self.request = site, site.services, request
        found = Session.read(site.sealer, request.cookies.get(COOKIE))
        self._kept = found
        self.session = found or Session()
        self.caller: Caller | None = None
        self._directory = Directory()
        self._turned_away = False
        self.fields: dict[str, list[str]] = {}
        # What a form brings, while it is handled.
        self.files: list[UploadFile] = []
        self.message: Message | None = None
        theme = request.cookies.get(THEME)
        self.theme = theme if theme in THEMES else "auto"
        self.keys = "off" if request.cookies.get(KEYS) == "off" else "on"
        self._cookies: list[tuple[str, str, int | None]] = []

    # --- who looks --------------------------------------------------------------------------------

    async def enter(self, handler: Handler, *, login: bool) -> Response:
        """Let the handler answer, if who looks may get there."""
        await self._recognize()
        # Parts that a page renews by itself are counted apart, so that they leave room for the person.
        sort = "part" if self.request.headers.get("HX-Request") else "page"
        if self.caller is not None and (seconds := await self.site.limiter.wait(f"{sort}:{self.caller.id}")):
            raise TooManyRequests(seconds)
        writes = self.request.method == "POST"
        with_files = writes and self.request.headers.get("content-type", "").startswith(MULTIPART)
        if with_files and self.caller is not None:
            async with form_of(self.request) as form:
                for name, value in form.multi_items():
                    if isinstance(value, UploadFile):
                        self.files.append(value)
                    else:
                        self.fields.setdefault(name, []).append(value)
                return await self._enter(handler, login=login, writes=writes)
        if writes and not with_files:
            self.fields = await self._read_form()
        return await self._enter(handler, login=login, writes=writes)

    async def _enter(self, handler: Handler, *, login: bool, writes: bool) -> Response:
        if login and self.caller is None:
            return self._out(writes)
        if writes and not (self._same_origin() and self.session.guarded(self.field("csrf"))):
            return self.problem("error.csrf", 403)
        return await handler(self)

    async def still(self) -> Caller | None:
        """Who looks, asked again later: None once the session has ended or grants nothing."""
        before, self.caller = self.caller, None
        try:
            await self._recognize()
        except (DatabaseAway, StatementFailed):
            # While it is away, nothing comes that anybody could see.
            self.caller = before
        return self.caller

    async def end(self) -> None:
        """End the session, so that a copy of its cookie is worth nothing either."""
        if self.session.claims is not None:
            expires_at = datetime.fromtimestamp(self.session.expires, UTC)
            await self.services.sessions.end(self.session.id, expires_at)
        self.session = Session()

    async def _recognize(self) -> None:
        claims = self.session.claims
        if claims is None or self.session.expired:
            return
        self._directory = await self.services.directory.now()
        if not await self.services.sessions.has(self.session.id):
            # What they were granted may be granted no more.
            with suppress(Refused):
                self.caller = caller_of(claims, self.services.verifier.table, self._directory, self.services.forms)
        if self.caller is None:
            self.session, self._turned_away = Session(), True

    def _out(self, writes: bool) -> Response:
        """Send somebody to log in; what they typed is kept if the form was theirs."""
        here = self.here
        if self.request.headers.get("HX-Request"):
            return Response(status_code=401)
        draft = None
        if writes and self.session.expired and self._same_origin() and self.session.guarded(self.field("csrf")):
            table = self.services.verifier.table
            person = str((self.session.claims or {}).get(table.claims.id, ""))
            typed = {name: values for name, values in self.fields.items() if name != "csrf"}
            draft = self.site.drafts.keep(Draft(here, typed, person))
        target = {"next": here} | ({"draft": draft} if draft else {})
        if self.session.expired or self._turned_away:
            target["ended"] = "1"
        return RedirectResponse(f"/console/login?{urlencode(target)}", 303)

    def _same_origin(self) -> bool:
        # Browsers say where a form came from; whoever says nothing still needs the form's token.
        said = self.request.headers.get("Sec-Fetch-Site")
        return said in (None, "same-origin", "none")

    async def _read_form(self) -> dict[str, list[str]]:
        body = bytearray()
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > LARGEST:
                raise HTTPException(413)
        try:
            return parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=3000, errors="strict")
        except (UnicodeDecodeError, ValueError):
            raise HTTPException(403) from None

    def field(self, name: str) -> str | None:
        """Return the first value of a field of the form that was sent."""
        return next(iter(self.fields.get(name, ())), None)

    @property
    def who(self) -> Caller:
        """Whoever is logged in."""
        assert self.caller is not None
        return self.caller

    @property
    def here(self) -> str:
        """The address of this page, without the host."""
        query = self.request.url.query
        return self.request.url.path + (f"?{query}" if query else "")

    def draft(self) -> Draft | None:
        """Return what was typed into this page's form when the session ran out; given back once."""
        name = self.session.draft
        found = self.site.drafts.look(name, self.who.id, self.here)
        if found is not None:
            self.site.drafts.drop(name)
            self.session = self.session.without_draft()
            self.message = Message("note", self.say("case.draft_back"))
        return found

    # --- words and times --------------------------------------------------------------------------

    @cached_property
    def words(self) -> PageTranslations:
        """The words of the language that was chosen, or of the person, or of the browser."""
        chosen = self.request.cookies.get(LANGUAGE)
        if chosen not in LANGUAGES:
            wanted = self.request.headers.get("Accept-Language", "zh")[:2].lower()
            chosen = self.caller.language if self.caller else ("en" if wanted == "en" else "zh")
        return self.site.translations[chosen]

    def say(self, key: str, **values: Any) -> str:
        """Return a text in the language of this look."""
        return self.words.say(key, **values)

    @cached_property
    def policy(self) -> Policy:
        """The policy that is in force; its zone is that of pages about more than one case."""
        return self.services.policies.load("default")

    @cached_property
    def times(self) -> Times:
        """Shows instants in the zone of the policy."""
        return Times(ZoneInfo(self.policy.zone), self.words)

    @cached_property
    def formatter(self) -> Formatter:
        """Formats values for this look, with the names that its person may read."""
        named = self.caller is not None and may_read_names(self.caller)
        return Formatter(self.words, self.times, self._directory if named else Directory())

    @property
    def directory(self) -> Directory:
        """The staff, as this request found it."""
        return self._directory

    def speak(self, words: PageTranslations) -> None:
        """Go on with words that know more, such as those of a form."""
        for made in ("formatter", "times"):
            self.__dict__.pop(made, None)
        self.words = words

    # --- answers ----------------------------------------------------------------------------------

    def page(self, template: str, *, status: int = 200, page: str = "", live: str = "", **values: Any) -> HTMLResponse:
        """Return a page, or a fragment of one.

        Args:
            page: the name of its place in the navigation.
            live: the address of the stream that refreshes it.
        """
        words = self.words
        shown: dict[str, Any] = {
            "say": words.say,
            "word": words.word,
            "several": words.words,
            "has_word": words.has,
            "words": words,
            "times": self.times,
            "caller": self.caller,
            "files_cases": self.caller is not None and bool(kinds_filed(self.caller)),
            "files_forms": self.caller is not None and bool(filed_by(self)),
            "rows_shown": rows_shown,
            "kind_of": lambda view: kind_said(view, words),
            "may_erase": self.caller is not None and may_erase(self.caller),
            "may_read_looks": self.caller is not None and may_read_looks(self.caller),
            "may_reconcile": self.caller is not None and may_reconcile(self.caller),
            "theme": self.theme,
            "keys": self.keys,
            "page": page,
            "live": live,
            "static": STATIC,
            "path": self.here,
            "message": self.message,
            "rel_words": json.dumps({name: words.say(f"rel.{name}") for name in _RELATIVE}, ensure_ascii=False),
            "hidden": lambda: Markup('<input type="hidden" name="csrf" value="{}">').format(self.session.csrf),
            "case_url": case_url,
            "money": money,
            "clauses": clause_links,
            "person": self.formatter.person,
            "unit": self.formatter.unit,
            "matter_of": lambda view: matter_of(view, self.formatter),
        }
        text = self.site.pages.get_template(template).render({**shown, **values})
        return HTMLResponse(text, status)

    def problem(self, key: str, status: int) -> HTMLResponse:
        """Return a page that says what went wrong."""
        return self.page("error.html", status=status, why=self.say(key))

    def go(self, address: str) -> RedirectResponse:
        """On to another page, which is then the one that is reloaded."""
        return RedirectResponse(address, 303)

    @property
    def secure(self) -> bool:
        """Whether cookies travel by https only: always, save on this machine itself."""
        public = self.services.settings.public_url or ""
        return public.startswith("https://") or not is_loopback(self.request.url.hostname or "")

    def remember(self, name: str, value: str) -> None:
        """Keep a preference in a cookie of its own."""
        self._cookies.append((name, value, YEAR))

    def dressed(self, response: Response) -> Response:
        """Return the response with its headers, and the session where it is a new one."""
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["Cache-Control"] = HEADERS["Cache-Control"]
        secure = self.secure
        if self.session is not self._kept:
            sealed = self.session.sealed(self.site.sealer)
            assert len(sealed) <= LONGEST
            self._cookies.append((COOKIE, sealed, None))
        for name, value, age in self._cookies:
            response.set_cookie(name, value, max_age=age, path="/console", secure=secure, httponly=True, samesite="lax")
        return response


def _secrets(services: Services) -> tuple[str, ...]:
    """Return what seals sessions: the setting; with the development issuer its key, which outlives a restart."""
    if services.settings.console_secrets or services.issuer is None:
        return services.settings.console_secrets
    return ((services.settings.data / KEY_FILE).read_text("ascii"),)


def case_url(case_id: str, **more: str) -> str:
    """Return the address of a case's page. Keys may hold slashes, so the id is no part of the path."""
    asked = f"id={quote(case_id, safe='')}"
    return f"/console/case?{asked}&{urlencode(more, quote_via=quote)}" if more else f"/console/case?{asked}"


def back_to(address: str | None) -> str:
    """Return an address within the console, or its first page: nobody is sent anywhere else."""
    good = address is not None and address.startswith("/console/") and "\\" not in address and "//" not in address
    return address if good and address is not None and address.isprintable() else "/console/"


def matter_of(view: Mapping[str, Any], formatter: Formatter) -> dict[str, str]:
    """Return what a case is about in few words, free of personal data: its category or factor, and its waybill."""
    facts = view.get("facts") or {}
    if view["kind"] not in KINDS:
        # A form is called by its title, and is about whoever filed it.
        filer = facts.get("filed_by")
        return {"matter": formatter.person(filer["id"]) if filer else "", "waybill": ""}
    about = KINDS[view["kind"]].ABOUT
    value = view.get("matter") or facts.get(about) or ""
    waybill = view.get("waybill") or (facts.get("shipment") or {}).get("waybill") or ""
    return {"matter": formatter.fact(about, value, view["kind"]) if value else "", "waybill": waybill}


def kind_said(view: Mapping[str, Any], words: PageTranslations) -> str:
    """Return what a case is called by: its kind, or the title of the form that it is."""
    kind, title = view["kind"], view.get("title") or view.get("matter")
    return titles(title)[words.language] if kind not in KINDS and title else words.word("kind", kind)


def instant(text: str | None, zone: ZoneInfo) -> datetime | None:
    """Return what a field for a date and a time holds, in the zone.

    Raises:
        ValueError: it is no such text.
    """
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=zone) if at.tzinfo is None else at


@dataclass(frozen=True)
class Days:
    """The days that the fields ``from`` and ``to`` of a page name, both included; None where one is empty."""

    since: datetime | None = None
    until: datetime | None = None


def days_of(look: Look) -> Days:
    """Return the days that the address names.

    Raises:
        Refused: ``invalid``: one is no day, or the last is before the first.
    """
    first, last = (_day(look, name) for name in ("from", "to"))
    if first and last and last < first:
        raise Refused("invalid", f"{look.say('days.to')} = {last}: {look.say('days.order', first=first)}")
    zone = look.times.zone
    return Days(
        None if first is None else datetime.combine(first, time(), zone),
        None if last is None else datetime.combine(last + timedelta(days=1), time(), zone),
    )


def _day(look: Look, name: str) -> date | None:
    text = look.request.query_params.get(name, "").strip()
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # Beyond these years instants cannot be compared in every zone.
    if day is None or not 1900 <= day.year <= 9000:
        raise Refused("invalid", f"{look.say(f'days.{name}')} = {shown(text)}: 2026-03-04")
    return day


async def case_id_named(look: Look, case: str) -> str:
    """Return the id of a case that is given by its id or its number; nothing stays nothing.

    Raises:
        Refused: ``ambiguous``: several kinds have this number.
    """
    if not case or ":" in case:
        return case
    found = [view["id"] for view in await look.services.casebook.by_number(case)]
    if len(found) > 1:
        raise Refused("ambiguous", ", ".join(found))
    return found[0] if found else case


def kinds_seen(caller: Caller, kinds: frozenset[str] | None) -> tuple[str, ...]:
    """Return the kinds of case to choose from, forms last: also those that only one's own are seen of."""
    filed = (name for name, form in caller.forms.items() if caller.role in form.FILES)
    seen = None if kinds is None else kinds.union(filed)
    return tuple(kind for kind in (*KINDS, *caller.forms) if seen is None or kind in seen)
