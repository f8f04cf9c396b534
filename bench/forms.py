"""Measure filing and signing a form of four steps, compared with a complaint of as many commands in the same run.

    python bench/forms.py [--rounds 5] [--lives 100] [--flight 40]

The form is filed and signed four times, until it is in effect and closed; the complaint is filed, acknowledged,
answered, resolved and closed. Each counts when its workflow has ended, with every event in PostgreSQL and every
notice written to a file. The rounds alternate, so that other load on the machine affects both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
from pathlib import Path

from temporalio.client import Client

from bench import support
from bench.lifecycles import COMMANDS, FACTS, Life, Variants, complaint, cost, report, take_turns
from starter.client import CaseClient
from worker import polling

# Without the interim reply, a complaint takes as many commands as the form has steps.
COMPLAINT = tuple(command for command in COMMANDS if command[1] != {"stage": "interim"})
SIGNERS = ("supervisor", "qa_manager", "finance", "general_manager")
POLICY = """
name = "forms"
extends = "default"
[form.hire]
title = "Vehicle request"
clause = "INVENTED"
files = ["agent"]
[form.hire.fields]
place = { type = "token", required = true, title = "Place" }
reason = { type = "text", required = true, title = "Reason" }
""" + "".join(f'[[form.hire.step]]\nname = "{role}"\nroles = ["{role}"]\n' for role in SIGNERS)
numbers = itertools.count()


def form(client: Client, pause: float = 0) -> Life:
    """Return a function that runs one form to its end, pausing ``pause`` seconds before each signature."""
    cases = CaseClient(client)
    filed_by = {"id": "ag-1", "role": "agent"}
    facts = {"filed_by": filed_by, "unit": FACTS["unit"], "fields": {"place": "east", "reason": "a parcel waits"}}

    async def live(_: int) -> str:
        key = f"F-{next(numbers)}"
        await cases.file("hire", {"key": key, "policy": "forms", "facts": facts}, wait=False)
        for role in SIGNERS:
            await asyncio.sleep(pause)
            by = {"id": f"{role}-1", "role": role}
            await cases.command(f"hire:{key}", "sign", {"by": by, "request_id": role})
        await client.get_workflow_handle(f"hire:{key}").result()
        return f"hire:{key}"

    return live


def write_policy(folder: Path) -> None:
    """Write the policy of the form into a folder of policies."""
    (folder / "forms.toml").write_text(POLICY, "utf-8")


async def main() -> None:
    """Run both in turns and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lives", type=int, default=100, help="lives in one round")
    parser.add_argument("--flight", type=int, default=40, help="lives at the same time")
    given = parser.parse_args()
    async with support.stack() as (client, settings):
        assert settings.policies is not None
        write_policy(settings.policies)
        async with polling(client, settings):
            for pause in (0.0, 1.0):
                lives = {"complaint": complaint(client, pause, COMPLAINT), "form": form(client, pause)}
                for name, life in lives.items():
                    events, size, names = await cost(client, str(await life(0)))
                    print(f"history of a {name}, {pause:.0f} s between steps: {events} events, {size} bytes")
                    print("  " + ", ".join(f"{count} {name.lower()}" for name, count in sorted(names.items())))
        variants: Variants = {
            "complaints": (lambda: polling(client, settings), complaint(client, commands=COMPLAINT)),
            "forms": (lambda: polling(client, settings), form(client)),
        }
        rates = await take_turns(given.rounds, given.lives, given.flight, variants)
    report(rates, "complaints")


if __name__ == "__main__":
    support.run(main)
