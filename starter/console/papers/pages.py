"""The pages of forms: which there are, one of them with its route and deadlines, and filing one."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from starlette.exceptions import HTTPException
from starlette.responses import Response

from cases.policy.forms import titles_of
from cases.vocabulary.refusals import Refused
from starter.access import may_file
from starter.api import actions
from starter.api.actions import NoAnswer
from starter.console.faults import in_form
from starter.console.forms import Field, body_of
from starter.console.papers.inputs import FIELDS, faults_in, refused_at
from starter.console.papers.paper import Paper, filed_by, paper_of, taken, unit_of
from starter.console.papers.route import roles_said, stages
from starter.console.web import Look, Message, case_url

Json = dict[str, Any]
# The key of a case that was filed here begins with this, as the day of filing goes on.
KEY = "F"


@dataclass(frozen=True)
class Line:
    """A form in the list of all."""

    name: str
    title: str
    clause: str
    files: str
    steps: str
    policy: str
    may_file: bool


async def forms(look: Look) -> Response:
    """List the forms, those first that whoever looks may file."""
    mine = set(filed_by(look))
    lines = []
    for name, form in look.services.forms.items():
        paper = Paper.of(look, name, form.DECLARED_BY)
        steps = " → ".join(stage.title for stage in stages(paper))
        files = roles_said(paper, paper.table.files)
        lines.append(Line(name, paper.title, paper.table.clause, files, steps, paper.policy.name, name in mine))
    lines.sort(key=lambda line: not line.may_file)
    return look.page("forms.html", page="forms", lines=lines)


# --- filing ---------------------------------------------------------------------------------------


async def file(look: Look) -> Response:
    """Show the page on which a form is filed, and file it where it was sent."""
    paper = await paper_of(look)
    if not may_file(look.who, look.services.forms[paper.name], unit_of(look)):
        raise HTTPException(403)
    inputs = taken(look, paper)
    if look.request.method == "POST" and look.field("more") is None:
        return await _send(look, paper, inputs)
    draft = look.draft()
    return _page(look, paper, inputs, draft.fields if draft else look.fields)


def _page(
    look: Look,
    paper: Paper,
    inputs: Sequence[Field],
    typed: Mapping[str, Sequence[str]],
    errors: Mapping[str, str] | None = None,
    *,
    status: int = 200,
) -> Response:
    return look.page(
        "form_file.html",
        status=status,
        page="forms",
        paper=paper,
        inputs=inputs,
        typed=typed,
        **in_form(inputs, typed, errors or {}),
        computed=[
            (titles_of(rule.title, name)[look.words.language], paper.words.word("fact", rule.summed[0]))
            for name, rule in paper.table.fields.items() if rule.sum is not None
        ],
        first=stages(paper)[0],
        key=(typed.get("key") or [_key(look)])[0],
        zone=paper.policy.zone,
        unit_id=unit_of(look),
    )  # fmt: skip


def _key(look: Look) -> str:
    """Return a new key, which is in the page, so that a form that is sent twice is one form."""
    return f"{KEY}-{look.times.now:%Y%m%d}-{secrets.token_hex(4)}"


async def _send(look: Look, paper: Paper, inputs: Sequence[Field]) -> Response:
    intake = _intake(look, paper, inputs)
    errors = faults_in(paper.form.INTAKE, intake, inputs, look.fields, paper.words)
    if errors:
        return _page(look, paper, inputs, look.fields, errors, status=422)
    try:
        view = await actions.file(look.services, look.who, paper.name, intake)
    except Refused as refusal:
        errors = refused_at(refusal, paper.table, paper.words)
        if not errors:
            look.message = Message("bad", look.say("case.again", why=look.words.refusal(refusal)))
        return _page(look, paper, inputs, look.fields, errors, status=422)
    except NoAnswer:
        look.message = Message("bad", look.say("error.away"))
        return _page(look, paper, inputs, look.fields, status=503)
    return look.go(case_url(view["id"], filed=paper.name))


def _intake(look: Look, paper: Paper, inputs: Sequence[Field]) -> Json:
    """Return what was typed as the intake of the form, filed by whoever typed it, for their unit."""
    body = body_of(inputs, look.fields, ZoneInfo(paper.policy.zone))
    key_field = paper.table.key_field
    key = body.get(key_field) if key_field is not None else look.field("key")
    facts: Json = {"filed_by": {"id": look.who.id, "role": look.who.role}, FIELDS: body}
    if (unit := unit_of(look)) is not None:
        facts["unit"] = unit
    intake: Json = {"key": key or _key(look), "facts": facts}
    return intake | ({} if paper.policy.name == "default" else {"policy": paper.policy.name})
