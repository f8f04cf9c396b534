"""The operations of the API, under /api/v1. Each asks `starter.api.actions` or the casebook."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from activities.casebook.filter import Filter
from activities.database.errors import DatabaseAway, StatementFailed
from activities.events.feed import FeedEvent, read_position
from activities.payouts.payees import PayeeDetails
from cases.registry import KINDS, case_types
from cases.vocabulary.commands import Attach, Command
from cases.vocabulary.refusals import Refused, shown
from cases.vocabulary.values import Model
from cases.vocabulary.views import CaseView
from starter.access import Caller, filed_kinds, may_file, reads_all_texts, scope_of, sees
from starter.api import actions, shapes, texts
from starter.api.guards import SLASH
from starter.api.limits import TooManyRequests, share_of
from starter.api.live import visible
from starter.api.services import Services
from starter.api.stream import EventStream, Wanted, Watcher
from starter.forms import Forms, check_kind, described

Json = dict[str, Any]
COMMANDS: dict[str, type[Command]] = {
    name: model for kind in case_types() for name, model in sorted(kind.offered_commands().items())
}


class CaseConvertor(Convertor[str]):
    """A case's id in a path. Slashes in it are encoded, or plain where that cannot be misread."""

    # Every id has its colon, so that none is taken for the name of an operation.
    regex = "[a-z][a-z0-9_]*:.+"

    def convert(self, value: str) -> str:
        """See `starter.api.guards.SLASH`."""
        return value.replace(SLASH, "/")

    def to_string(self, value: str) -> str:
        """Return the id in a path."""
        return value.replace("/", "%2F")


