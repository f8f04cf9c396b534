"""What the API answers, as OpenAPI tells it, and the examples that stand beside it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from activities.payouts.payees import PayeeDetails
from activities.replies.inbox import DismissedFor
from cases.registry import KINDS, case_types
from cases.vocabulary.events import EVENTS
from cases.vocabulary.lifecycle import ErasedFor
from cases.vocabulary.values import Model
from cases.vocabulary.views import ApprovalView, CaseView
from starter.access import filed_kinds
from starter.api import schemas
from starter.api.problems import MEDIA_TYPE
from starter.forms import Forms


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class Problem(_Answer):
    """A refusal or an error (RFC 9457). ``code`` is stable; ``clause`` names the rule, where one forbids it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    clause: str | None = None


class Cases(_Answer):
    """A page of cases; ``after`` asks for the next one and is null on the last."""

    cases: list[CaseView]
    after: str | None


class LinkedCases(_Answer):
    """The cases that a case is linked with: links, its parent and children, duplicates."""

    cases: list[CaseView]


class Asked(_Answer):
    """An approval that waits for the caller, and its case."""

    case: CaseView
    approval: ApprovalView


class Approvals(_Answer):
    """A page of approvals; ``after`` asks for the next one and is null on the last."""

    approvals: list[Asked]
    after: str | None


class Actor(_Answer):
    """Who did something."""

    id: str
    role: str


class Event(_Answer):
    """Something that happened to a case."""

    seq: int
    type: str
    at: str
    recorded_at: str
    actor: Actor
    clauses: list[str]
    data: dict[str, Any]


class Timeline(_Answer):
    """Everything that happened to a case, oldest first."""

    events: list[Event]


class Explained(_Answer):
    """Why a clock is due when it is."""

    clock: str
    state: str
    started_at: str
    due: str
    clause: str


class Clocks(_Answer):
    """The clocks of a case, past ones first, as the ledger gives them now."""

    clocks: list[Explained]


class Payee(_Answer):
    """The token that stands for somebody whom a case may pay."""

    payee: str


class Personal(_Answer):
    """Whom a case is about; ``masked`` for who does not handle it."""

    masked: bool
    erased: bool
    facts: dict[str, Any]


class Look(_Answer):
    """Somebody looked at the personal facts of a case, or found it by a phone or a mail address (``by_phone``)."""

    caller: str
    role: str
    masked: bool
    by_phone: bool
    at: str


class Looks(_Answer):
    """Who looked at the personal facts of a case, the last first."""

    looks: list[Look]


class File(_Answer):
    """A document that was attached: bytes, SHA-256, and where it is.

    ``file`` is its id where the content is kept here; None for a reference to somewhere else.
    """

    name: str
    size: int | None
    sha256: str
    where: str
    at: str
    by: str
    file: str | None


class Files(_Answer):
    """What is attached to a case, the last first."""

    files: list[File]


class ErasedCase(_Answer):
    """A case of an erasure: when it was erased, or by which code it was refused, and when nothing was left of it."""

    case: str
    erased_at: str | None
    refused: str | None
    gone_at: str | None


class Erasure(_Answer):
    """An erasure: who asked for it, who decided it. ``kept`` says why other cases of the customer stay, by id."""

    id: int
    why: str
    asked_by: str | None
    asked_role: str | None
    asked_at: str
    approved: bool | None
    decided_by: str | None
    decided_role: str | None
    decided_at: str | None
    cases: list[ErasedCase]
    kept: dict[str, str] | None = None


class Erasures(_Answer):
    """Erasures, the last first."""

    erasures: list[Erasure]


class LegalHold(_Answer):
    """A legal hold of a case."""

    case: str
    reference: str
    set_by: str
    set_at: str
    lifted_by: str | None
    lifted_at: str | None


class Holds(_Answer):
    """Legal holds, the oldest first."""

    holds: list[LegalHold]


class Signature(_Answer):
    """An Ed25519 signature of a DSSE envelope."""

    keyid: str
    sig: str


class Envelope(_Answer):
    """A signed checkpoint: a DSSE envelope, whose payload is canonical JSON in Base64."""

    payloadType: str
    payload: str
    signatures: list[Signature]


class Proof(_Answer):
    """The proof of a case: its events as they were recorded, the way to the root of all cases, a checkpoint."""

    format: str
    case: str
    number: str
    events: list[str]
    texts: list[Any]
    index: int
    path: list[str]
    checkpoint: Envelope


