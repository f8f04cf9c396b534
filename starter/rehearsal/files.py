"""Reading and validation of the TOML files of a rehearsal: scenarios, mappings and policies."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from activities.policies.store import Policies
from cases.policy.model import Policy
from cases.vocabulary.refusals import Refused


class BadInput(Exception):
    """Raised for a file or an option that is invalid; the message names the key, its value and what is allowed."""


class FileModel(BaseModel):
    """Base of the models of files; the error for an unknown field names the known ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, raw: Any) -> Any:
        if isinstance(raw, dict):
            allowed = [field.alias or name for name, field in cls.model_fields.items()]
            for name in raw:
                if name not in allowed:
                    raise ValueError(f"{name!r} is not a known field; allowed: {', '.join(allowed)}")
        return raw


def _instant(value: Any) -> datetime:
    allowed = "a date and time with an offset, for example 2026-03-10T09:00:00+08:00"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"must be {allowed}") from None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"must be {allowed}")
    return value


# An aware instant. Without the validator, pydantic would accept a number as seconds since 1970.
Instant = Annotated[datetime, BeforeValidator(_instant)]

M = TypeVar("M", bound=FileModel)


def read_toml(path: Path, model: type[M]) -> M:
    """Read a TOML file and validate it.

    Raises:
        BadInput: the file cannot be read, is not TOML, or does not match the model.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: not TOML: {error}") from None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise BadInput(f"{path}: {'; '.join(_complaints(error))}") from None


def _complaints(error: ValidationError) -> Iterable[str]:
    for item in error.errors(include_url=False, include_context=False):
        where = _place(item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "missing":
            yield f"{where} is missing"
        elif isinstance(item["input"], (dict, list)):
            # A whole table is never repeated, since facts may contain personal data.
            yield f"{where}: {message}" if where else message
        else:
            yield f"{where} = {_shown(item['input'])}: {message}"


def _place(loc: tuple[int | str, ...]) -> str:
    """Format the key path of a validation error; the entries of a list are counted from 1."""
    return "".join(f" {part + 1}" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")


def _shown(value: Any) -> str:
    text = value.isoformat() if isinstance(value, (date, time)) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def plain(value: Any) -> Any:
    """Convert a TOML value to plain JSON: date-times become RFC 3339 strings, dates and times ISO strings."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def find_policy(wanted: str, base: Path, policies: Policies) -> Policy:
    """Load a policy by its name, or by the path of its file.

    Args:
        wanted: the name or the path.
        base: the folder that a relative path starts at.
        policies: the policies that are known by name.

    Raises:
        BadInput: there is no such policy, or the file is invalid.
    """
    try:
        if "/" in wanted or wanted.endswith(".toml"):
            return policies.read(base / wanted)
        return policies.load(wanted)
    except Refused as refusal:
        raise BadInput(refusal.message) from None
