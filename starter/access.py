"""Who may see and do what: callers of the API and the console, and the table that makes a token's claims into one.

The rules decide what a role may do in a case. This page decides before that whether somebody gets to
the case at all:

    agent                          cases of the own unit
    supervisor                     cases of the own unit and of all below it
    qa_manager, general_manager    every case
    auditor                        every case, and changes none
    any other role                 the kinds that name it (`Case.SEEN_BY`), else those for all others, of every unit
    a system with a key            what its scopes (file, command, read, texts, administer) and units allow
      that is finance              of the kinds that finance sees
      that speaks for customers    of those whose personal facts name one of its customers

An agent sees the kinds that this build knows and of the forms of a policy those that name their role. Whoever a case
is between (`Case.parties`: a handover, a swap, who filed a form) sees that one case wherever it is; so does the role
that a field of a form names. Whose role a form asks, or has asked, sees it whatever the policies at hand say by now.
A person is one of the directory of staff, in the role that it has them in now; nobody else sees anything.

The rungs of the contact ladder between companies are likened to these: its two lowest to the agent,
its area office to the supervisor, its headquarters to the general manager.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError

from activities.casebook.search import Reader
from cases.audience import AND_BELOW, OWN_UNITS, RUNGS, SEE_ALL, asked, kinds_seen_by
from cases.case import Case
from cases.directory import OUTSIDE, Directory
from cases.kinds.form import Form
from cases.registry import KINDS, kind_named
from cases.vocabulary.commands import COMMANDS
from cases.vocabulary.events import Actor
from cases.vocabulary.refusals import Refused, invalid, shown
from cases.vocabulary.values import Model, Role, Token

Scope = Literal["file", "command", "read", "texts", "administer"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# As which role a system may act: for itself, or for whom it speaks.
SYSTEM_ROLES = ("system", "customer", "platform", "finance")
AUDITOR, CUSTOMER, FINANCE = "auditor", "customer", "finance"
# For whom a system may speak, and who never reads what people wrote freely.
UNTOLD = frozenset({CUSTOMER, "platform"})
# Commands that administer the system, whichever case they are sent to.
ADMINISTRATION = frozenset({"load_calendar"})
# What a key that may not read is told of a case: how to name it to others, and whether it is over.
RECEIPT = ("id", "number", "status")
# The unit of a case that names none; such a case belongs to headquarters.
NO_UNIT = ""

# Who reads what was looked at by whom.
_OVERSEERS = SEE_ALL
# Who checks the whole record, which takes as long as it takes.
_VERIFIERS = frozenset({AUDITOR, "qa_manager", "general_manager"})
# Who reads the payout book and holds it against the gateway's: who confirms payments, and who checks the record.
_RECONCILERS = _VERIFIERS | {FINANCE}
# Who sees every case and may come to hold any: an auditor sees personal facts masked.
_DECRYPTERS = frozenset({"qa_manager", "general_manager"})

# Who settles messages of customers: the own company's ladder, and nobody of another one.
_SETTLERS = frozenset({"agent", "supervisor", "qa_manager", "general_manager"})

# Who asks for and decides erasures, and sets legal holds.
_ERASERS = frozenset({"qa_manager", "general_manager"})


@dataclass(frozen=True)
class Caller:
    """Somebody who calls the API or uses the console, known by a token or a key.

    Args:
        id: staff id, or the name of a system's key.
        units: whose cases are in reach; None for every unit. ``NO_UNIT`` stands for those without one.
        scopes: of a system.
        name: personal data; empty for a system.
        person: what the accounts of one person have in common, where the directory says so.
        customers: the references (``facts.customer.ref``) of those for whom a system with the role customer speaks.
        forms: what the policies at hand declare, by name.
    """

    id: str
    role: str
    units: frozenset[str] | None
    kind: Literal["person", "system"]
    scopes: frozenset[str] = frozenset()
    name: str = ""
    language: str = "zh"
    person: str | None = None
    customers: frozenset[str] = frozenset()
    forms: Mapping[str, type[Form]] = field(default_factory=dict, compare=False, repr=False)

    def actor(self) -> Actor:
        """Return the caller as the rules know them."""
        return Actor(self.id, self.role, self.person)


def units_of(role: str, own: Iterable[str], directory: Directory) -> frozenset[str] | None:
    """Whose cases a person of a role sees.

    Args:
        own: the units that the person belongs to; without any they see nothing.
    """
    if role not in OWN_UNITS:
        return None
    headquarters, units = directory.headquarters, set(own)
    if role in AND_BELOW:
        # A unit that the directory does not know counts as below headquarters.
        if headquarters in units:
            return None
        units = units.union(*(directory.units_under(unit) for unit in units))
    if headquarters in units:
        units.add(NO_UNIT)
    return frozenset(units)


def sees(caller: Caller) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    """Return the units and the kinds of case that a caller sees; None stands for all of them."""
    if caller.kind == "system":
        return caller.units, _kinds_of(caller) if caller.role == FINANCE else None
    if caller.role in SEE_ALL:
        return None, None
    if caller.role in AND_BELOW:
        return caller.units, None
    if caller.role in OWN_UNITS:
        return caller.units, frozenset(KINDS) | _forms_of(caller)
    return None, _kinds_of(caller)


def _kinds_of(caller: Caller) -> frozenset[str]:
    """Return the kinds that a role beside the rungs sees: those that name it, else those that are for all others."""
    return kinds_seen_by(caller.role) | _forms_of(caller)


def _forms_of(caller: Caller) -> frozenset[str]:
    """Return the forms whose tables name the role of a caller."""
    return frozenset(name for name, form in caller.forms.items() if caller.role in form.SEEN_BY)


def filed_kinds(forms: Iterable[str] = ()) -> tuple[str, ...]:
    """Name the kinds that whoever meets them files, and these forms; the others are made by this system itself."""
    return (*(name for name, kind in KINDS.items() if kind.FILED), *forms)


def customers_of(caller: Caller) -> frozenset[str] | None:
    """Return the references of the customers whose cases alone a caller sees; None for who speaks for no customer."""
    return caller.customers if caller.role == CUSTOMER else None


def own(caller: Caller) -> str | None:
    """Return whose own forms a caller sees wherever they are; None for who files none in their own name."""
    return caller.id if caller.kind == "person" else None


def in_reach(caller: Caller, kind: str, unit: str | None, customer: str | None = None) -> bool:
    """Whether a caller sees the cases of a kind, a unit and a customer.

    Args:
        customer: the reference among the personal facts; it needs to be known only where `customers_of` says so.
    """
    (units, kinds), customers = sees(caller), customers_of(caller)
    return (
        (kinds is None or kind in kinds)
        and (units is None or (unit or NO_UNIT) in units)
        and (customers is None or customer in customers)
    )


def may_see(caller: Caller, view: Mapping[str, Any], customer: str | None = None) -> bool:
    """Whether a caller sees a case. Of a system it is asked beside its scopes; ``customer`` as for `in_reach`."""
    return in_reach(caller, view["kind"], view["unit"], customer) or _is_party(caller, view)


def _is_party(caller: Caller, view: Mapping[str, Any]) -> bool:
    """Whether a case is between this person and another, or is a form that names or asks their role."""
    kind = kind_named(view["kind"])
    if caller.kind != "person" or kind is None:
        return False
    if caller.id in kind.parties(view):
        return True
    if not _is_form(view):
        return False
    # Its own policy asks them: the form may look otherwise in those at hand, or be gone from them.
    in_units = caller.units is None or (view["unit"] or NO_UNIT) in caller.units
    form = caller.forms.get(view["kind"])
    return (in_units and caller.role in asked(view)) or (form is not None and caller.role in form.named_in(view))


def may_change(caller: Caller) -> bool:
    """Whether a caller may change anything at all."""
    if caller.kind == "system":
        return bool(caller.scopes & {"file", "command", "administer"})
    return caller.role != AUDITOR


def may_bring_messages(caller: Caller) -> bool:
    """Whether a caller may bring what customers have written, which may be about any case."""
    return (
        caller.kind == "system"
        and caller.role == "system"
        and caller.units is None
        and bool(caller.scopes & {"file", "command"})
    )


def may_settle_messages(caller: Caller) -> bool:
    """Whether a caller settles what customers wrote and no case takes: who handles and files cases.

    Such a message belongs to no unit, so whoever may settles any.
    """
    return caller.kind == "person" and caller.role in _SETTLERS and bool(kinds_filed(caller))


def scope_of(command: str) -> Scope:
    """Return the scope of a key that may send a command."""
    return "administer" if command in ADMINISTRATION else "command"


def may_send(caller: Caller, command: str) -> bool:
    """Whether a caller may send a command at all, whatever the case says to it."""
    if COMMANDS[command].INTERNAL:
        return False
    if caller.kind == "system":
        return scope_of(command) in caller.scopes
    return may_change(caller) and command not in ADMINISTRATION


def answer_of(caller: Caller, view: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a caller is told of a case that they filed or sent a command to: its view, or a `RECEIPT`."""
    if caller.kind == "system" and "read" not in caller.scopes:
        return {name: view.get(name) for name in RECEIPT}
    return dict(view)


