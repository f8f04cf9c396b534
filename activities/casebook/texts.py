"""Free texts beside the bodies of events, and the marks of contents that nobody shall read off. Pure, save for salts.

The body of an event holds a commitment in place of each text, ``{"commitment": SHA-256(salt || text)}``, so that the
text can be erased and a changed one is found. Contents of requests and intakes are marked by an HMAC of their digest,
so that a guess at a content cannot be checked once its salt is gone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Declares the events of every kind.
from cases import registry as registry
from cases.vocabulary.events import EVENTS

Json = dict[str, Any]

COMMITMENT = "commitment"
SALT = 16
# The field of a first event that commits to the personal facts of the case, which stand in a table of their own.
PERSONAL = "personal_facts"


@dataclass(frozen=True, slots=True)
class Text:
    """A text that stands beside its event."""

    seq: int
    field: str
    salt: bytes
    text: str


def commitment(salt: bytes, text: str) -> Json:
    """Return what stands in the body of an event in place of a text."""
    return {COMMITMENT: hashlib.sha256(salt + text.encode()).hexdigest()}


def commitments(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the commitments in what an event says, by field."""
    # By their form, so that they are found also where this build knows the type or the field no more.
    return {
        name: value[COMMITMENT] for name, value in data.items() if isinstance(value, dict) and {*value} == {COMMITMENT}
    }


def written(type_: str, data: Mapping[str, Any]) -> dict[str, str]:
    """Return the free texts in what an event says, by field; an empty one stands for a text that is not known here.

    Raises:
        ValueError: what should be one is none.
    """
    model = EVENTS.get(type_)
    texts = {name: data[name] for name in (model.TEXTS if model else ()) if data.get(name) not in (None, "")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise ValueError(f"{name} is no text")
    return texts


def seal(event: Mapping[str, Any], salts: Mapping[str, bytes] | None = None) -> tuple[Json, list[Text]]:
    """Take the texts out of an event: return it with commitments in their places, and the texts.

    Args:
        salts: by text, where its sender has chosen one; for other texts a new one is made.

    Raises:
        ValueError: what should be a text is none.
    """
    seq, data, given = event["seq"], event["data"], salts or {}
    found = written(event["type"], data).items()
    texts = [Text(seq, name, given.get(text) or os.urandom(SALT), text) for name, text in found]
    return {**event, "data": {**data, **{each.field: commitment(each.salt, each.text) for each in texts}}}, texts


def seal_as(event: Mapping[str, Any], recorded: Mapping[str, Any], salts: Mapping[str, bytes]) -> Json:
    """Return an event as it would have been recorded under the salts of a recorded one.

    A text that the event lacks, or that was erased from the casebook, is taken to be the recorded one.

    Args:
        recorded: the body of the recorded event.
        salts: of its texts, by field, save for those that were erased.
    """
    data, stored = dict(event["data"]), recorded["data"]
    committed = commitments(stored)
    for name in {*committed, *written(recorded["type"], {**stored, **dict.fromkeys(committed)})}:
        text = data.get(name)
        if name not in data or text == "" or (name in committed and name not in salts and isinstance(text, str)):
            data[name] = stored[name]
        elif name in committed and isinstance(text, str):
            data[name] = commitment(salts[name], text)
    return {**event, "data": data}


def join(body: str, texts: Mapping[str, str] | None, *, erased: str | None = None) -> Json:
    """Return the public JSON of a recorded event.

    Args:
        texts: by field.
        erased: what stands for a text that was erased; without it such a text is left out.
    """
    event: Json = json.loads(body)
    committed, texts = commitments(event.get("data", {})), texts or {}
    if committed:
        event["data"] = {
            name: texts.get(name, erased) if name in committed else value
            for name, value in event["data"].items()
            if name not in committed or name in texts or (erased is not None and name != PERSONAL)
        }
    return event


def strip(body: str) -> Json:
    """Return the public JSON of a recorded event with an empty text in place of each, so that it stays known."""
    event: Json = json.loads(body)
    event["data"].pop(PERSONAL, None)
    event["data"].update(dict.fromkeys(commitments(event["data"]), ""))
    # Before texts stood apart, the bodies held them.
    event["data"].update(dict.fromkeys(written(event["type"], event["data"]), ""))
    return event


def mark(digest: str, salt: bytes) -> bytes:
    """Return the mark of a content: the HMAC of its digest in hex."""
    return hmac.digest(salt, digest.encode("ascii"), "sha256")
