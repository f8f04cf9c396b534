"""The types of events in docs/events.md, written from their models: ``python -m tests.event_reference``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cases.registry  # noqa: F401 - declares every event
from cases.vocabulary.events import EVENTS, EventData
from cases.vocabulary.texts import holding

PAGE = Path(__file__).parents[1] / "docs" / "events.md"
START, END = "<!-- event types -->\n", "<!-- end of event types -->\n"


def table() -> str:
    """The types in the order of declaration, by the module that emits them."""
    lines, home = ["\n"], ""
    for type_, model in EVENTS.items():
        module = model.__module__.removeprefix("cases.")
        if module != home:
            home = module
            lines.append(f"\n### {_title(module)}\n\n| type | data | what happened |\n|---|---|---|\n")
        said = " ".join((model.__doc__ or "").split())
        lines.append(f"| `{type_}` | {', '.join(_fields(model)) or '–'} | {said} |\n")
    return "".join(lines)[1:] + "\n"


def _title(module: str) -> str:
    room, _, name = module.rpartition(".")
    words = name.replace("_", " ")
    return {"vocabulary": "Every case", "kinds": f"Kind: {words}"}.get(room, f"Mechanism: {words}")


def _fields(model: type[EventData]) -> Iterator[str]:
    texts = dict(holding(model))
    for name, field in model.model_fields.items():
        shown = field.alias or name
        yield f"`{shown}`{'' if field.is_required() else '?'}{' (text)' if shown in texts else ''}"


def written(page: str) -> str:
    """The page with the table as it must be."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