def may_file(
    caller: Caller, kind: type[Case], unit: str | None, customer: str | None = None, *, somewhere: bool = False
) -> bool:
    """Whether a caller may file a case of a kind, a unit and a customer; a form by whoever its table names.

    Args:
        somewhere: ask whether they may in any unit at all.
    """
    if not kind.FILED or caller.role == AUDITOR or (caller.kind == "system" and "file" not in caller.scopes):
        return False
    if not issubclass(kind, Form):
        return caller.role != FINANCE and in_reach(caller, kind.KIND, _some(caller) if somewhere else unit, customer)
    in_units = somewhere or caller.units is None or (unit or NO_UNIT) in caller.units
    if caller.kind == "system":
        # A form is in the name of one of the staff, for whom nobody of outside speaks.
        return caller.role not in (FINANCE, *UNTOLD) and in_units
    return in_units and caller.role in kind.FILES


def kinds_filed(caller: Caller) -> tuple[str, ...]:
    """Name the kinds with code that a caller may file somewhere."""
    return tuple(name for name, kind in KINDS.items() if may_file(caller, kind, None, somewhere=True))


def _some(caller: Caller) -> str | None:
    return next(iter(caller.units or ()), None)


def check_notified(directory: Directory, person: str, role: str, view: Mapping[str, Any]) -> None:
    """Refuse who may no longer take a case up on the word of a notice that told them of it, in a role.

    Args:
        directory: as it is now.
        view: the case as it is now.

    Raises:
        Refused: code ``not_staff`` or ``not_in_charge``.
    """
    known = directory.person(person)
    if known is None:
        raise not_staff(person, directory)
    kind = kind_named(view["kind"])
    named = (view["holder"], *(() if kind is None else kind.parties(view)))
    if not (directory.stands_for(person, role, view["unit"]) or (known.role == role and person in named)):
        raise Refused("not_in_charge", f"{person} no longer stands for the role {role!r} in this case")


