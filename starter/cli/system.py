"""The commands ``worker``, ``schema`` and ``rehearse``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from cases.vocabulary.refusals import Refused
from starter.cli import output
from starter.cli.errors import OK
from starter.cli.options import OUTPUT, OutputOptions


def register(app: App) -> None:
    """Add the commands."""
    for command in (worker, schema, rehearse):
        app.command(command)


def worker(*, data: Path | None = None) -> int:
    """Run a worker until SIGTERM or Ctrl-C; start more of them to scale. Its log is on stderr.

    Args:
        data: folder of the embedded stack (default: CASELADDER_DATA, else .caseladder).
    """
    import worker as process

    if data is not None:
        os.environ["CASELADDER_DATA"] = str(data)
    return process.main()


def schema(
    kind: str, /, *, command: str | None = None, policy: str | None = None, options: OutputOptions = OUTPUT
) -> int:
    """Print the JSON Schema of a kind's intake, or of one of its commands. Needs no server.

    Args:
        kind: complaint, claim, exception, inquiry or a form like leave; openapi for the HTTP API as a whole.
        command: a command's name: acknowledge, reply, ...
        policy: the name or the file of the policy whose form is meant; without it the default policy, else the first
            that has such a form.
        options: the answer is JSON in any case.
    """
    from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
    from pydantic_core.core_schema import DecimalSchema

    from activities.policies.store import Policies
    from cases.registry import KINDS, kind_of
    from starter.cli.policies import find
    from starter.forms import declared_forms
    from starter.settings import load_settings

    class Schema(GenerateJsonSchema):
        """Generates a schema in which a decimal is a string, since a JSON number may be rounded in transit."""

        def decimal_schema(self, schema: DecimalSchema) -> JsonSchemaValue:
            either = super().decimal_schema(schema)
            return next(one for one in either["anyOf"] if one["type"] == "string")

    known = Policies(load_settings().policies)
    if kind == "openapi" and command is None:
        from starter.api.app import bare_app

        output.print_json(bare_app(declared_forms(known)).openapi())
        return OK
    if kind in KINDS:
        case = KINDS[kind]
    elif policy is not None:
        case = kind_of(kind, find(policy))
    else:
        forms = declared_forms(known)
        if kind not in forms:
            raise Refused("unknown_kind", f"kind = {kind!r}: allowed: {', '.join((*KINDS, *forms))}, openapi")
        case = forms[kind]
    takes = case.offered_commands()
    if command is not None and command not in takes:
        raise Refused("unknown_command", f"--command = {command!r}: {kind} takes {', '.join(sorted(takes))}")
    model = case.INTAKE if command is None else takes[command]
    output.print_json(model.model_json_schema(schema_generator=Schema))
    return OK


def rehearse(
    *files: Annotated[Path, Parameter(name="FILE")],
    engine: Literal["core", "temporal"] = "core",
    policy: str | None = None,
    against: str | None = None,
    log: Path | None = None,
    mapping: Path | None = None,
    limit: int | None = None,
    options: OutputOptions = OUTPUT,
) -> int:
    """Run scenario files, or the cases of an event log, in virtual time.

    Exit code 0 if every expectation holds, 1 if one fails, 2 for a bad file. With --json a scenario
    prints one event a line, a log one summary object.

    Args:
        files: scenario files.
        engine: core runs the pure rules, temporal real workflows on a time-skipping server.
        policy: a policy's name or file, instead of the scenarios' own.
        against: a second policy on the same log, to compare with.
        log: an event log (CSV), together with --mapping.
        mapping: how the log's rows read as commands (TOML).
        limit: only the first so many cases of the log.
    """
    from activities.policies.store import Policies
    from starter.rehearsal.command import rehearse as run
    from starter.settings import load_settings

    known = Policies(load_settings().policies)
    return run(files, engine, options.json, policy, against, log, mapping, limit, known)
