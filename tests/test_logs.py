"""What the log says of the messages of the SDK's core, which prints whole histories into its errors."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cases.rules import RULES
from starter.logs import MOST, without_payloads

ROOT = Path(__file__).parents[1]
INTAKE = json.dumps({"key": "K-1", "facts": {"customer": {"name": "Zhang Xiaoming", "phone": "13800138000"}}}).encode()
SHORT = b'"13800138000"'


def printed(payload: bytes) -> str:
    """Return a payload as the core prints it: of a long one the first and the last 32 bytes."""
    if len(payload) <= 64:
        return f"[{base64.b64encode(payload).decode()}]"
    return f"[{base64.b64encode(payload[:32]).decode()}..{base64.b64encode(payload[-32:]).decode()}]"


def task(payloads: list[bytes]) -> str:
    """Return a workflow task as the core prints one that it cannot make sense of."""
    shown = ", ".join(printed(payload) for payload in payloads)
    return (
        "Status { code: DataLoss, message: \"Server returned a poll WFT response we couldn't interpret: "
        "PollWorkflowTaskQueueResponse { task_token: [10, 36, 48, 49, 97, 50], workflow_execution: None, "
        "history: Some(History { events: "
        f"[HistoryEvent {{ event_id: 1, input: Some(Payloads {{ payloads: [{shown}] }}) }}] }}) }}"
    )


# What must not be found: the payloads, and any part of them that says something.
SECRET = (printed(INTAKE)[1:40], printed(SHORT)[1:-1], base64.b64encode(INTAKE[-32:]).decode()[:20], "13800138000")


@pytest.mark.parametrize("many", [1, 4, 1000])
def test_a_text_of_the_core_holds_no_payload_and_is_short(many: int) -> None:
    text = task([INTAKE, SHORT] * many)
    shown = without_payloads(text)
    assert "couldn't interpret" in shown
    assert not [secret for secret in SECRET if secret in shown]
    assert len(shown) < MOST + 40


@pytest.mark.parametrize("cut", range(1150, 1260))
def test_a_payload_that_is_cut_is_one_still(cut: int) -> None:
    shown = without_payloads("x " * (cut // 2) + printed(INTAKE))
    assert base64.b64encode(INTAKE).decode()[:6] not in shown


def test_what_explains_stays() -> None:
    for text in (
        "code: 'Some requested entity was not found', message: \"Workflow task not found.\"",
        "01a22414-9b06-7725-82d6-f81b23460c53",
        "at [2026-11-28T21:34:41.423371Z]",
        "complaint:K-1",
    ):
        assert without_payloads(text) == text
    assert without_payloads(f"token=TaskToken({base64.b64encode(INTAKE).decode()})") == "token=TaskToken([...])"


def logged(program: str, given: str = "") -> list[dict[str, Any]]:
    """Run a program that logs, in a process of its own, and return the lines."""
    start = "import json, logging, sys, time; from types import SimpleNamespace\n"
    start += "from starter.logs import TASKS, configure, core_logging; configure('json')\n"
    start += "def core(**said): core_logging().forwarding._on_logs([SimpleNamespace(\n"
    start += "    target='temporalio_sdk_core', level=30, time=time.time(), **said)])\n"
    done = subprocess.run(
        [sys.executable, "-c", start + program], cwd=ROOT, input=given, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


def said(message: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Log a message as the SDK forwards it, and return the line."""
    [line] = logged("core(**json.load(sys.stdin))", json.dumps({"message": message, "fields": fields}))
    return line


def test_a_message_of_the_core_becomes_a_line_without_payloads() -> None:
    line = said("Error while polling for workflow tasks", {"error": task([INTAKE] * 50), "run_id": "01a2"})
    assert (line["event"], line["level"], line["logger"]) == (
        "Error while polling for workflow tasks",
        "warning",
        "temporalio.core",
    )
    assert line["reason"].startswith("error: Status { code: DataLoss")
    assert line["reason"].endswith("run_id: 01a2")
    assert not [secret for secret in SECRET if secret in json.dumps(line)]
    assert "reason" not in said("Task polling goes on", {})


def test_a_run_of_other_rules_is_logged_once() -> None:
    """The SDK tells of every attempt, with a trace, and its core again."""
    program = (
        "from cases.rules import OtherRules\n"
        "for case in ('complaint:K-1', 'complaint:K-2') * 3:\n"
        "    logging.getLogger(TASKS).warning('Failed activation on %s', case, exc_info=OtherRules(case))\n"
        "    core(message='Failing workflow task', fields={'failure': 'type: \"OtherRules\"'})\n"
        "logging.getLogger(TASKS).warning('Failed activation', exc_info=ValueError('x'))\n"
        "core(message='Failing workflow task', fields={'failure': 'type: \"ValueError\"'})"
    )
    lines = logged(program)
    assert [line["event"] for line in lines] == [
        f"complaint:K-1: not started by rules {RULES}: run caseladder migrate",
        f"complaint:K-2: not started by rules {RULES}: run caseladder migrate",
        "Failed activation",
        "Failing workflow task",
    ]
    assert "exception" not in lines[0]
    assert "ValueError" in lines[2]["exception"]