def not_staff(person: str, directory: Directory) -> Refused:
    """Return the refusal of somebody whom the directory of staff does not have."""
    missing = f"{person} is not in the directory of staff" if directory.people else "the directory of staff is empty"
    return Refused("not_staff", f"{missing}; whoever runs this system imports it with `caseladder staff import`")


def may_read_personal(caller: Caller, view: Mapping[str, Any]) -> bool:
    """Whether a caller handles the case, and so may know whom it is about.

    That is who holds it; while nobody of a rung has taken it up, everybody of that rung who sees it. Of a form it is
    who filed it, and whose turn it is. A closed case is handled by nobody.
    """
    if caller.kind != "person" or view["status"] not in ("open", "resolved") or not may_see(caller, view):
        return False
    if _is_form(view):
        return (
            caller.id in Form.parties(view)
            or any(caller.role == one["role"] and caller.id not in one["except_for"] for one in view["waits_for"])
            or any(one["state"] == "open" and caller.role in (one["role"], *one["also"]) for one in view["approvals"])
        )
    return bool(caller.id == view["holder"] or caller.role == view["rung"] == view["holder"])


def reads_all_texts(caller: Caller) -> bool:
    """Whether a caller reads what people wrote freely in every case that they see."""
    if caller.kind == "system":
        return "texts" in caller.scopes and caller.role not in UNTOLD
    return caller.role in RUNGS


