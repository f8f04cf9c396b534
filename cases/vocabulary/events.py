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
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, ConfigDict

from cases.vocabulary.values import Model, is_written

# The model of each type of event, in the order of declaration.
EVENTS: dict[str, type[EventData]] = {}


class EventData(Model):
    """Base of what an event says: plain values, each a field of its public JSON.

    An optional field that is not given is left out of the JSON; a required one that may be None is null.
    What a later release added to a recorded event is passed over.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    TYPE: ClassVar[str]
    # Whether only what somebody sends leads to it: no case does it by itself.
    BY_COMMAND: ClassVar[bool] = False
    # The optional fields, as the JSON names them.
    _OPTIONAL: ClassVar[tuple[str, ...]] = ()
    # The fields that hold what people wrote freely (`cases.vocabulary.values.Written`).
    TEXTS: ClassVar[tuple[str, ...]] = ()

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
        cls.TEXTS = tuple(name for name, field in fields if is_written(field))

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read the model from the JSON of a recorded event, whose free texts may have been erased."""
        missing = (
            {name: "" for name in cls.TEXTS if name not in data and name not in cls._OPTIONAL} if cls.TEXTS else {}
        )
        return cls.model_validate({**data, **missing} if missing else data)

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
    model = EVENTS.get(event["type"])
    data = {name: value for name, value in event["data"].items() if model is None or name not in model.TEXTS}
    told = canonical({"type": event["type"], "at": event["at"], "data": data})
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def lacks_text(event: Mapping[str, Any]) -> bool:
    """Whether public event JSON is of a ledger, which hands out an empty text in place of each to a run."""
    model = EVENTS.get(event["type"])
    return model is not None and any(event["data"].get(name) == "" for name in model.TEXTS)


def canonical(value: Mapping[str, Any]) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, UTF-8. Hashes are taken over it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
