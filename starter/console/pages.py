"""The templates of the console: Jinja, made quick for pages of many lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.runtime import Context
from markupsafe import Markup

_OF_DICTS = frozenset(dir(dict))


class _Plain(Context):
    """Calls what a template calls, as it is: nothing here wants the context, which is looked for at each call else."""

    def call(self, called: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        named.pop("_loop_vars", None)
        named.pop("_block_vars", None)
        return called(*args, **named)


class Pages(Environment):
    """The environment of all templates."""

    context_class = _Plain

    def __init__(self) -> None:
        super().__init__(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.globals["icon"] = icon

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return ``obj.attribute``; of a dict its entry first, since that is what templates mean by it."""
        if type(obj) is dict and attribute in obj and attribute not in _OF_DICTS:
            return obj[attribute]
        return super().getattr(obj, attribute)


@cache
def icon(name: str) -> Markup:
    """Return one of the icons of `icons.svg`, which says nothing that the words beside it do not."""
    return Markup('<svg class="icon" aria-hidden="true"><use href="#i-{}"/></svg>').format(name)
