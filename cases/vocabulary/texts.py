"""Where the texts that people wrote freely stand in plain JSON, by the marks of its model, and references to them.

A place is a path: the names and the numbers on the way, joined by dots, like ``options.0`` or ``overridden.reason``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, WithJsonSchema

from cases.vocabulary.values import Like, Model, Written


class Reference(Model):
    """Stands for a text: it is in the event ``seq`` at ``field``, for those who may read it."""

    seq: int
    field: str


# In views, which hold no text: the doors answer with the text, or with nothing where it was erased or is not for the
# reader.
Said = Annotated[Reference | None, Written(), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]})]

# In events that say once more what was said before, where the run does not know it any more; the doors know it.
SaidAgain = Annotated[str | Reference, Written(), WithJsonSchema({"type": "string"})]

_REFERENCE = frozenset(Reference.model_fields)


def is_reference(value: Any) -> bool:
    """Whether a JSON value is a reference to a text."""
    return isinstance(value, Mapping) and value.keys() == _REFERENCE


def marked(model: type[BaseModel], data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of each text in the JSON of a model; the value may also be what stands for a text."""
    for name, types in holding(model):
        if data.get(name) is not None:
            yield from _marked(types, data[name], f"{above}{name}")


@cache
def holding(model: type[BaseModel]) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Return the fields of a model that hold texts, as its JSON names them, each with its types."""
    fields = [(field.alias or name, (field.annotation, *field.metadata)) for name, field in model.model_fields.items()]
    return tuple((name, types) for name, types in fields if _hold_texts(types))


def _hold_texts(types: Iterable[Any]) -> bool:
    return any(
        isinstance(one, Written)
        or ((model := _model_of(one)) is not None and bool(holding(model)))
        or _hold_texts(get_args(one))
        for one in types
    )


def _model_of(one: Any) -> type[BaseModel] | None:
    if isinstance(one, Like):
        return one.model
    return one if isinstance(one, type) and issubclass(one, BaseModel) else None


def _marked(types: Iterable[Any], value: Any, path: str) -> Iterator[tuple[str, Any]]:
    for one in types:
        model = _model_of(one)
        if isinstance(one, Written):
            yield path, value
        elif model is not None:
            if isinstance(value, Mapping):
                yield from marked(model, value, f"{path}.")
        elif get_origin(one) in (list, tuple):
            for place, each in enumerate(value if isinstance(value, list | tuple) else ()):
                yield from _marked(get_args(one), each, f"{path}.{place}")
        else:
            yield from _marked(get_args(one), value, path)


def at(data: Any, path: str) -> Any:
    """Return what stands at a path.

    Raises:
        LookupError: nothing does.
    """
    for part in path.split("."):
        inner = dict(enumerate(data)) if isinstance(data, list | tuple) else data
        if not isinstance(inner, Mapping):
            raise LookupError(path)
        data = inner[int(part) if inner is not data and part.isdecimal() else part]
    return data


def put(data: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON with other values at some paths, as far as there is room; None takes away what stands there.

    From a list nothing is taken away, since the others keep their places: an empty text stands there.
    """
    told = dict(data)
    for name, value in values.items():
        if "." not in name and value is None:
            told.pop(name, None)
        elif "." not in name:
            told[name] = value
    for name in {path.partition(".")[0] for path in values if "." in path}:
        inner = {path.removeprefix(f"{name}."): values[path] for path in values if path.startswith(f"{name}.")}
        known = told.get(name)
        if isinstance(known, Mapping):
            told[name] = put(known, inner)
        elif isinstance(known, list | tuple):
            places = {str(place): each for place, each in enumerate(known)}
            changed = put(places, inner)
            told[name] = [changed.get(place, "") for place in places]
    return told


def references(value: Any) -> Iterator[tuple[int, str]]:
    """Yield the references in a JSON value, as seq and field."""
    if is_reference(value):
        yield value["seq"], value["field"]
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from references(inner)


def references_in(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield path and value of each reference in a JSON value that stands at a path."""
    if is_reference(value):
        yield path, value
    elif isinstance(value, Mapping | list | tuple):
        for name, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from references_in(inner, f"{path}.{name}")


def resolved(value: Any, text: Callable[[int, str], str | None]) -> Any:
    """Return a JSON value with the text in place of each reference, None where there is none."""
    if is_reference(value):
        return text(value["seq"], value["field"])
    if isinstance(value, Mapping):
        return {name: resolved(inner, text) for name, inner in value.items()}
    return [resolved(inner, text) for inner in value] if isinstance(value, list | tuple) else value
