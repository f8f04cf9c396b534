"""The OpenAPI document: complete, printed without a server, and true, as schemathesis sees it with every role."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from activities.policies.store import Policies
from cases.kinds.form import Form
from cases.registry import KINDS, case_types
from cases.vocabulary.commands import Command, read_command
from cases.vocabulary.facts import read_intake
from starter.access import filed_kinds
from starter.api.app import bare_app
from starter.forms import declared_forms
from tests.api.server import ApiServer
from tests.cli.program import call
from tests.seed import SEED

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events, from_schema

Json = dict[str, Any]
FORMS = declared_forms(Policies())
# Every role that the API tells apart, and a system with every scope.
ROLES = ("agent-n", "super-hq", "qa-1", "gm-1", "auditor-1", "finance-1", "pm-1", "fuzzer")

# So many requests are made up for each operation.
EXAMPLES = 50
# Commands with a sort of field that no other has; the boundaries of the rest would be the same again.
FIELDS = (
    "assign", "note", "attach", "log_contact", "promise", "reply", "request_approval", "extend", "propose", "resend",
    "investigate", "open_claim", "assess", "confirm_phone_notice", "check_goods", "load_calendar", "settle",
)  # fmt: skip


@cache
def printed() -> Json:
    """The document without a server; to make it takes a second, and other processes have other tests."""
    return bare_app(FORMS).openapi()


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Path, method and operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_it_is_printed_without_a_server() -> None:
    assert call("schema", "openapi", env={"TEMPORAL_ADDRESS": "127.0.0.1:9"}).json == printed()


def test_an_answer_may_say_how_far_the_ledger_is_behind_it() -> None:
    known = printed()["components"]["schemas"]
    for kind in KINDS.values():
        model = known[kind.VIEW.__name__]
        assert model["properties"]["recorded"]["type"] == "integer"
        assert "recorded" not in model["required"]


def test_everything_is_described_and_resolves() -> None:
    known = printed()["components"]["schemas"]
    text = json.dumps(printed())
    used = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= known.keys()
    assert "HTTPValidationError" not in text
    names = [operation["operationId"] for _, _, operation in operations(printed())]
    assert len(set(names)) == len(names)
    sent = {name for kind in case_types() for name in kind.offered_commands()}
    assert {name.removeprefix("command_") for name in names if name.startswith("command_")} == sent
    assert {name.removeprefix("file_") for name in names if name.startswith("file_")} == set(filed_kinds(FORMS))
    for path, _, operation in operations(printed()):
        assert operation["summary"], path
        assert operation["security"], path
        assert set(operation["responses"]) >= {"200", "400", "401", "403", "422", "429", "503"}, path
        assert "application/problem+json" in operation["responses"]["401"]["content"], path


def test_every_body_has_an_example_that_is_taken() -> None:
    """By its schema, and by the rules that read it."""
    for path, _, operation in operations(printed()):
        if "requestBody" not in operation:
            continue
        if path.endswith("/files"):
            # A form with a file.
            assert list(operation["requestBody"]["content"]) == ["multipart/form-data"]
            continue
        content = operation["requestBody"]["content"]["application/json"]
        assert "example" in content, path
        example, name = content["example"], operation["operationId"]
        validator = jsonschema_rs.Draft202012Validator({**content["schema"], "components": printed()["components"]})
        assert validator.is_valid(example), (path, [error.message for error in validator.iter_errors(example)])
        kind = name.removeprefix("file_")
        if kind in filed_kinds(FORMS):
            read_intake({**KINDS, **FORMS}[kind].INTAKE, example)
        elif name.startswith("command_"):
            known: dict[str, type[Command]] = {
                one: model for case in case_types() for one, model in case.COMMANDS.items()
            }
            body = {**example, "by": {"id": "agent-7", "role": "agent"}}
            read_command(known, name.removeprefix("command_"), body)


def fuzz(document: Json, base: str, token: str, phases: tuple[str, ...]) -> tuple[int, list[str]]:
    """Let schemathesis test the API, and return the number of its requests and the failures."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "base-url": base,
            "headers": {"Authorization": f"Bearer {token}"},
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none", "no-shrink": True},
            # 422 is for what a schema cannot say: two decimals, the order of instants, a cursor of ours.
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409", "422"]},
                "negative_data_rejection": {
                    "expected-statuses": ["400", "401", "403", "404", "409", "413", "415", "422"]
                },
            },
            "phases": {name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")},
        }
    )
    requests, found = 0, []
    for event in from_schema(schemathesis.openapi.from_dict(document, config=config)).execute():
        if isinstance(event, events.ScenarioFinished):
            requests += len(event.recorder.interactions)
            for checks in event.recorder.checks.values():
                for check in checks:
                    if check.failure_info is not None:
                        failure = check.failure_info.failure
                        found.append(
                            f"{event.label}: {failure.title}: {failure.message}\n{check.failure_info.code_sample}"
                        )
        elif isinstance(event, (events.NonFatalError, events.FatalError)):
            found.append(repr(getattr(event, "value", None) or event))
    return requests, found


def part(document: Json, wanted: set[str]) -> Json:
    """The document with some operations only, and all others of their paths: it may not look as if there were none."""
    paths = {path for path, _, operation in operations(document) if operation["operationId"] in wanted}
    return {**document, "paths": {path: document["paths"][path] for path in paths}}


@pytest.fixture(scope="module")
async def served(api: ApiServer) -> Json:
    """The document as it is served, with real cases to ask for; without the stream, which never ends."""
    document: Json = (await api.http.get("/api/v1/openapi.json")).json()
    assert document == printed()
    del document["paths"]["/api/v1/events"]
    ids = {kind: await api.file(kind) for kind in ("complaint", "claim", "exception", "inquiry")}
    ids["leave"] = await api.file_leave("agent-n")
    for _, _, operation in operations(document):
        name = operation["operationId"].removeprefix("command_")
        known = next((one for kind, one in ids.items() if name in (KINDS.get(kind) or Form).COMMANDS), ids["complaint"])
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == "case_id":
                parameter["schema"] = {"type": "string", "enum": [known]}
                parameter.pop("examples", None)
                parameter.pop("example", None)
    if "fuzzer" not in api.tokens:
        await api.key("fuzzer", "file", "command", "read")
    return document


@pytest.mark.long
@pytest.mark.parametrize("role", ROLES)
async def test_schemathesis_finds_nothing(api: ApiServer, served: Json, role: str) -> None:
    """Each operation is tried with made-up requests by one role, and its boundaries by another; `test_roles` tries
    every operation with every role."""
    names = sorted(operation["operationId"] for _, _, operation in operations(served))
    bounds = [name for name in names if not name.startswith("command_") or name.removeprefix("command_") in FIELDS]
    place, token = ROLES.index(role), api.token(role)
    phases = [(names, 3, ("fuzzing",)), (bounds, 0, ("coverage",))]

    def run() -> tuple[int, list[str]]:
        tried, found = 0, list[str]()
        for tries, shift, phase in phases:
            share = set(tries[(place + shift) % len(ROLES) :: len(ROLES)])
            more, wrong = fuzz(part(served, share), api.base, token, phase)
            tried, found = tried + more, [*found, *wrong]
        return tried, found

    tried, found = await asyncio.to_thread(run)
    assert not found, "\n\n".join(found)
    assert tried >= EXAMPLES * (len(names) // len(ROLES))
