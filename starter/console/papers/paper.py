"""One form as somebody at the console has it before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from starlette.exceptions import HTTPException

from cases.kinds.form import Form, make_form
from cases.policy.forms import FormTable
from cases.policy.model import Policy
from cases.registry import kind_of
from starter.access import may_file
from starter.console.forms import Field
from starter.console.papers.inputs import FIELDS, Offered, inputs_of
from starter.console.papers.titles import FormTranslations

if TYPE_CHECKING:
    from starter.console.web import Look


@dataclass(frozen=True)
class Paper:
    """A form, the policy that declares it, and its words in the reader's language."""

    name: str
    policy: Policy
    form: type[Form]
    words: FormTranslations

    @property
    def table(self) -> FormTable:
        """The table that declares it."""
        return self.policy.form[self.name]

    @property
    def title(self) -> str:
        """What it is called."""
        return self.words.word("kind", self.name)

    @classmethod
    def of(cls, look: Look, name: str, policy: Policy, *, tried: bool = False) -> Paper:
        """Return a form of a policy; one that is only tried out is not kept in memory."""
        form = make_form(name, policy) if tried else cast("type[Form]", kind_of(name, policy))
        return cls(name, policy, form, FormTranslations(look.words, name, policy.form[name]))


async def paper_of(look: Look) -> Paper:
    """Return the form that an address names, as the policy in force declares it.

    Raises:
        HTTPException: 404, there is none.
    """
    name = look.request.path_params["name"]
    known = look.services.forms.get(name)
    if known is None:
        raise HTTPException(404)
    policy = await look.services.policies.in_force(known.DECLARED_BY.name)
    if name not in policy.form:
        raise HTTPException(404)
    return Paper.of(look, name, policy)


def filed_by(look: Look) -> list[str]:
    """Name the forms that whoever looks may file."""
    return [name for name, form in look.services.forms.items() if may_file(look.who, form, unit_of(look))]


def unit_of(look: Look) -> str | None:
    """Return the unit of whoever looks: a form belongs to that of who files it."""
    known = look.directory.person(look.who.id)
    return None if known is None else known.unit


def offered_by(look: Look, policy: Policy) -> Offered:
    """Return what fields choose from."""
    names, words = look.formatter, look.words
    return Offered(
        roles=[(role, words.word("role", role)) for role in policy.all_roles],
        people=[(one.id, f"{names.person(one.id)} · {words.word('role', one.role)}") for one in names.directory.people],
    )


def taken(look: Look, paper: Paper) -> tuple[Field, ...]:
    """Return what a form asks for when it is filed."""
    return inputs_of(paper.table.taken, paper.words, offered_by(look, paper.policy))


def signature_of(look: Look, case: Form) -> tuple[Field, ...]:
    """Return what is asked of whoever signs a form now: a text, needed for an opinion, and what their step fills."""
    step = case.route.present
    words = FormTranslations(look.words, case.KIND, case.rule)
    rule = None if step is None else case.rule.step(str(step.name))
    names = () if rule is None else rule.fills
    filled = inputs_of(
        {name: case.rule.fields[name] for name in names}, words, offered_by(look, case.policy), needed=True
    )
    text = Field("text", "area", words.label("text"), required=rule is not None and rule.act == "opinion")
    group = Field(FIELDS, "group", words.say("paper.you_fill"), required=True, inner=filled)
    return (*((group,) if filled else ()), text)
