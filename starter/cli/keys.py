"""The commands ``keys create|list|revoke`` and ``token``, credentials for the API, and ``payload-key``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from cyclopts.validators import Number

from starter.cli import output
from starter.cli.errors import OK, BadInput, Failed
from starter.cli.options import STACK, StackOptions

if TYPE_CHECKING:
    from activities.access.api_keys import ApiKeys
    from cases.directory import Person

keys = App(name="keys", help="Keys of systems that call the API.")


def register(app: App) -> None:
    """Add the commands."""
    app.command(token)
    app.command(keys)
    app.command(payload_key)


def payload_key(name: str | None = None, /) -> int:
    """Make a key that encrypts what the engine keeps, and print it for CASELADDER_PAYLOAD_KEYS. Needs no server.

    Args:
        name: its id, which stands in the open beside everything that it encrypts (default: the date, 2026-03-01).
    """
    from starter.encryption import BadPayloadKeys, new_key

    try:
        print(new_key(name or datetime.now(UTC).date().isoformat()))
    except BadPayloadKeys as error:
        raise BadInput(f"NAME = {name!r}: {error}") from None
    return OK


async def token(
    person: str,
    /,
    *,
    hours: Annotated[int, Parameter(validator=Number(gte=1, lte=24))] = 8,
    options: StackOptions = STACK,
) -> int:
    """Print a token of the development issuer, by which a sample person calls the API.

    Args:
        person: one of those that `caseladder up` lists: agent-1, supervisor-1, ...
        hours: how long it is good.
    """
    from datetime import timedelta

    from starter.api.issuer import Issuer

    settings = options.settings()
    if settings.access is not None:
        raise Failed("CASELADDER_ACCESS is set: tokens come from the issuer that it names")
    people = {one.id: one for one in await known_people(options)}
    if not people:
        raise Failed("the directory of staff is empty, so nobody has a token: import it with `caseladder staff import`")
    if person not in people:
        raise BadInput(f"PERSON = {person!r}: allowed: {', '.join(people)}")
    made = Issuer(settings.data).token(people[person], datetime.now(UTC), timedelta(hours=hours))
    if options.json:
        output.print_json({"token": made, "person": person, "role": people[person].role})
    else:
        print(made)
    return OK


async def known_people(options: StackOptions) -> list[Person]:
    """List the people that the development issuer makes tokens for."""
    from activities.people.directory import DirectoryBook
    from activities.policies.store import Policies
    from starter.api.issuer import sample_people
    from starter.api.services import all_roles

    settings = options.settings()
    async with options.database() as database:
        return sample_people(await DirectoryBook(database).read(), all_roles(Policies(settings.policies)))


@asynccontextmanager
async def _api_keys(options: StackOptions) -> AsyncIterator[ApiKeys]:
    from activities.access.api_keys import ApiKeys

    async with options.database() as database:
        yield ApiKeys(database)


@keys.command
async def create(
    name: str,
    /,
    *,
    scope: Annotated[list[str], Parameter(negative="")],
    role: str = "system",
    unit: Annotated[list[str] | None, Parameter(negative="")] = None,
    customer: Annotated[list[str] | None, Parameter(negative="")] = None,
    options: StackOptions = STACK,
) -> int:
    """Make a key and print it. It is shown this once; only its hash is stored.

    Args:
        name: who acts by it, as the record names them: order-system, hotline, ...
        scope: file, command, read, texts (to read what people wrote freely) or administer (load a calendar into
            cases). May be repeated.
        role: as whom it acts: system, customer, platform or finance.
        unit: a unit whose cases it reaches; without any it reaches all. May be repeated.
        customer: a reference (facts.customer.ref) of a customer for whom it speaks, with the role customer: it reaches
            the cases that name it, and no others. May be repeated.
    """
    from pydantic import TypeAdapter, ValidationError

    from cases.vocabulary.values import Text, Token
    from starter.access import CUSTOMER, SCOPES, SYSTEM_ROLES, UNTOLD

    wrong = [one for one in scope if one not in SCOPES]
    if wrong:
        raise BadInput(f"--scope = {wrong[0]!r}: allowed: {', '.join(SCOPES)}")
    if role not in SYSTEM_ROLES:
        raise BadInput(f"--role = {role!r}: allowed: {', '.join(SYSTEM_ROLES)}")
    if role in UNTOLD and "texts" in scope:
        raise BadInput(f"--scope = 'texts': a key with --role {role} never reads what people wrote freely")
    for what, value in (("NAME", name), *(("--unit", one) for one in unit or ())):
        try:
            TypeAdapter(Token).validate_python(value)
        except ValidationError:
            raise BadInput(f"{what} = {value!r}: allowed are letters, digits and . _ : / @ -, at most 128") from None
    if (role == CUSTOMER) is not bool(customer):
        raise BadInput(f"--customer: a key with --role {CUSTOMER} names at least one, any other key none")
    try:
        TypeAdapter(list[Text]).validate_python(customer or [])
    except ValidationError:
        raise BadInput("--customer: allowed is a text that is not blank") from None
    async with _api_keys(options) as api_keys:
        made, text = await api_keys.create(name, role, set(scope), set(unit) if unit else None, set(customer or ()))
    if options.json:
        shown = {"id": made.id, "name": name, "role": role, "scopes": sorted(made.scopes)}
        output.print_json({**shown, "customers": sorted(made.customers), "key": text})
    else:
        print(text)
    return OK


@keys.command(name="list")
async def list_keys(*, options: StackOptions = STACK) -> int:
    """List the keys, revoked ones too; none of them can be shown again."""
    async with _api_keys(options) as api_keys:
        found = await api_keys.all()
    rows: list[dict[str, Any]] = [
        {
            "id": one.id,
            "name": one.name,
            "role": one.role,
            "scopes": sorted(one.scopes),
            "units": None if one.units is None else sorted(one.units),
            "customers": sorted(one.customers),
            "created_at": None if one.created_at is None else one.created_at.isoformat(),
            "revoked_at": None if one.revoked_at is None else one.revoked_at.isoformat(),
        }
        for one in found
    ]
    if options.json:
        output.print_json(rows)
    elif not rows:
        output.line("no keys")
    else:
        shown = [
            (
                row["id"], row["name"], row["role"], " ".join(row["scopes"]), " ".join(row["units"] or ["all"]),
                ", ".join(row["customers"]), output.instant(row["created_at"]), output.instant(row["revoked_at"]),
            )
            for row in rows
        ]  # fmt: skip
        output.table(("id", "name", "role", "scopes", "units", "customers", "created", "revoked"), shown)
    return OK


@keys.command
async def revoke(key: str, /, *, options: StackOptions = STACK) -> int:
    """Revoke a key; it stops working at once.

    Args:
        key: its id or its name.
    """
    async with _api_keys(options) as api_keys:
        await api_keys.revoke(key)
    if options.json:
        output.print_json({"revoked": key})
    else:
        output.line(f"{key} is revoked")
    return OK
