"""The rules page: every clause id that a page shows leads to it."""

from __future__ import annotations

import re

from activities.policies.store import Policies
from cases.vocabulary.clauses import anchor, clause_ids
from starter.console.rules import PAGE, _rendered, clause_links


def test_a_clause_is_a_link_to_its_anchor_and_the_rest_is_text() -> None:
    text = str(clause_links('S0-A.5.4 [INVENTED], <b>"x"'))
    assert text == (
        f'<a href="{PAGE}#s0-a-5-4">S0-A.5.4</a> [<a href="{PAGE}#invented">INVENTED</a>], &lt;b&gt;&#34;x&#34;'
    )


def test_every_clause_of_the_shipped_policies_has_an_anchor_on_the_page() -> None:
    anchors = set(re.findall(r'<a id="([^"]+)">', str(_rendered())))
    policies = Policies()
    named = {
        found
        for name in policies.names()
        for clause in re.findall(r'"clause": ?"([^"]*)"', policies.load(name).document)
        for found in clause_ids(clause)
    }
    assert len(named) > 20
    assert {anchor(one) for one in named} <= anchors


def test_the_page_links_to_nothing_that_the_console_does_not_serve() -> None:
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', str(_rendered())))