class Receipt(_Answer):
    """What a key without the scope `read` is told of a case that it filed or sent a command to."""

    id: str
    number: str | None
    status: str


class Actions(_Answer):
    """The commands that the caller may send to a case now; the case has the last word."""

    actions: list[str]


class Me(_Answer):
    """The caller as the API knows them; ``units`` null is every unit, "" stands for cases without one."""

    id: str
    role: str
    kind: Literal["person", "system"]
    units: list[str] | None
    kinds: list[str] | None
    scopes: list[str]
    customers: list[str]
    language: str


class PolicyAnswer(_Answer):
    """A policy with its hash; ``names`` are those that can be asked for."""

    name: str
    hash: str
    names: list[str]
    policy: dict[str, Any]


class Titles(_Answer):
    """A title in both languages."""

    en: str
    zh: str


class FieldAnswer(_Answer):
    """A field of a form. ``filled_by`` names the step that gives it; ``sum`` what it is computed of."""

    name: str
    type: str
    title: Titles
    required: bool
    personal: bool


class StepAnswer(_Answer):
    """A step of a form: who acts, all of ``roles`` or one of ``any_of``; ``decides`` names the amount decided."""

    name: str
    title: Titles
    act: str


class FormAnswer(_Answer):
    """A form that a policy declares: who files it, its fields, its steps, and what follows."""

    name: str
    title: Titles
    clause: str
    policy: str
    files: list[str]
    fields: list[FieldAnswer]
    steps: list[StepAnswer]
    copies: list[str]
    outcome: str


class FormList(_Answer):
    """The forms that the policies declare."""

    forms: list[FormAnswer]


# A text, so that a model tells only what its first line is.
CHECKPOINT: dict[str, Any] = {
    "description": "A line with an `Envelope` and the `peaks` of the tree before it; a line for each run of events.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


CaseName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*:[A-Za-z0-9._:/-]+$", max_length=200)]


class WantedErasure(Model):
    """What is to be erased: a case, or every case of a customer; and why."""

    case: CaseName | None = None
    customer: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="the reference that `customer.ref` of the facts names; it is not kept"
    )
    why: ErasedFor


class WantedMessage(Model):
    """What a customer has written, as a gateway for SMS, a mini-program or a web page has it."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="of the gateway: a repeat with the same id is the same message"
    )
    from_: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=254)] | None = Field(
        None, alias="from", description="the phone number or e-mail address that it came from"
    )
    ref: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] | None = Field(
        None, description="the reference of the customer, where they were logged in"
    )
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)] = Field(
        description="the first 4,000 characters are kept"
    )
    in_reply_to: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="the `id` of the message that was posted to the gateway and is answered"
    )
    number: Annotated[str, StringConstraints(min_length=4, max_length=32)] | None = Field(
        None, description="of the case; it counts where the customer is known to be reached there"
    )
    kind: Annotated[str, StringConstraints(max_length=60)] | None = Field(
        None, description="of the case, where the number alone may mean several"
    )
    via: Literal["message", "web"] = "message"


class TakenMessage(_Answer):
    """What became of a message: it waits for a worker, came before, or was sent by a machine and is noted alone."""

    state: Literal["waits", "known", "auto", "loop"]


class WaitingMessage(_Answer):
    """What a customer has written and no case takes; ``why`` is `unmatched`, or a code such as `closed`.

    In a list ``from`` is masked, and ``text`` is how it begins.
    """

    id: int
    came_at: str
    via: Literal["mail", "message", "web"]
    from_: dict[Literal["email", "phone", "ref"], str] = Field(alias="from")
    subject: str
    text: str
    why: str | None


class WaitingMessages(_Answer):
    """A page of messages that wait for a person; ``after`` asks for the next one and is null on the last."""

    messages: list[WaitingMessage]
    after: str | None


class SettledMessage(_Answer):
    """A message that was settled: what came of it, and the case that it goes to."""

    id: int
    state: Literal["added", "dismissed"]
    case: str | None


class MessageTarget(Model):
    """The case that a message is put on."""

    case: Annotated[str, StringConstraints(min_length=4, max_length=200)] = Field(
        description="its id, or its number: `2026-03-0042`, or `claim 2026-03-0042` where several kinds have it"
    )


class MessageDismissal(Model):
    """Why nothing follows from a message: it was answered otherwise, is there twice, is for others, and so on."""

    reason: DismissedFor


class WantedHold(Model):
    """A case that must not be erased, and the file number of the court or authority that wants it kept."""

    case: CaseName
    reference: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class HeldCase(Model):
    """A case of which a hold is lifted."""

    case: CaseName


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problem documents that an operation may answer with, beside those that any may."""
    return {status: _problem() for status in sorted({400, 401, 403, 422, 429, 503, *statuses})}


