"""A form's page, and its table while somebody edits it: its faults or its drawing, and an example that is rehearsed.

Nothing is stored, and no policy of the server changes: the table is read as a file of forms beside its policy.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from cases.policy.forms import FieldRule
from cases.policy.inheritance import read_table
from cases.vocabulary.events import Actor
from cases.vocabulary.refusals import Refused
from starter.console.faults import in_form
from starter.console.forms import Field, body_of, row_of
from starter.console.papers.inputs import FIELDS, faults_in, refused_at
from starter.console.papers.paper import Paper, filed_by, paper_of, taken
from starter.console.papers.route import FILER, LINE, TimeLine, roles_said, stages, time_line
from starter.console.papers.sample import sample_of
from starter.console.papers.walk import FURTHEST, Act, Walked, intake_of, rehearsed
from starter.console.papers.written import toml_of
from starter.console.times import Times
from starter.console.web import Look

Json = dict[str, Any]
Typed = Mapping[str, Sequence[str]]
# Bytes of a table; commands of an example, of which so many lines are left free; days that pass after the last one.
LARGEST, MOST_ACTS, FREE, AFTERWARDS = 64 * 1024, 40, 2, 1
# What may be done in an example, and under which name what is written with it is sent.
ACTS = {"sign": "text", "send_back": "reason", "refuse": "reason", "approve": "reason", "reject": "reason",
        "grant_early": "reason"}  # fmt: skip
TABLE = "table"
# Several faults are told in one sentence.
_BETWEEN = re.compile(r"; (?=(?:form|notice|form_defaults)\b)")


@dataclass(frozen=True)
class Trial:
    """An example as it was typed: when it is filed and by which role, and what is done after that, line by line."""

    filed: str
    role: str
    acts: tuple[Mapping[str, str], ...]


async def form(look: Look) -> Response:
    """Show one form, as its policy declares it, with a place to try out another table."""
    paper = await paper_of(look)
    return _page(
        look, paper, drawing=await asyncio.to_thread(_drawing, look, paper), text=toml_of(paper.name, paper.policy)
    )


async def preview(look: Look) -> Response:
    """Show what a table that was typed would be, or what is wrong with it; with ``do`` an example of it."""
    paper = await paper_of(look)
    if look.request.method != "POST":
        return look.go(f"/console/forms/{paper.name}")
    text = (look.field(TABLE) or "").replace("\r\n", "\n")
    try:
        tried = await _read(look, paper, text)
    except Refused as refusal:
        faults = _BETWEEN.split(refusal.message.removeprefix("policy: "))
        if look.request.headers.get("HX-Request"):
            return look.page("form_faults.html", faults=faults)
        return _page(look, paper, faults=faults, text=text, status=422)
    # What is typed may have fifty steps of as many roles: others are served meanwhile.
    drawing = await asyncio.to_thread(_drawing, look, tried, look.fields)
    if look.field("do") == "rehearse":
        drawing |= await asyncio.to_thread(_rehearsal, look, tried)
    if look.request.headers.get("HX-Request"):
        return look.page("form_drawn.html", **drawing)
    return _page(look, paper, drawing=drawing, text=text)


def _page(
    look: Look, paper: Paper, *, text: str, drawing: Json | None = None, faults: Sequence[str] = (), status: int = 200
) -> Response:
    shown: Json = {"paper": paper, "errors": {}, "result": None} | (drawing or {})
    return look.page(
        "form_page.html", status=status, page="forms", of=paper, text=text, faults=faults, most=LARGEST,
        inherited=paper.name in look.services.policies.inherited(paper.policy.name),
        shipped=toml_of(paper.name, paper.policy), may_file_it=paper.name in filed_by(look), drawn=drawing is not None,
        **shown,
    )  # fmt: skip


async def _read(look: Look, paper: Paper, text: str) -> Paper:
    """Return the form that a text declares: of several the one that the page is about, else the first.

    Raises:
        Refused: code ``bad_policy``, as ``policy check`` says it; ``too_large``.
    """
    if len(text.encode()) > LARGEST:
        raise Refused("too_large", look.say("paper.too_large", most=LARGEST // 1024))
    policy = await look.services.policies.beside(text, paper.policy.name)
    declared = read_table(text)["form"]
    name = paper.name if paper.name in declared else next(iter(declared))
    return Paper.of(look, name, policy, tried=True)


def _drawing(look: Look, paper: Paper, typed: Typed | None = None) -> Json:
    """Return what a page shows of a form."""
    table, times = paper.table, Times(ZoneInfo(paper.policy.zone), paper.words)
    line = time_line(paper, times.now)
    return {
        "paper": paper,
        "of_name": look.request.path_params["name"],
        "trial_open": look.field("do") == "rehearse",
        "times": times,
        "words": paper.words,
        "word": paper.words.word,
        "fields": [(name, paper.words.title(rule, name), rule) for name, rule in table.fields.items()],
        "filled": {name: paper.words.word("step", step.name) for step in table.steps for name in step.fills},
        "stages": stages(paper),
        "line": line,
        "length": LINE,
        "files": roles_said(paper, table.files),
        "copies": roles_said(paper, table.copies),
        "told": roles_said(paper, table.notify),
        "early": roles_said(paper, table.early.roles) if table.early else "",
        "result": None,
        "errors": {},
        **_trial(look, paper, line, times.now, typed),
    }


# --- an example -----------------------------------------------------------------------------------


def _trial(look: Look, paper: Paper, line: TimeLine, now: datetime, typed: Typed | None) -> Json:
    """Return the form in which an example is typed, at first one that is signed at every limit."""
    inputs, roles = taken(look, paper), paper.policy.expand(paper.table.files)
    typed = typed if typed and "trial.filed" in typed else None
    role = roles[0]
    begun = typed or _begun(inputs, sample_of(paper.table, paper.policy, now, role), paper)
    trial = _typed_trial(typed) if typed else Trial(f"{now:%Y-%m-%dT%H:%M}", role, _acts(line, paper))
    free = tuple(dict.fromkeys(("at", "by", "do", "text", "to"), "") for _ in range(FREE))
    return {
        "inputs": inputs,
        "typed": begun,
        "trial": replace(trial, acts=(*trial.acts, *free)[:MOST_ACTS]),
        "filers": [(one, paper.words.word("role", one)) for one in roles],
        "actors": [
            (FILER, look.say("paper.filer")),
            *((r, paper.words.word("role", r)) for r in paper.policy.all_roles),
        ],
        "acts": tuple(ACTS),
    }


def _acts(line: TimeLine, paper: Paper) -> tuple[Mapping[str, str], ...]:
    """Return the acts of a form that is signed at every limit, as an example begins."""
    walked = line.walked
    if walked.case is None:
        return ()
    known = {f"{one.actor.id}": one.actor.role for one in walked.events}
    acts = []
    for event in walked.events:
        if event.type in ("signed", "approved") and event.actor.id in known:
            at = f"{paper.policy.local(event.at):%Y-%m-%dT%H:%M}"
            opinion = event.data.get("text") or ""
            do = "approve" if event.type == "approved" else "sign"
            acts.append({"at": at, "by": event.actor.role, "do": do, "text": str(opinion), "to": ""})
    return tuple(acts[:MOST_ACTS])


def _typed_trial(typed: Typed) -> Trial:
    def first(name: str) -> str:
        return (typed.get(name) or [""])[0].strip()

    acts = [
        {key: first(f"act.{place}.{key}") for key in ("at", "by", "do", "text", "to")} for place in range(MOST_ACTS)
    ]
    return Trial(first("trial.filed"), first("trial.role"), tuple(act for act in acts if act["at"] or act["do"]))


def _begun(inputs: Sequence[Field], values: Mapping[str, Any], paper: Paper) -> dict[str, list[str]]:
    """Return JSON as it would have been typed."""
    typed: dict[str, list[str]] = {}
    for field in inputs:
        name = field.name.removeprefix(f"{FIELDS}.")
        value, rule = values.get(name), paper.table.fields[name]
        if value is None:
            continue
        if field.kind == "rows":
            for place, row in enumerate(value):
                for cell in row_of(field, place):
                    column = cell.name.rpartition(".")[2]
                    typed[cell.name] = [_said(row[column], rule.columns[column], paper)]
        elif field.kind == "attachment":
            typed |= {one.name: [str(value[one.name.rpartition(".")[2]])] for one in field.inner}
        else:
            typed[field.name] = [_said(value, rule, paper)]
    return typed


def _said(value: Any, rule: FieldRule, paper: Paper) -> str:
    if rule.type == "instant":
        return f"{paper.policy.local(datetime.fromisoformat(value)):%Y-%m-%dT%H:%M}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _rehearsal(look: Look, paper: Paper) -> Json:
    """Return what came of the example that was typed."""
    zone, trial = ZoneInfo(paper.policy.zone), _typed_trial(look.fields)
    inputs = taken(look, paper)
    fields = body_of(inputs, look.fields, zone)
    filer = Actor(FILER, trial.role)
    key_field = paper.table.key_field
    intake = intake_of(fields, filer, None if key_field is None else str(fields.get(key_field)))
    errors = faults_in(paper.form.INTAKE, intake, inputs, look.fields, paper.words)
    if errors:
        return in_form(inputs, look.fields, errors, begins=False)
    filed = _at(trial.filed, zone)
    if filed is None or not filed - FURTHEST < Times(zone, look.words).now < filed + FURTHEST:
        return {"wrong": look.say("paper.filed_when")}
    acts = [_act(act, filer, zone) for act in trial.acts if act["do"] in ACTS and act["by"]]
    known = [act for act in acts if act is not None and filed <= act.at < filed + FURTHEST]
    if len(known) < len(acts):
        return {"wrong": look.say("paper.acted_when")}
    known.sort(key=lambda act: act.at)
    until = (known[-1].at if known else filed) + timedelta(days=AFTERWARDS)
    filled = sample_of(paper.table, paper.policy, filed, trial.role)
    walked = rehearsed(paper, intake, filed, known, until, filled)
    return _came_of(look, paper, walked)


def _at(text: str, zone: ZoneInfo) -> datetime | None:
    with suppress(ValueError):
        at = datetime.fromisoformat(text)
        # At the ends of the calendar no time passes.
        if 2000 <= at.year <= 9000:
            return at.replace(tzinfo=zone) if at.tzinfo is None else at
    return None


def _act(act: Mapping[str, str], filer: Actor, zone: ZoneInfo) -> Act | None:
    at = _at(act["at"], zone)
    by = filer if act["by"] == FILER else Actor(f"{act['by']}-1", act["by"])
    fields = {ACTS[act["do"]]: act["text"]} if act["text"] else {}
    if act["do"] == "send_back" and act["to"]:
        fields["to"] = act["to"]
    return None if at is None else Act(at, act["do"], by, fields)


def _came_of(look: Look, paper: Paper, walked: Walked) -> Json:
    if walked.stopped is not None:
        errors = refused_at(walked.stopped, paper.table, paper.words)
        return {"errors": errors, "wrong": look.words.refusal(walked.stopped)}
    times = Times(ZoneInfo(paper.policy.zone), paper.words)
    formatter = replace(look.formatter, words=paper.words, times=times)
    return {
        "result": [event.as_json() for event in walked.events],
        "details": formatter.details,
        "sentence": formatter.sentence,
        "case": walked.case,
    }
