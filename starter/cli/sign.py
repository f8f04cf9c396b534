"""Signing for any client: ``caseladder sign key``, ``sign command`` and ``sign intake``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from starter.cli import output
from starter.cli.errors import OK, BadInput
from starter.cli.intake import assign, check_text, read_json_object, read_object
from starter.cli.kinds import check_intake, form_of_case, kind_filed
from starter.cli.options import NO_SENDER, REQUEST, STACK, RequestOptions, SenderOptions, StackOptions

if TYPE_CHECKING:
    from activities.senders.sign import Signer

app = App(
    name="sign",
    help="Sign a step of a case; or prove who sends what, for any client: key, command, intake.",
)

KeyFile = Annotated[Path | None, Parameter(name="--key")]


@app.command
def key(
    file: Path,
    /,
    *,
    by: str,
    role: Annotated[list[str], Parameter(negative="")],
    person: str | None = None,
    options: StackOptions = STACK,
) -> int:
    """Make a key to sign with, and print its entry for the key set (CASELADDER_SENDERS).

    Args:
        file: where the key goes, for its owner alone. One that is there signs no more from now on.
        by: id of the person or system that it signs for; * for a server that asks everybody who they are.
        role: role in which it signs; may be repeated, * for every role.
        person: what the directory calls the person behind several accounts, where it does.
        options: how the answer is printed.
    """
    from pydantic import ValidationError

    from activities.audit.keys import BadKeys, new_key
    from activities.senders.key_set import Sender, entry
    from cases.vocabulary.refusals import invalid

    try:
        # Before a key is made that nobody could use.
        Sender(id=by, roles=role, key="A" * 43 + "=", person=person)
        keys = new_key(file)
        lines = entry(keys, by, role, person)
    except ValidationError as error:
        raise BadInput(invalid(error, "sign key").message) from None
    except BadKeys as error:
        raise BadInput(str(error)) from None
    if options.json:
        output.print_json({"file": str(file), "key": keys.id, "entry": lines})
    else:
        print(lines, end="")
    return OK


@app.command
async def command(
    case: str,
    name: str,
    /,
    *pairs: Annotated[str, Parameter(name="NAME=VALUE")],
    sender: SenderOptions = NO_SENDER,
    with_: Annotated[str | None, Parameter(name="--with", metavar="JSON")] = None,
    key: KeyFile = None,
    options: RequestOptions = REQUEST,
) -> int:
    """Sign a command, and print it as one line of JSON that any Temporal client can send for a few minutes.

    Args:
        case: its id (complaint:KEY) or its number (2026-03-0007, inquiry/2026-03-0007).
        name: of the command: assign, note, approve, ...
        pairs: the command's fields, as far as --with does not give them.
        sender: who sends it.
        with_: the command's fields as one JSON object.
        key: file with the key; without it CASELADDER_SENDER_KEY.
        options: which stack.
    """
    from cases.registry import KINDS, kind_named

    body: dict[str, Any] = {} if with_ is None else read_json_object(with_, "--with")
    assign(body, pairs, name)
    body = sender.add_to(body)
    if "by" not in body:
        raise BadInput(f"{name}: by is missing; say who acts: --by agent-7 --role agent")
    check_text(body, name)
    case_id = await options.case_id(case)
    if kind_named(case_id.partition(":")[0]) is None:
        raise BadInput(f"CASE = {case!r}: its kind is none of {', '.join(KINDS)}, and no form")
    form = await form_of_case(case_id, options) if name == "sign" else None
    return _print(_signer(key, options).command(case_id, name, body, form))


@app.command
def intake(
    kind: str,
    source: Annotated[Path, Parameter(name="FILE", allow_leading_hyphen=True)],
    /,
    *,
    by: str | None = None,
    role: str | None = None,
    key: KeyFile = None,
    options: StackOptions = STACK,
) -> int:
    """Sign an intake, and print it as one line of JSON that any Temporal client can start a case with.

    Args:
        kind: complaint, claim, exception, inquiry or a form like leave.
        source: the intake as JSON or TOML; - reads stdin.
        by: id of who files it.
        role: role in which they do.
        key: file with the key; without it CASELADDER_SENDER_KEY.
        options: which stack.
    """
    raw = SenderOptions(by, role).add_to(read_object(source))
    case = kind_filed(kind, raw, options)
    check_intake(case, raw)
    return _print(_signer(key, options).intake(kind, raw, case))


def _signer(key: Path | None, options: StackOptions) -> Signer:
    from activities.audit.keys import BadKeys
    from activities.senders.sign import Signer

    file = key or options.settings().sender_key
    if file is None:
        raise BadInput("--key is missing, and CASELADDER_SENDER_KEY is not set: make a key with `caseladder sign key`")
    signer = Signer(file)
    try:
        if signer.keys().signer is None:
            raise BadInput(f"--key: {file} holds only public keys")
    except BadKeys as error:
        raise BadInput(f"--key: {error}") from None
    return signer


def _print(body: dict[str, Any]) -> int:
    print(json.dumps(body, ensure_ascii=False))
    return OK
