"""The current details of a case, as the Temporal Web UI shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def markdown(view: Mapping[str, Any]) -> str:
    """Who holds the case and what is due, as Markdown; instants in the policy's zone."""
    taken = "acknowledged" if view["acknowledged"] else "not acknowledged"
    lines = [
        f"**{view['kind']} {view['key']}** {view['number'] or ''}: {view['status']}",
        f"Held by {view['rung']} ({view['holder']}), {taken}. Next: {view['next_due'] or 'nothing is due'}.",
    ]
    if view["breached"]:
        lines.append(f"Breached: {', '.join(view['breached'])}.")
    live = [clock for clock in view["clocks"] if clock["state"] in ("running", "paused")]
    if live:
        lines += ["", "| clock | state | due |", "|---|---|---|"]
        lines += [f"| {clock['clock']} | {clock['state']} | {clock['due']} |" for clock in live]
    return "\n\n".join(lines[:3]) + "\n" + "\n".join(lines[3:]) if len(lines) > 3 else "\n\n".join(lines)
