"""The forms that the policies at hand declare: what doors offer beside the kinds of case that this build knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import structlog

from activities.policies.store import Policies
from cases.kinds.form import Form
from cases.registry import kind_of
from cases.vocabulary.refusals import Refused

log = structlog.get_logger(__name__)
# The policy whose forms win over those of the same name in others.
FIRST = "default"

Forms = Mapping[str, type[Form]]


def declared_forms(policies: Policies) -> dict[str, type[Form]]:
    """Return the forms by name; of a name that several policies have, that of the default policy, else of the first.

    A case goes by the policy that it names. A policy that cannot be read is passed over: whoever files by it hears why.
    """
    found: dict[str, type[Form]] = {}
    for name in sorted(policies.names(), key=lambda name: (name != FIRST, name)):
        try:
            policy = policies.load(name)
        except Refused as refusal:
            log.warning("policy_not_read", policy=name, code=refusal.code)
            continue
        for form in policy.form:
            found.setdefault(form, cast("type[Form]", kind_of(form, policy)))
    return found
