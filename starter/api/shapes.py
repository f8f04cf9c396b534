"""What the API answers, as OpenAPI tells it, and the examples that stand beside it."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict

from cases.registry import KINDS
from starter.access import FILED
from starter.api import schemas
from starter.api.problems import MEDIA_TYPE

SHIPMENT = {"waybill": "SF1234567890", "posted_on": "2026-03-01", "base_freight": "18.00", "weight_kg": "1.2"}
INTAKES: dict[str, dict[str, Any]] = {
    "complaint": {
        "key": "call-2026-0042",
        "facts": {
            "category": "delay",
            "unit": "east",
            "shipment": SHIPMENT,
            "customer": {"name": "王小明", "phone": "13800000000"},
            "description": "The parcel should have come on Monday.",
        },
    },
    "claim": {
        "key": "form-2026-0007",
        "facts": {
            "factor": "damage",
            "claimant": {"relation": "sender"},
            "shipment": {**SHIPMENT, "insured_amount": "500.00"},
            "loss": {"total_value": "500.00", "lost_value": "120.00"},
        },
    },
    "exception": {
        "key": "shift-2026-0311",
        "facts": {"source": "self_found", "known_at": "2026-03-11T09:00:00+08:00", "category": "damage"},
    },
    "inquiry": {"key": "web-2026-9", "facts": {"shipment": SHIPMENT, "question": "Where is it?"}},
}
# The fields of a command, where it needs any.
BODIES: dict[str, dict[str, Any]] = {
    "assign": {"to": {"id": "agent-7", "role": "agent"}},
    "escalate": {"reason": "The customer wants to speak to the supervisor."},
    "note": {"text": "Called the depot; the parcel is there."},
    "attach": {"name": "call.wav", "sha256": "0" * 64, "where": "s3://recordings/2026/03/11/call.wav", "size": 81920},
    "log_contact": {"reached": False, "channel": "phone", "reason": "no answer"},
    "promise": {"reply_by": "2026-03-11T12:00:00+08:00"},
    "reply": {"stage": "answer", "text": "It is delivered today."},
    "resend": {"notice": 2},
    "name_relief": {"to": {"id": "agent-8", "role": "agent"}},
    "refuse": {"reason": "I am away that day."},
    "load_calendar": {"year": 2027, "published": {"source": "notice of 2026-11-01", "holidays": ["2027-01-01"]}},
    "request_approval": {"subject": "compensation", "amount": "350.00", "reason": "damaged"},
    "approve": {"reason": "as assessed"},
    "reject": {"reason": "the photographs are missing"},
    "extend": {"clock": "resolution", "due": "2026-03-14T09:00:00+08:00", "reason": "a difficult case"},
    "resolve": {"summary": "delivered"},
    "follow_up": {"satisfied": True},
    "reopen": {"reason": "it happened again"},
    "investigate": {"finding": "sorted to the wrong depot", "delay_cause": "human", "justified": True},
    "propose": {"options": ["refund of the freight", "a voucher"]},
    "answer_option": {"accepted": True},
    "assess": {"cause": "company"},
    "offer": {"amount": "120.00"},
    "decline_offer": {"counter": "200.00"},
    "dispute": {"path": "negotiation"},
    "confirm_payment": {"reference": "bank-20260311-17"},
    "confirm_phone_notice": {"roles": ["department_manager"]},
    "find": {"cause": "a strap was loose", "report": "genuine"},
    "correct": {"action": "straps are checked at every loading"},
    "settle": {"amount": "80.00"},
    "check_goods": {"checklist": {"witnesses": ["site_manager"], "photographs": 3, "resealed": True, "label": "E-7"}},
    "hold_goods": {"reason": "a dispute about who carries it"},
    "sign": {"text": "Cause and prevention are as listed."},
    "send_back": {"reason": "the second case is missing"},
}


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


class Clock(_Answer):
    """A deadline of a case."""

    clock: str
    state: str
    due: str


class Approval(_Answer):
    """Something that somebody with authority must decide; amounts in yuan."""

    subject: str
    amount: str | None
    role: str
    requested_by: str
    state: str


class CaseView(_Answer):
    """A case as it stands, without personal data. Each kind adds fields of its own."""

    id: str
    key: str
    kind: str
    number: str | None
    status: str
    outcome: str | None
    rung: str
    holder: str
    acknowledged: bool
    unit: str | None
    severity: str | None
    facts: dict[str, Any]
    parent: str | None
    policy: str
    policy_hash: str
    opened_at: str | None
    resolved_at: str | None
    closed_at: str | None
    next_due: str | None
    breached: list[str]
    clocks: list[Clock]
    approvals: list[Approval]
    events: int


class Cases(_Answer):
    """A page of cases; ``after`` asks for the next one and is null on the last."""

    cases: list[CaseView]
    after: str | None


class Asked(_Answer):
    """An approval that waits for the caller, and its case."""

    case: CaseView
    approval: Approval


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


class Personal(_Answer):
    """Whom a case is about; ``masked`` for who does not handle it."""

    masked: bool
    erased: bool
    facts: dict[str, Any]


class Look(_Answer):
    """Somebody looked at the personal facts of a case."""

    caller: str
    role: str
    masked: bool
    at: str


class Looks(_Answer):
    """Who looked at the personal facts of a case, the last first."""

    looks: list[Look]


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
    language: str


class PolicyAnswer(_Answer):
    """A policy with its hash; ``names`` are those that can be asked for."""

    name: str
    hash: str
    names: list[str]
    policy: dict[str, Any]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents that an operation may answer with, beside those that any may."""
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
    """The request body of an operation that reads it by itself."""
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def describe(app: FastAPI) -> None:
    """Complete the app's OpenAPI document with the schemas of what is sent."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=_TEXT, routes=app.routes)
    known = made.setdefault("components", {}).setdefault("schemas", {})
    sent: set[type[BaseModel]] = {KINDS[kind].INTAKE for kind in FILED}
    sent |= {model for kind in KINDS.values() for model in kind.COMMANDS.values()}
    for model in sorted(sent, key=lambda one: one.__name__):
        schema = schemas.whole(model, schemas.REF)
        known.update(schema.pop("$defs", {}))
        known[model.__name__] = schema
    known["Problem"] = Problem.model_json_schema(ref_template=schemas.REF)
    # FastAPI's own form of an invalid request, which is never answered here.
    known.pop("HTTPValidationError", None)
    known.pop("ValidationError", None)
    return made


_TEXT = """\
Files, reads and commands the cases of a customer service.

A bearer token of the configured OIDC issuer, or a key of a system, says who calls; a command is always
by its sender. Errors are problem documents (RFC 9457) with a stable `code` and, where a rule forbids
something, its `clause`. 400: not of the form that the schema says. 422: of that form, but with a value
that no rule takes. 409: against the state of the case. Amounts are decimal strings in yuan; instants
are RFC 3339 with an offset.

Every write takes an `Idempotency-Key`: repeated with the same content it answers the same for a week,
with other content 409. A case's id holds a colon and may hold slashes: write them as %2F.
"""