def _problem() -> dict[str, Any]:
    # Named in the schema by hand: given as a model it would be said to be plain JSON.
    return {
        "description": "Refused",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": _EXAMPLE}},
    }


_EXAMPLE = {
    "type": "about:blank",
    "title": "Forbidden",
    "status": 403,
    "detail": "by.id = 'agent-7' asked for it; somebody else must decide",
    "code": "four_eyes",
    "clause": "S1-5.9.10",
}


def body(model: type[BaseModel], example: Any = None) -> dict[str, Any]:
    """Return the request body of an operation that reads it by itself."""
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def describe(app: FastAPI, forms: Forms) -> None:
    """Complete the app's OpenAPI document with the schemas of what is sent, and of these forms."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, forms)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, forms: Forms) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=_TEXT, routes=app.routes)
    known = made.setdefault("components", {}).setdefault("schemas", {})
    models: set[type[BaseModel]] = {KINDS[kind].INTAKE for kind in filed_kinds()}
    models |= {form.INTAKE for form in forms.values()}
    models |= {
        PayeeDetails,
        WantedErasure,
        WantedHold,
        WantedMessage,
        MessageTarget,
        MessageDismissal,
        HeldCase,
        *(model for kind in case_types() for model in kind.offered_commands().values()),
    }
    answered: dict[type[BaseModel], str] = {kind.VIEW: kind.KIND or "a form" for kind in case_types()}
    for model in sorted({*models, *answered, *EVENTS.values()}, key=lambda one: one.__name__):
        schema = schemas.whole(model, schemas.REF)
        known.update(schema.pop("$defs", {}))
        known[model.__name__] = schema
    for model in answered:
        known[model.__name__]["properties"]["recorded"] = _RECORDED
    known["CaseView"] = _one_of({name: model.__name__ for model, name in answered.items()}, CaseView)
    known["Event"]["properties"]["data"] = _one_of({type_: model.__name__ for type_, model in EVENTS.items()}, None)
    known["Problem"] = Problem.model_json_schema(ref_template=schemas.REF)
    # Which kinds there are, only the app knows.
    kinds = {"anyOf": [{"type": "string", "enum": [*KINDS, *forms]}, {"type": "null"}], "title": "Kind"}
    for operations in made["paths"].values():
        for operation in operations.values():
            asked = (one for one in operation.get("parameters", ()) if (one["in"], one["name"]) == ("query", "kind"))
            for parameter in asked:
                parameter["schema"] = kinds
    # FastAPI's own form of an invalid request, which is never answered here.
    known.pop("HTTPValidationError", None)
    known.pop("ValidationError", None)
    return made


def _one_of(names: dict[str, str], base: type[BaseModel] | None) -> dict[str, Any]:
    """Return the schema of what is one of several models: of a kind, or of a type of event."""
    said = ", ".join(f"{value}: {name}" for value, name in names.items())
    refs = [{"$ref": schemas.REF.format(model=name)} for name in names.values()]
    return {"description": f"{(base.__doc__ or '') if base else 'By the type of the event.'} {said}.", "anyOf": refs}


# Only the workflow of a case knows it, so no model of the rules has it.
_RECORDED = {
    "title": "Recorded",
    "type": "integer",
    "minimum": 0,
    "description": "how many of its events the ledger has; the others only the engine",
}

_TEXT = """\
Files, reads and commands the cases of a customer service.

A bearer token of the configured OIDC issuer, for people of the directory of staff, or a key of a system,
says who calls; a command is always by its sender. A key that may not read is answered to what it files
and commands with a receipt: the case's id, number and status. Errors are problem documents (RFC 9457)
with a stable `code` and, where a rule forbids something, its `clause`. 400: not of the form that the
schema says. 422: of that form, but with a value that no rule takes. 409: against the state of the case.
Amounts are decimal strings in yuan; instants are RFC 3339 with an offset.

Every write takes an `Idempotency-Key`: repeated with the same content it answers the same for a week,
with other content 409. A case's id holds a colon and may hold slashes: write them as %2F.
"""