class KindConvertor(Convertor[str]):
    """What may be meant for the kind of a case in a path: no case's id, which has a colon."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        """Return it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Return it as it is."""
        return value


register_url_convertor("case", CaseConvertor())
register_url_convertor("kind", KindConvertor())
router = APIRouter(default_response_class=JSONResponse)


# --- who calls ------------------------------------------------------------------------------------

_BEARER = HTTPBearer(auto_error=False, description="A token of the configured OIDC issuer, or a system's key.")


def services_of(request: Request) -> Services:
    """Return the services that the app was made on."""
    services: Services = request.app.state.services
    return services


async def caller_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> Caller:
    """Who calls, if not too often.

    Raises:
        Refused: ``unauthenticated``, ``bad_token``, ``bad_key``, ``no_role``, ``not_staff``,
            ``too_many_requests``.
    """
    services, credential = services_of(request), None if credentials is None else credentials.credentials
    # Before the credential is looked at, so that nobody guesses on.
    services.attempts.check(request, credential)
    try:
        if credential is None:
            raise Refused("unauthenticated", "Authorization: give a bearer token, or a system's key as one")
        caller = await services.verifier.caller(credential)
    except Refused:
        services.attempts.failed(request, credential)
        raise
    services.attempts.succeeded(credential)
    if wait := await services.limiter.wait(share_of(caller)):
        raise TooManyRequests(wait)
    return caller


CallerOf = Annotated[Caller, Depends(caller_of)]
ServicesOf = Annotated[Services, Depends(services_of)]
CaseId = Annotated[
    str,
    Path(
        description="`{kind}:{key}`",
        pattern="^[a-z][a-z0-9_]*:.+$",
        examples=["complaint:call-2026-0042"],
        max_length=200,
    ),
]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=128, pattern=r"^[!-~]+$", description="See above"),
]


async def object_of(request: Request) -> Json:
    """Return the JSON object that was sent.

    Raises:
        Refused: ``unsupported_media_type``, ``bad_json``, ``too_large``.
    """
    sort = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sort != "application/json":
        raise Refused("unsupported_media_type", "Content-Type: allowed is application/json")
    raw = await request.body()
    try:
        found = json.loads(raw, parse_constant=_no_constant, object_pairs_hook=_once_each)
        # Half a surrogate pair is JSON, but no text.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason = str(error) if type(error) is ValueError else "it cannot be read"
        raise Refused("bad_json", f"the body must be one JSON object: {reason}") from None
    if not isinstance(found, dict):
        raise Refused("malformed", "the body must be one JSON object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _once_each(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in an object twice")
    return found


# --- filing and commands --------------------------------------------------------------------------


def _filing(kind: str) -> Callable[..., Awaitable[Response]]:
    async def file(request: Request, services: ServicesOf, caller: CallerOf, key: Key = None) -> Response:
        intake = await object_of(request)
        view = await actions.file(services, caller, kind, intake, key, strict=True)
        view = await texts.shown_one(services, caller, view)
        return JSONResponse(view, headers={"Location": _address(view["id"])})

    return file


def _address(case_id: str) -> str:
    return f"/api/v1/cases/{case_id.replace('/', '%2F')}"


def filing(forms: Forms) -> APIRouter:
    """Return an operation for each kind that is filed, and for each of these forms."""
    made = APIRouter(default_response_class=JSONResponse)
    for kind in filed_kinds(forms):
        case = forms[kind] if kind in forms else KINDS[kind]
        made.add_api_route(
            f"/cases/{kind}",
            _filing(kind),
            methods=["POST"],
            tags=["filing"],
            operation_id=f"file_{kind}",
            summary=f"File a case: {kind}",
            description=f"{(case.__doc__ or '').splitlines()[0]} The same `key` and content give the same case.",
            response_description="The case, new or as it was filed before",
            responses={200: {"model": CaseView | shapes.Receipt}, **shapes.problems(409, 413, 415)},
            openapi_extra=shapes.body(case.INTAKE, dict(case.EXAMPLE)),
        )

    # A form of a policy that has come since, or no kind at all.
    @made.post("/cases/{kind:kind}", include_in_schema=False)
    async def other(request: Request, services: ServicesOf, caller: CallerOf, kind: str, key: Key = None) -> Response:
        return await _filing(kind)(request, services, caller, key)

    return made


def _sending(name: str) -> Callable[..., Awaitable[Response]]:
    async def send(
        request: Request, services: ServicesOf, caller: CallerOf, case_id: CaseId, key: Key = None
    ) -> Response:
        body = await object_of(request)
        view = await actions.command(services, caller, case_id, name, body, key, strict=True)
        return JSONResponse(await texts.shown_one(services, caller, view))

    return send


def _command_route(path: str, name: str, model: type[Command], operation: str) -> None:
    takes = [case.KIND or "forms" for case in case_types() if name in case.COMMANDS]
    router.add_api_route(
        path,
        _sending(name),
        methods=["POST"],
        tags=["commands"],
        operation_id=operation,
        summary=f"Send a command: {name}",
        description=f"{model.__doc__ or ''}\n\nFor {', '.join(takes)}.",
        response_description="The case after it",
        responses={200: {"model": CaseView | shapes.Receipt}, **shapes.problems(404, 409, 413, 415)},
        openapi_extra=shapes.body(model, dict(model.EXAMPLE)),
    )


for _name, _model in COMMANDS.items():
    _command_route(f"/cases/{{case_id:case}}/commands/{_name}", _name, _model, f"command_{_name}")
_command_route("/cases/{case_id:case}/attachments", "attach", Attach, "attach_reference")


@router.post("/cases/{case_id:case}/commands/{name}", include_in_schema=False)
async def unknown_command(services: ServicesOf, caller: CallerOf, case_id: CaseId, name: str) -> Response:
    """Say which commands there are."""
    view = await actions.find(services, caller, case_id, scope_of(name))
    known = ", ".join(sorted((await actions.kind_of_case(services, view)).offered_commands()))
    raise Refused("unknown_command", f"command = {shown(name)}: this case takes {known}")


@router.post(
    "/cases/{case_id:case}/payees",
    tags=["commands"],
    responses={200: {"model": shapes.Payee}, **shapes.problems(404, 409, 413, 415)},
    openapi_extra=shapes.body(PayeeDetails, {"name": "Zhang San", "account": "6222000000000000", "method": "bank"}),
)
async def add_payee(request: Request, services: ServicesOf, caller: CallerOf, case_id: CaseId) -> Response:
    """Keep whom a case may pay, and get the token that stands for them in `name_payee`.

    Name and account are personal data: they stand apart from the record, which holds the token only.
    """
    body = await object_of(request)
    return JSONResponse({"payee": await actions.add_payee(services, caller, case_id, body)})


# --- reading --------------------------------------------------------------------------------------


class Search(Filter):
    """Which cases are meant; everything given must hold."""

    order: Literal["due", "opened"] = Field("due", description="what is due first, or what was opened last")
    limit: int = Field(50, ge=1, le=200)
    after: str | None = Field(None, min_length=1, max_length=1000, description="`after` of the page before")


class Paging(Model):
    """Which page."""

    limit: int = Field(50, ge=1, le=200)
    after: str | None = Field(None, min_length=1, max_length=1000, description="`after` of the page before")


@router.get("/cases", tags=["reading"], responses={200: {"model": shapes.Cases}, **shapes.problems()})
async def search_cases(services: ServicesOf, caller: CallerOf, search: Annotated[Search, Query()]) -> Response:
    """Find cases among those that the caller sees."""
    actions.check_scope(caller, "read")
    check_kind(search.kind, services.forms)
    page = await actions.search(services, caller, search, order=search.order, limit=search.limit, after=search.after)
    return JSONResponse({"cases": await texts.shown(services, caller, page.cases), "after": page.after})


@router.get(
    "/cases/{case_id:case}/timeline",
    tags=["reading"],
    responses={200: {"model": shapes.Timeline}, **shapes.problems(404)},
)
async def timeline(services: ServicesOf, caller: CallerOf, case_id: CaseId) -> Response:
    """Everything that happened to a case, from the ledger; what people wrote freely for those who may read it."""
    view = await actions.find(services, caller, case_id)
    return JSONResponse({"events": await actions.events(services, caller, view)})


@router.get(
    "/cases/{case_id:case}/linked",
    tags=["reading"],
    responses={200: {"model": shapes.LinkedCases}, **shapes.problems(404)},
)
async def linked(services: ServicesOf, caller: CallerOf, case_id: CaseId) -> Response:
    """List the cases that a case is linked with and that the caller sees: from whichever side somebody linked them."""
    return JSONResponse({"cases": await texts.shown(services, caller, await actions.linked(services, caller, case_id))})


@router.get(
    "/cases/{case_id:case}/clocks", tags=["reading"], responses={200: {"model": shapes.Clocks}, **shapes.problems(404)}
)
async def clocks(services: ServicesOf, caller: CallerOf, case_id: CaseId) -> Response:
    """Why each clock of a case is due when it is: start, limit, pauses, days off, clause."""
    view = await actions.find(services, caller, case_id)
    return JSONResponse({"clocks": await actions.explain(services, caller, view)})


@router.get(
    "/cases/{case_id:case}/personal",
    tags=["reading"],
    responses={200: {"model": shapes.Personal}, **shapes.problems(404)},
)
async def personal(services: ServicesOf, caller: CallerOf, case_id: CaseId) -> Response:
    """Whom a case is about: plain for who handles it, masked for the rest. Each look is recorded."""
    return JSONResponse(await actions.personal(services, caller, case_id))


@router.get(
    "/cases/{case_id:case}/looks", tags=["reading"], responses={200: {"model": shapes.Looks}, **shapes.problems(404)}
)
async def looks(services: ServicesOf, caller: CallerOf, case_id: CaseId) -> Response:
    """Who looked at the personal facts of a case; for QA, the general manager and auditors."""
    return JSONResponse({"looks": await actions.looks(services, caller, case_id)})


@router.get("/looks", tags=["reading"], responses={200: {"model": shapes.Looks}, **shapes.problems()})
async def searches(
    services: ServicesOf,
    caller: CallerOf,
    message: Annotated[int | None, Query(ge=1, le=1 << 53, description="who looked at who wrote it, instead")] = None,
) -> Response:
    """Who found cases by what customers said, not what they searched for; for QA, the general manager and auditors."""
    return JSONResponse({"looks": await actions.searches(services, caller, message)})


@router.get(
    "/cases/{case_id:case}/proof",
    tags=["record"],
    responses={200: {"model": shapes.Proof}, **shapes.problems(404, 409)},
)
async def proof(services: ServicesOf, caller: CallerOf, case_id: CaseId) -> Response:
    """Return the proof of a case up to the last checkpoint, to be kept byte by byte and checked offline.

    For QA, the general manager and auditors.
    """
    return Response(await actions.proof(services, caller, case_id), media_type="application/json")


@router.get(
    "/audit/checkpoint",
    tags=["record"],
    response_class=PlainTextResponse,
    responses={200: shapes.CHECKPOINT, **shapes.problems(404, 409)},
)
async def checkpoint(services: ServicesOf, caller: CallerOf) -> Response:
    """Return the newest checkpoint as it is handed out, for `caseladder audit verify --against`.

    For QA, the general manager and auditors.
    """
    return PlainTextResponse(await actions.checkpoint(services, caller))


@router.get(
    "/cases/{case_id:case}/actions",
    tags=["reading"],
    responses={200: {"model": shapes.Actions}, **shapes.problems(404)},
)
async def possible(services: ServicesOf, caller: CallerOf, case_id: CaseId) -> Response:
    """Return the commands that the caller may send to a case now."""
    view = await actions.find(services, caller, case_id)
    return JSONResponse({"actions": actions.allowed_to(caller, await actions.replayed(services, caller, view))})


@router.get("/cases/{case_id:case}", tags=["reading"], responses={200: {"model": CaseView}, **shapes.problems(404)})
async def case(services: ServicesOf, caller: CallerOf, case_id: CaseId) -> Response:
    """Return a case as it stands after its last recorded event; a text is null for who may not read it."""
    view = await actions.find(services, caller, case_id)
    return JSONResponse(await texts.shown_one(services, caller, view))


@router.get("/approvals", tags=["reading"], responses={200: {"model": shapes.Approvals}, **shapes.problems()})
async def approvals(services: ServicesOf, caller: CallerOf, paging: Annotated[Paging, Query()]) -> Response:
    """Return the approvals that wait for the caller: asked of their role, by somebody else."""
    actions.check_scope(caller, "read")
    if caller.kind == "system":
        # Decisions are asked of people.
        return JSONResponse({"approvals": [], "after": None})
    units, kinds = sees(caller)
    page = await services.worklist.approvals(
        roles={caller.role}, not_by=caller.id, units=units, kinds=kinds, limit=paging.limit, after=paging.after
    )
    views = await texts.shown(services, caller, [asked["case"] for asked in page.cases])
    asked = [{**asked, "case": view} for asked, view in zip(page.cases, views, strict=True)]
    return JSONResponse({"approvals": asked, "after": page.after})


@router.get("/me", tags=["reading"], responses={200: {"model": shapes.Me}, **shapes.problems()})
async def me(caller: CallerOf) -> Response:
    """Who the caller is here, and what they see."""
    units, kinds = sees(caller)
    somebody = next(iter(caller.customers), None)
    known = {**KINDS, **caller.forms}
    return JSONResponse(
        {
            "id": caller.id,
            "role": caller.role,
            "kind": caller.kind,
            "units": None if units is None else sorted(units),
            "kinds": None if kinds is None else sorted(kinds),
            "files": [name for name, kind in known.items() if may_file(caller, kind, None, somebody, somewhere=True)],
            "scopes": sorted(caller.scopes),
            "customers": sorted(caller.customers),
            "language": caller.language,
        }
    )


class Wished(Model):
    """Which policy."""

    name: str = Field("default", min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")
    hash: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="one that a case is pinned to, over `name`")


@router.get("/policy", tags=["reading"], responses={200: {"model": shapes.PolicyAnswer}, **shapes.problems(404)})
async def policy(services: ServicesOf, caller: CallerOf, wished: Annotated[Wished, Query()]) -> Response:
    """Return what is in force under a name, or was when a case was opened."""
    actions.check_scope(caller, "read")
    names = services.policies.names()
    if wished.hash is None:
        if wished.name not in names:
            raise Refused("not_found", f"name = {wished.name!r}: allowed: {', '.join(names)}")
        found = await services.policies.in_force(wished.name)
        answer = {"name": found.name, "hash": found.hash, "policy": json.loads(found.document)}
    else:
        document = await services.casebook.policy_document(wished.hash)
        if document is None:
            raise Refused("not_found", "hash: no case was ever pinned to such a policy")
        content = json.loads(document)
        answer = {"name": content["name"], "hash": wished.hash, "policy": content}
    return JSONResponse({**answer, "names": names})


@router.get("/forms", tags=["reading"], responses={200: {"model": shapes.FormList}, **shapes.problems()})
async def forms(services: ServicesOf, caller: CallerOf) -> Response:
    """Return the forms that the policies declare: what may be filed beside the kinds that are built in."""
    actions.check_scope(caller, "read")
    return JSONResponse({"forms": [described(form) for form in services.forms.values()]})


@router.get("/forms/{name}", tags=["reading"], responses={200: {"model": shapes.FormAnswer}, **shapes.problems(404)})
async def form(services: ServicesOf, caller: CallerOf, name: str) -> Response:
    """Return one form: its fields and steps, who files and signs it, and by when."""
    actions.check_scope(caller, "read")
    found = services.forms.get(name)
    if found is None:
        raise Refused("not_found", f"form = {shown(name)}: allowed: {', '.join(services.forms) or 'none'}")
    return JSONResponse(described(found))


# --- live -----------------------------------------------------------------------------------------


class Watching(Model):
    """Which events; everything given must hold."""

    kind: str | None = Field(None, min_length=1, max_length=40, description="of the case, also a form's")
    case: str | None = Field(None, min_length=1, max_length=200)
    type: str | None = Field(None, min_length=1, max_length=64, description="of the event, like `escalated`")
    unit: str | None = Field(None, min_length=1, max_length=128)
    after: str | None = Field(None, max_length=40, description="like Last-Event-ID, for clients that cannot send it")

    def wanted(self, caller: Caller) -> Wanted:
        """Return the events that are asked for and may be seen."""
        seen = visible(caller)

        def wanted(event: FeedEvent) -> bool:
            return (
                (self.kind is None or event.kind == self.kind)
                and (self.case is None or event.case_id == self.case)
                and (self.unit is None or event.unit == self.unit)
                and (self.type is None or event.event["type"] == self.type)
                and seen(event)
            )

        return wanted


@router.get(
    "/events",
    tags=["reading"],
    response_class=EventStream,
    status_code=200,
    responses={
        200: {"description": "Server-sent events: `id` the position, `data` one JSON object"},
        **shapes.problems(),
    },
)
async def events(
    request: Request,
    services: ServicesOf,
    caller: CallerOf,
    watching: Annotated[Watching, Query()],
    last: Annotated[str | None, Header(alias="Last-Event-ID", max_length=40)] = None,
) -> Response:
    """Return the events of the cases that the caller sees, as they are recorded.

    With Last-Event-ID from there on, without a gap. Ends when the caller's token does. What people wrote freely is in
    them for who reads it in every case that they see; for others it is in the timelines of the cases they act in.
    """
    actions.check_scope(caller, "read")
    check_kind(watching.kind, services.forms)
    after = last or watching.after or None
    read_position(after)
    credential = request.headers["authorization"].partition(" ")[2].strip()

    watcher = Watcher(watching.wanted(caller), reads_all_texts(caller))

    async def still() -> Watcher | None:
        nonlocal watcher
        try:
            now = await services.verifier.caller(credential)
            actions.check_scope(now, "read")
            watcher = Watcher(watching.wanted(now), reads_all_texts(now))
        except Refused:
            return None
        except (DatabaseAway, StatementFailed):
            # While it is away, nothing comes that anybody could see.
            pass
        return watcher

    return EventStream(services.live, services.streams, caller, watcher, after, still)
