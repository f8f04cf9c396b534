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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Declares the events of every kind.
from cases import registry as registry
from cases.vocabulary.events import text_at, texts_of
from cases.vocabulary.texts import at, is_reference, put

Json = dict[str, Any]

COMMITMENT = "commitment"
SALT = 16
_ABSENT = object()
# The field of a first event that commits to the personal facts of the case, which stand in a table of their own.
PERSONAL = "personal_facts"


@dataclass(frozen=True, slots=True)
class Text:
    """A text that stands beside its event; ``field`` is its path in what the event says."""

    seq: int
    field: str
    salt: bytes
    text: str


def commitment(salt: bytes, text: str) -> Json:
    """Return what stands in the body of an event in place of a text."""
    return {COMMITMENT: hashlib.sha256(salt + text.encode()).hexdigest()}


def commitments(data: Any, above: str = "") -> dict[str, str]:
    """Return the commitments in what an event says, by path."""
    # By their form, so that they are found also where this build knows the type or the field no more.
    if isinstance(data, dict):
        if above and {*data} == {COMMITMENT} and isinstance(data[COMMITMENT], str):
            return {above: data[COMMITMENT]}
        inner: Iterable[tuple[Any, Any]] = data.items()
    elif isinstance(data, list):
        inner = enumerate(data)
    else:
        return {}
    found: dict[str, str] = {}
    for name, value in inner:
        if isinstance(value, dict | list):
            found |= commitments(value, f"{above}.{name}" if above else str(name))
    return found


def written(type_: str, data: Mapping[str, Any]) -> dict[str, str]:
    """Return the free texts in what an event says, by path; an empty one stands for a text that is not known here.

    Raises:
        ValueError: what should be one is none.
    """
    texts = {path: text for path, text in texts_of({"type": type_, "data": data}).items() if text != ""}
    for path, text in texts.items():
        if not isinstance(text, str) and not is_reference(text):
            raise ValueError(f"{path} is no text")
    return {path: text for path, text in texts.items() if isinstance(text, str)}


def seal(event: Mapping[str, Any], salts: Mapping[str, bytes] | None = None) -> tuple[Json, list[Text]]:
    """Take the texts out of an event: return it with commitments in their places, and the texts.

    Args:
        salts: by text, where its sender has chosen one; for other texts a new one is made.

    Raises:
        ValueError: what should be a text is none.
    """
    seq, data, given = event["seq"], event["data"], salts or {}
    found = written(event["type"], data).items()
    texts = [Text(seq, path, given.get(text) or os.urandom(SALT), text) for path, text in found]
    return {**event, "data": put(data, {each.field: commitment(each.salt, each.text) for each in texts})}, texts


def seal_as(event: Mapping[str, Any], recorded: Mapping[str, Any], salts: Mapping[str, bytes]) -> Json:
    """Return an event as it would have been recorded under the salts of a recorded one.

    A text that the event lacks, or that was erased from the casebook, is taken to be the recorded one; so is one that
    either of them only refers to.

    Args:
        recorded: the body of the recorded event.
        salts: of its texts, by path, save for those that were erased.
    """
    data, stored = event["data"], recorded["data"]
    committed, said = commitments(stored), texts_of({"type": recorded["type"], "data": stored})
    values: Json = {}
    for path in {*committed, *said}:
        text, known = _at(data, path), _at(stored, path)
        unknown = text in (_ABSENT, "") or is_reference(text) or is_reference(known)
        if unknown or (path in committed and path not in salts and isinstance(text, str)):
            values[path] = known
        elif path in committed and isinstance(text, str):
            values[path] = commitment(salts[path], text)
    return {**event, "data": put(data, values)}


def _at(data: Any, path: str) -> Any:
    try:
        return at(data, path)
    except LookupError:
        return _ABSENT


def join(body: str, texts: Mapping[str, str] | None, *, erased: str | None = None) -> Json:
    """Return the public JSON of a recorded event.

    Args:
        texts: by path.
        erased: what stands for a text that was erased; without it such a text is left out (`texts.put`).
    """
    event: Json = json.loads(body)
    committed = commitments(event.get("data", {}))
    if committed:
        known: dict[str, str | None] = {path: (texts or {}).get(path, erased) for path in committed}
        event["data"] = put(event["data"], {**known, **({PERSONAL: None} if PERSONAL in committed else {})})
    return event


def told_again(events: Sequence[Json]) -> list[Json]:
    """Return the events of a case, in order from the first, with texts in place of references to those said before."""

    def text(seq: int, path: str) -> str | None:
        return text_at(events[seq - 1], path) if 0 < seq <= len(events) else None

    return [refers(event, text) for event in events]


def refers(event: Json, text: Callable[[int, str], str | None]) -> Json:
    """Return public event JSON with texts in place of references, without those that were erased."""
    found = {path: text(one["seq"], one["field"]) for path, one in texts_of(event).items() if is_reference(one)}
    return {**event, "data": put(event["data"], found)} if found else event


def strip(body: str) -> Json:
    """Return the public JSON of a recorded event with an empty text in place of each, so that it stays known."""
    event: Json = json.loads(body)
    event["data"].pop(PERSONAL, None)
    event["data"] = put(event["data"], dict.fromkeys(commitments(event["data"]), ""))
    # Before texts stood apart, the bodies held them.
    event["data"] = put(event["data"], dict.fromkeys(written(event["type"], event["data"]), ""))
    return event


def mark(digest: str, salt: bytes) -> bytes:
    """Return the mark of a content: the HMAC of its digest in hex."""
    return hmac.digest(salt, digest.encode("ascii"), "sha256")
