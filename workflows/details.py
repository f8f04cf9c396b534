"""The current details of a case, as the Temporal Web UI shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def markdown(view: Mapping[str, Any]) -> str:
    """Who holds the case and what is due, as Markdown; instants in the policy's zone."""
    taken = "acknowledged" if view["acknowledged"] else "not acknowledged"
    lines = [
        f"**{view['kind']} {view['key']}** {view['number'] or ''}: {view['status']}",
        "",
        f"Held by {view['rung']} ({view['holder']}), {taken}. Next: {view['next_due'] or 'nothing is due'}.",
    ]
    if view["breached"]:
        lines.append(f"Breached: {', '.join(view['breached'])}.")
    if view.get("trouble"):
        lines.append(f"**The ledger refuses events: {view['trouble']}**")
    live = [clock for clock in view["clocks"] if clock["state"] in ("running", "paused")]
    if live:
        lines += ["", "| clock | state | due |", "|---|---|---|"]
        lines += [f"| {clock['clock']} | {clock['state']} | {clock['due']} |" for clock in live]
    return "\n".join(lines)
