"""The form of a reply: by which way it goes out, said before it does, and texts to begin with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from activities.notify.translations import LANGUAGES
from activities.replies.send import LANGUAGE
from activities.replies.templates import ANY, ReplyText, stage_of
from activities.replies.ways import masked
from cases.case import Case
from cases.vocabulary.commands import SENT
from starter.access import may_read_personal
from starter.console.forms import Field
from starter.console.web import Look

Json = dict[str, Any]
# The field in which a text to begin with is chosen, which is no field of the command; and what stands in a text for
# what is promised, as long as that is still being typed.
BEGIN = "begin"
PROMISED = "{promised}"


@dataclass(frozen=True)
class Begin:
    """A text to begin with: what chooses it, its stage and its language."""

    value: str
    language: str
    stage: str
    text: ReplyText


async def prepared(look: Look, case: Case, view: Mapping[str, Any], form: Json) -> Json:
    """Return the form of a reply with its ways and with texts to begin with; one that was chosen is filled in.

    Args:
        form: as every command has one.
    """
    customer = await look.services.customers.of(view["id"])
    typed: Mapping[str, Sequence[str]] = form["typed"]
    first = customer.get("language") or LANGUAGE
    languages = [first, *(one for one in LANGUAGES if one != first)]
    category = view["facts"].get(case.ABOUT) or ANY
    known = {
        "number": view["number"],
        "kind": view["kind"],
        "waybill": (view["facts"].get("shipment") or {}).get("waybill"),
    }
    if look.field("more") == BEGIN:
        typed = _begun(look, typed, list(_texts(look, languages, category, {**known, "promised": _due(typed)})))
    fields = {field.name: field for field in form["fields"]}
    ways = _ways(look, view, fields["via"], look.services.ways.possible(customer))
    fields["via"] = replace(fields["via"], kind="ways", required=True, options=ways, default=ways[0][0])
    return {
        **form,
        "typed": typed,
        "fields": tuple(fields[name] for name in ("stage", "reply_by", "text", "via")),
        "reply": {
            "begin": [
                (language, list(_texts(look, [language], category, {**known, "promised": PROMISED})))
                for language in languages
            ],
            "sendable": any(way in SENT for way, _ in ways),
            "under_way": case.replies.under_way is not None,
        },
    }


def is_under_way(case: Case) -> bool:
    """Whether a reply is being sent just now."""
    return case.replies.under_way is not None


def _ways(look: Look, view: Mapping[str, Any], field: Field, possible: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the ways that the case takes now and that there are for this customer, the best first, in words."""
    taken = {value for value, _ in field.options}
    ways = [(way, address) for way, address in possible.items() if way in taken]
    known = may_read_personal(look.who, view)
    said = [
        (way, look.say(f"reply.by_{way}", address=masked(address) if known else look.say("reply.on_file")))
        for way, address in ways
    ]
    return [*said, *((way, look.say(f"reply.by_{way}")) for way, _ in field.options if way not in SENT)]


def _texts(look: Look, languages: Sequence[str], category: str, facts: Mapping[str, Any]) -> Iterator[Begin]:
    for language in languages:
        for text in look.services.reply_templates.offered(language, category, facts):
            yield Begin(f"{language}/{text.name}", language, stage_of(text.name), text)


def _begun(look: Look, typed: Mapping[str, Sequence[str]], texts: Sequence[Begin]) -> dict[str, Sequence[str]]:
    """Return what was typed with the text that was chosen; what is no text that there is changes nothing."""
    chosen = next((one for one in texts if one.value == look.field(BEGIN)), None)
    return dict(typed) if chosen is None else {**typed, "text": [chosen.text.text], "stage": [chosen.stage]}


def _due(typed: Mapping[str, Sequence[str]]) -> str | None:
    """Return the instant that is being promised, if it is one."""
    for value in typed.get("reply_by", ()):
        with suppress(ValueError):
            return datetime.fromisoformat(value).isoformat()
    return None