def may_read_texts(caller: Caller, view: Mapping[str, Any]) -> bool:
    """Whether a caller may read what people wrote freely in a case that they see.

    Beside those who see it as theirs that is who has to do with it by name or in turn: the people whom it is between,
    who holds it, who is or was asked to decide, who signs now or has signed; of a form everybody who sees it. People of
    outside never do.
    """
    if reads_all_texts(caller):
        return True
    if caller.kind == "system" or caller.role in OUTSIDE:
        return False
    if _is_form(view):
        return may_see(caller, view)
    return _is_party(caller, view) or view["holder"] in (caller.id, caller.role) or caller.role in asked(view)


def _is_form(view: Mapping[str, Any]) -> bool:
    return kind_named(view["kind"]) is Form


def may_read_names(caller: Caller) -> bool:
    """Whether a caller may read the names of the staff: the customer's and the operator's people may not."""
    return caller.kind == "person" and caller.role not in OUTSIDE


def reader(caller: Caller) -> Reader:
    """Return what a caller finds cases by, beyond what everybody reads who sees a case."""

    def reads(view: Mapping[str, Any], personal: bool) -> bool:
        return may_read_texts(caller, view) and (not personal or may_read_personal(caller, view))

    if caller.kind == "system":
        return Reader(texts=reads_all_texts(caller))
    return Reader(reads_all_texts(caller), may_read_names(caller), (caller.id, caller.role), reads)


def may_verify(caller: Caller) -> bool:
    """Whether a caller may check the whole record, and take proofs and checkpoints of it to others."""
    return caller.kind == "person" and caller.role in _VERIFIERS


def may_reconcile(caller: Caller) -> bool:
    """Whether a caller may read the payout book, and have it compared with the gateway's."""
    return caller.kind == "person" and caller.role in _RECONCILERS


def may_read_looks(caller: Caller) -> bool:
    """Whether a caller may read who looked at personal data."""
    return caller.kind == "person" and caller.role in _OVERSEERS


def may_erase(caller: Caller) -> bool:
    """Whether a caller may ask for and decide erasures, and set legal holds."""
    return caller.kind == "person" and caller.role in _ERASERS


def check_may_erase(role: str) -> None:
    """Refuse whoever neither asks for nor decides erasures, nor sets legal holds. Raises Refused: ``role``."""
    if role not in _ERASERS:
        allowed = ", ".join(sorted(_ERASERS))
        raise Refused("role", f"role {role!r} may not erase; allowed: {allowed}")


def may_decrypt(caller: Caller) -> bool:
    """Whether a caller may read in clear what the engine keeps of any case: personal facts of all, and never masked."""
    return caller.kind == "person" and caller.role in _DECRYPTERS


# --- the table of tokens --------------------------------------------------------------------------

# Only signatures whose key a reader of the key set cannot sign with itself.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise ValueError("it must be an https:// address (http:// only on this machine)")
    return text


WebAddress = Annotated[str, AfterValidator(_web_address)]


class Claims(Model):
    """The names of a token's claims. ``roles`` and ``units`` hold one text or a list of them."""

    id: str = "sub"
    name: str = "name"
    roles: str = "roles"
    units: str = "units"
    language: str = "locale"


class Grant(Model):
    """Who has a value among ``claims.roles`` may have this role, if the directory has them in it.

    Args:
        units: where; without them the token says so, or else the directory.
    """

    value: Annotated[str, Field(min_length=1)]
    role: Role
    units: tuple[Token, ...] = ()


