"""Measure how long the pure core takes to rehearse an event log (reading, running, counting) on one core.

    python bench/rehearsal.py [--log LOG.csv --mapping MAPPING.toml] [--rounds 3]

Without a log it makes one up with 4,580 tickets, as many as a help desk of a small company has in four years.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import random
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from bench import support
from starter.rehearsal.command import rehearse

CASES = 4580
MAPPING = """
[columns]
case = "Ticket"
activity = ["Activity"]
at = "Time"
actor = "Agent"
[time]
format = "%Y/%m/%d %H:%M:%S.%f"
zone = "Asia/Shanghai"
[case]
kind = "complaint"
facts = { category = "other", severity = "normal" }
[[rule]]
activity = "take"
commands = [{ command = "log_contact", with = { reached = true } }, { command = "acknowledge" }]
[[rule]]
activity = "wait"
commands = [{ command = "log_contact", with = { reached = false, reason = "no answer" } }]
[[rule]]
activity = "upgrade"
commands = [{ command = "escalate", with = { reason = "upgrade required" } }]
[[rule]]
activity = "resolve"
commands = [{ command = "resolve" }]
[[rule]]
activity = "close"
commands = [{ command = "resolve" }, { command = "close" }]
"""


def write_log(path: Path) -> None:
    """Write a made-up log, always the same, with about five rows a ticket over four years."""
    chance = random.Random(4580)
    start = datetime(2010, 1, 1)  # noqa: DTZ001 - the mapping names the zone
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Ticket", "Activity", "Agent", "Time"])
        for number in range(CASES):
            at = start + timedelta(minutes=chance.randrange(4 * 365 * 24 * 60))
            middle = [name for name in ("wait", "take", "upgrade") if chance.random() < 0.35]
            for activity in ("open", "take", *middle, "resolve", "close"):
                stamp = at.strftime("%Y/%m/%d %H:%M:%S.000")
                rows.writerow([f"T-{number}", activity, f"Agent {chance.randrange(20)}", stamp])
                # Mostly minutes, sometimes days.
                at += timedelta(minutes=chance.lognormvariate(4, 2.5))


def main() -> None:
    """Rehearse the log several times and print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--mapping", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if (given.log is None) != (given.mapping is None):
        parser.error("--log and --mapping go together")
    with tempfile.TemporaryDirectory(prefix="caseladder-bench-") as name:
        log, mapping = given.log, given.mapping
        if log is None:
            log, mapping = Path(name) / "log.csv", Path(name) / "mapping.toml"
            write_log(log)
            mapping.write_text(MAPPING)
        walls, cpus = [], []
        for _ in range(given.rounds):
            wall, cpu, out = time.perf_counter(), time.process_time(), io.StringIO()
            with contextlib.redirect_stdout(out):
                code = rehearse([], log=log, mapping=mapping, as_json=True)
            assert code == 0, "the log was refused"
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        summary = json.loads(out.getvalue())
    print(f"{summary['cases']} cases, {summary['events']} events ({support.load()})")
    print(f"{support.spread(walls)} s, of which on the processor {support.spread(cpus)} s")


if __name__ == "__main__":
    main()
