"""The JSON Schemas of what is sent: printed by `caseladder schema`, published as OpenAPI, and checked against.

What the API publishes is what it takes: a body is checked against the same schema. Decimals and
instants travel as strings. What a schema cannot say (two decimals, an order of instants, what the
case allows now) the rules say afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import DecimalSchema

from cases.kinds.form_fields import FormIntake
from cases.vocabulary.commands import Command
from cases.vocabulary.events import canonical
from cases.vocabulary.facts import Intake
from cases.vocabulary.refusals import Refused, invalid, path
from cases.vocabulary.values import DECIMAL

REF = "#/components/schemas/{model}"
# A text is more than white space, and no database takes a NUL.
_TEXT = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
_DECIMAL = DECIMAL.pattern


class _Schema(GenerateJsonSchema):
    """Decimals travel as strings only: a JSON number may be rounded on its way."""

    def decimal_schema(self, schema: DecimalSchema) -> JsonSchemaValue:
        return {"type": "string", "pattern": _DECIMAL, "examples": ["18.00"]}


def whole(model: type[BaseModel], ref: str = "#/$defs/{model}") -> dict[str, Any]:
    """Return the schema of a model with its ``$defs``; without what the caller does not say."""
    made: dict[str, Any] = model.model_json_schema(ref_template=ref, schema_generator=_Schema)
    if issubclass(model, (Command, Intake)):
        # The API knows who sends it and signs for them; only a rehearsed case takes a time.
        for name in ("by", "at", "proof"):
            made["properties"].pop(name, None)
        made["required"] = [name for name in made.get("required", ()) if name != "by"]
        if not made["required"]:
            del made["required"]
        if issubclass(model, FormIntake):
            # Who files in their own name need not say so.
            for inner in made["$defs"].values():
                if "filed_by" in inner.get("required", ()):
                    inner["required"] = [name for name in inner["required"] if name != "filed_by"]
        used = set(_names(made, made.get("$defs", {})))
        made["$defs"] = {name: inner for name, inner in made.get("$defs", {}).items() if name in used}
    _tighten(made)
    return made


def _names(schema: Any, defs: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Return the definitions that a schema needs."""
    if isinstance(schema, Mapping):
        for key, inner in schema.items():
            if key == "$ref":
                name = str(inner).rpartition("/")[2]
                if name not in seen:
                    yield name
                    yield from _names(defs[name], defs, seen | {name})
            elif key != "$defs":
                yield from _names(inner, defs, seen)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _names(inner, defs, seen)


def _tighten(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("type") == "string" and schema.get("minLength") and "pattern" not in schema:
            schema["pattern"] = _TEXT
        if schema.get("pattern") == _DECIMAL:
            # No keywords of JSON Schema, and of no use to a text.
            for name in ("ge", "gt", "max_digits"):
                schema.pop(name, None)
        for inner in schema.values():
            _tighten(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _tighten(inner)


# Forms come and go with their policies.
@lru_cache(maxsize=1024)
def _validator(model: type[BaseModel]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(whole(model), validate_formats=True)


def check(model: type[BaseModel], body: Mapping[str, Any], what: str) -> None:
    """Refuse a body that its schema does not allow.

    Raises:
        Refused: ``malformed``, naming each bad field; personal values are not repeated.
    """
    validator = _validator(model)
    sent: Any = dict(body)
    if issubclass(model, (Command, Intake)):
        sent.pop("by", None)
    if validator.is_valid(sent):
        return
    try:
        # Its errors are the better ones, where it sees any.
        given = {**body, "by": {"id": "x", "role": "x"}} if issubclass(model, Command) else body
        if issubclass(model, FormIntake):
            # What looks at the fields of a form before they are read has made of them what JSON is not.
            model.model_validate(given)
        else:
            model.model_validate_json(canonical(dict(given)), strict=True)
    except ValidationError as error:
        found = invalid(error, what)
        raise Refused("malformed", found.message, faults=found.faults) from None
    extra = sorted(sent.keys() - whole(model)["properties"].keys())
    if extra:
        raise Refused("malformed", f"{what}: {', '.join(extra)}: not taken here; the API says who sends it, and signs")
    wrong = [path(error.instance_path) or "(the whole object)" for error in validator.iter_errors(sent)]
    raise Refused("malformed", f"{what}: {', '.join(wrong)}: not of the form that the schema says")