class AccessTable(Model):
    """Whose tokens count, and what they make of their bearer: the file CASELADDER_ACCESS.

    Args:
        jwks: where the issuer's keys are; without it its discovery document says so.
        skew: seconds that the issuer's clock may be off.
        grant: the first one whose value the token has and whose role the directory says.
    """

    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[str, Field(min_length=1)]
    jwks: WebAddress | None = None
    algorithms: tuple[Literal[ALGORITHMS], ...] = ("RS256", "ES256", "EdDSA")  # type: ignore[valid-type]
    skew: Annotated[int, Field(ge=0, le=300)] = 30
    claims: Claims = Claims()
    grant: Annotated[tuple[Grant, ...], Field(min_length=1)]


def read_access(text: str, roles: Collection[str]) -> AccessTable:
    """Read an access table (TOML).

    Args:
        roles: those of the policy.

    Raises:
        Refused: code ``bad_access``, naming each field, its value and what is allowed.
    """
    try:
        table = AccessTable.model_validate(tomllib.loads(text))
        if table.jwks is None:
            _web_address(table.issuer)
    except tomllib.TOMLDecodeError as error:
        raise Refused("bad_access", f"access: not TOML: {error}") from None
    except ValidationError as error:
        raise Refused("bad_access", invalid(error, "access").message) from None
    except ValueError as error:
        raise Refused("bad_access", f"access: issuer = {table.issuer!r}: {error}, or give jwks") from None
    for grant in table.grant:
        if grant.role in OUTSIDE:
            raise Refused(
                "bad_access", f"access: grant.role = {grant.role!r}: no role of the staff; systems have it, by a key"
            )
        if grant.role not in roles:
            allowed = ", ".join(role for role in roles if role not in OUTSIDE)
            raise Refused("bad_access", f"access: grant.role = {grant.role!r}: allowed: {allowed}")
    return table


def caller_of(
    claims: Mapping[str, Any], table: AccessTable, directory: Directory, forms: Mapping[str, type[Form]] | None = None
) -> Caller:
    """Return the caller that a token with these verified claims speaks for.

    Args:
        directory: as it is now, so that who is removed from it, or has another role there, acts no more as before.
        forms: see `Caller`.

    Raises:
        Refused: code ``no_role``: the table grants its bearer nothing, or not what they are in the directory;
            ``not_staff``: they are not in the directory; ``bad_token``: its id is none.
    """
    names = table.claims
    held = _texts(claims.get(names.roles))
    granted = [one for one in table.grant if one.value in held]
    if not granted:
        raise Refused("no_role", "the access table grants the bearer of this token no role")
    try:
        person = _Bearer.model_validate({"id": claims.get(names.id)}).id
    except ValidationError:
        raise Refused("bad_token", f"the claim {names.id} of the token must be a staff id: a plain token") from None
    known = directory.person(person)
    if known is None:
        raise not_staff(person, directory)
    grant = next((one for one in granted if one.role == known.role), None)
    if grant is None:
        roles = ", ".join(dict.fromkeys(one.role for one in granted))
        raise Refused(
            "no_role", f"{person} is {known.role} in the directory of staff; the access table grants: {roles}"
        )
    name, language = claims.get(names.name), claims.get(names.language)
    if not isinstance(language, str) or not language.startswith(("zh", "en")):
        language = known.language
    return Caller(
        id=person,
        role=grant.role,
        units=units_of(grant.role, grant.units or _texts(claims.get(names.units)) or (known.unit,), directory),
        kind="person",
        name=name if isinstance(name, str) else known.name or "",
        language=language[:2],
        person=known.person,
        forms=forms or {},
    )


def staff_caller(person: str, directory: Directory) -> Caller:
    """Return somebody of the staff as a caller, where whoever runs the system names them.

    Raises:
        Refused: code ``not_staff``.
    """
    known = directory.person(person)
    if known is None:
        raise not_staff(shown(person), directory)
    units = units_of(known.role, (known.unit,), directory)
    return Caller(known.id, known.role, units, "person", language=known.language, person=known.person)


class _Bearer(Model):
    id: Token


def _texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a claim, which holds one or a list of them; an empty one says nothing."""
    values = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(item for item in values if isinstance(item, str) and item)
