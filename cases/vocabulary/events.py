"""What happened: the form of every event, and the models of what each type says.

An event is a fact with a logical time. ``at`` is when it happened by the rules (a deadline that fell
due at 10:05:00 happened at 10:05:00), ``recorded_at`` is when the process took note of it. Each type
has one model, `EventData`, beside the mechanism or the kind that emits it.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict

from cases.vocabulary.texts import Reference, at, marked, put, references_in
from cases.vocabulary.values import Model

# The model of each type of event, in the order of declaration; and of the facts of each kind, as kinds are declared.
EVENTS: dict[str, type[EventData]] = {}
FACTS: dict[str, type[Model]] = {}


class EventData(Model):
    """Base of what an event says: plain values, each a field of its public JSON.

    An optional field that is not given is left out of the JSON; a required one that may be None is null.
    What a later release added to a recorded event is passed over.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    TYPE: ClassVar[str]
    # Whether only what somebody sends leads to it: no case does it by itself.
    BY_COMMAND: ClassVar[bool] = False
    # Whether it is what the machinery does about another event: a history may fold it into that one.
    TECHNICAL: ClassVar[bool] = False
    # The optional fields, as the JSON names them.
    _OPTIONAL: ClassVar[tuple[str, ...]] = ()
    # The texts without which it cannot be read.
    _NEEDED: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Register the model under its type.

        Raises:
            TypeError: another model has the type, or it names none.
        """
        type_ = cls.__dict__.get("TYPE")
        if not isinstance(type_, str):
            raise TypeError(f"{cls.__name__} names no TYPE")
        known = EVENTS.get(type_)
        if known is not None and known.__qualname__ != cls.__qualname__:
            raise TypeError(f"event type {type_!r} is declared twice: {known.__name__} and {cls.__name__}")
        EVENTS[type_] = cls
        fields = cls.model_fields.items()
        cls._OPTIONAL = tuple(field.alias or name for name, field in fields if not field.is_required())
        cls._NEEDED = tuple(
            name for name, field in fields if field.is_required() and any(marked(cls, {field.alias or name: ""}))
        )

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read the model from the JSON of a recorded event, whose free texts may have been erased."""
        missing = {name: "" for name in cls._NEEDED if name not in data}
        return cls.model_validate({**data, **missing} if missing else data)

    @classmethod
    def texts(cls, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return what people wrote freely in the JSON of it, by path; also what stands in place of such a text.

        An event with fields whose types only a form knows names the texts among them in ``written``.
        """
        found = dict(marked(cls, data))
        for path in (data.get("written") or ()) if "written" in cls.model_fields else ():
            # Nobody knows what a row of the ledger holds before it was verified.
            with suppress(LookupError, TypeError, AttributeError):
                found[path] = at(data, path)
        return found

    def as_data(self) -> dict[str, Any]:
        """Return the public JSON of it."""
        dumped = self.model_dump(mode="json", by_alias=True)
        for name in self._OPTIONAL:
            if dumped[name] is None:
                del dumped[name]
        return dumped


def _known(name: str) -> str:
    if name not in EVENTS:
        raise ValueError(f"not a type of event; allowed: {', '.join(EVENTS)}")
    return name


# The name of a type of event, as policies, scenarios and subscriptions give it.
EventName = Annotated[str, AfterValidator(_known)]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted: an id that is no personal data (a staff number, a system name) and a role.

    ``person`` is given where somebody has more than one account: what all of them have in common.
    """

    id: str
    role: str
    person: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """What the person is known by, however it is written: the account, and what several accounts have in common."""
        known = (self.id,) if self.person is None else (self.id, self.person)
        return frozenset(unicodedata.normalize("NFKC", one).casefold() for one in known)

    def is_same(self, other: Actor | None) -> bool:
        """Whether both are one person; also where only one of them was sent with what their accounts have in common."""
        return other is not None and not self.names.isdisjoint(other.names)

    def as_json(self) -> dict[str, str]:
        """Return the actor as events carry it."""
        known = {"id": self.id, "role": self.role}
        return known if self.person is None else {**known, "person": self.person}


SYSTEM = Actor("caseladder", "system")


@dataclass(frozen=True, slots=True)
class Event:
    """One fact of a case. ``data`` holds plain JSON values only: money and instants as strings."""

    seq: int
    type: str
    at: datetime
    recorded_at: datetime
    actor: Actor
    clauses: tuple[str, ...]
    data: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the event in its public JSON form (design contract "Events")."""
        return {
            "seq": self.seq,
            "type": self.type,
            "at": self.at.isoformat(),
            "recorded_at": self.recorded_at.isoformat(),
            "actor": self.actor.as_json(),
            "clauses": list(self.clauses),
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Event:
        """Read an event from its public JSON form.

        Raises:
            ValueError: its type is not known.
        """
        return cls(
            raw["seq"],
            _known(raw["type"]),
            datetime.fromisoformat(raw["at"]),
            datetime.fromisoformat(raw["recorded_at"]),
            Actor(raw["actor"]["id"], raw["actor"]["role"], raw["actor"].get("person")),
            tuple(raw["clauses"]),
            raw["data"],
        )


def fingerprint(event: Mapping[str, Any]) -> str:
    """Return what recognizes what happened, from public event JSON: the same however often it is recorded and told.

    Ids that are sent out hold it beside the number of the event: where a casebook was restored and a case went on
    otherwise, another event may stand under the same number, and no receiver may take word of it for a repeat.
    """
    told = canonical({"type": event["type"], "at": event["at"], "data": without_texts(event)["data"]})
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def reference(event: Event, field: str) -> Reference | None:
    """Return a reference to a text of an event; None where it has none there."""
    try:
        found = at(event.data, field)
    except LookupError:
        return None
    return None if found is None else Reference(seq=event.seq, field=field)


def known_or_reference(event: Event, field: str) -> Any:
    """Return a text of an event to be said once more, as JSON: a reference to it where it is not known here."""
    found = reference(event, field)
    return None if found is None else at(event.data, field) or found.model_dump()


def with_references(event: Event) -> dict[str, Any]:
    """Return what an event says with a reference in place of each text."""
    found = EVENTS[event.type].texts(event.data)
    return put(event.data, {path: {"seq": event.seq, "field": path} for path in found})


def lacks_text(event: Mapping[str, Any]) -> bool:
    """Whether public event JSON is of a ledger, which hands out an empty text in place of each to a run."""
    return "" in texts_of(event).values()


def texts_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what people wrote freely in public event JSON, by its path in ``data``, and what stands in its place."""
    # Nobody knows what a row of the ledger holds before it was verified.
    model, data = EVENTS.get(str(event.get("type"))), event.get("data")
    return model.texts(data) if model is not None and isinstance(data, Mapping) else {}


def texts_shown(model: type[BaseModel], view: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands for texts in the view of a case, by path: references, and what earlier releases recorded.

    Args:
        model: of the view.
    """
    facts = FACTS.get(view["kind"])
    if facts is None:
        # Of a form only its policy knows the fields; but each text of it was recorded as one.
        return {
            **dict(references_in(view["facts"], "facts")),
            **dict(references_in(view.get("fields", {}), "fields")),
            **dict(marked(model, view)),
        }
    return {**dict(marked(model, view)), **dict(marked(facts, view["facts"], "facts."))}


def text_at(event: Mapping[str, Any], path: str) -> str | None:
    """Return the text at a path of public event JSON; None where there is none, or it was erased."""
    try:
        text = at(event["data"], path)
    except LookupError:
        return None
    return text if isinstance(text, str) and text else None


def without_texts(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return public event JSON without what people wrote freely; in a list an empty text keeps the place."""
    return {**event, "data": put(event["data"], dict.fromkeys(texts_of(event)))}


def canonical(value: Mapping[str, Any]) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, UTF-8. Hashes are taken over it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
