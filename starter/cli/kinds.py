"""The kind of what is filed or signed: of a form as its policy declares it, and what a form is filled in with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cases.vocabulary.refusals import Refused
from starter.cli.errors import BadInput
from starter.cli.intake import read_fields
from starter.cli.options import RequestOptions, StackOptions

if TYPE_CHECKING:  # the rules take a while to import
    from cases.case import Case
    from cases.kinds.form import Form


def kind_filed(kind: str, intake: Mapping[str, Any], options: StackOptions) -> type[Case]:
    """Return a kind by its name: of a form as the policy declares it that the intake names.

    Raises:
        Refused: code ``unknown_kind``, naming kinds and forms; ``unknown_policy`` or ``bad_policy``.
    """
    from activities.policies.store import Policies
    from cases.registry import KINDS, kind_of
    from starter.client import DEFAULT_POLICY

    if kind in KINDS:
        return KINDS[kind]
    return kind_of(kind, Policies(options.configured().policies).load(str(intake.get("policy", DEFAULT_POLICY))))


async def form_of_case(case_id: str, options: RequestOptions) -> type[Form] | None:
    """Return the form that a case is, as the policy declares it that it is pinned to; None for another kind.

    Raises:
        Refused: code ``not_found``; ``unknown_policy`` or ``bad_policy`` where no database says what it is pinned to.
    """
    from activities.policies.store import Policies
    from cases.kinds.form import form_of
    from cases.policy.model import Policy
    from cases.registry import KINDS

    kind = case_id.partition(":")[0]
    if kind in KINDS:
        return None
    client = await options.client()
    async with options.answer_within_timeout():
        view = await client.case(case_id)
    document = None
    if options.settings().database_url is not None:
        async with options.casebook() as book:
            document = await book.policy_document(view["policy_hash"])
    known = Policies(options.configured().policies)
    return form_of(kind, known.load(view["policy"]) if document is None else Policy.from_document(document))


def fill_in(case: type[Case], intake: dict[str, Any], pairs: Sequence[str]) -> None:
    """Fill the fields of a form in from pairs like ``emergency=true``, and who files it from who sends it.

    Raises:
        BadInput: a pair cannot be read, or there are pairs for what is no form.
    """
    from cases.kinds.form import Form
    from starter.forms import table_of

    if not issubclass(case, Form):
        if pairs:
            raise BadInput(f"--field: {case.KIND} is no form; --set facts.NAME=VALUE sets a fact")
        return
    facts = intake.setdefault("facts", {})
    if not isinstance(facts, dict):
        return
    fields = facts.setdefault("fields", {})
    if isinstance(fields, dict):
        fields.update(read_fields(table_of(case).fields, pairs))
    by = intake.get("by")
    if isinstance(by, Mapping) and "filed_by" not in facts:
        facts["filed_by"] = {name: by[name] for name in ("id", "role") if name in by}


def check_intake(case: type[Case], intake: dict[str, Any]) -> None:
    """Validate an intake before connecting to anything.

    Raises:
        Refused: code ``invalid``.
    """
    from cases.vocabulary.facts import read_intake

    read_intake(case.INTAKE, intake)


async def check_filed(case: type[Case], intake: dict[str, Any], options: StackOptions) -> None:
    """Refuse what the roster forbids, where there is a database to ask.

    Raises:
        Refused: code ``swapped_shift``.
    """
    from activities.people.swap import Swaps
    from cases.kinds.form import Form
    from starter.filing import check_roster

    if issubclass(case, Form) and options.settings().database_url is not None:
        async with options.database() as database:
            await check_roster(Swaps(database), case, intake)


def titles_of_fields(view: Mapping[str, Any], options: StackOptions) -> dict[str, str]:
    """Return the titles of the fields of a form, by name and in order; nothing of what no policy at hand declares."""
    from activities.policies.store import Policies
    from cases.policy.forms import titles_of

    if "fields" not in view:
        return {}
    try:
        form = Policies(options.configured().policies).load(view["policy"]).form.get(view["kind"])
    except Refused:
        return {}
    return {} if form is None else {name: titles_of(rule.title, name)["en"] for name, rule in form.fields.items()}


def check_kind_asked(kind: str | None, options: StackOptions) -> None:
    """Refuse a kind in a filter that neither this build nor a policy at hand knows.

    Raises:
        BadInput: naming what is allowed.
    """
    from cases.registry import KINDS
    from starter.forms import check_kind

    if kind is None or kind in KINDS:
        return
    try:
        check_kind(kind, options.forms())
    except Refused as refusal:
        raise BadInput(f"--{refusal.message}") from None
