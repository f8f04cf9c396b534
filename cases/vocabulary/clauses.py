"""Clause ids: how a text names the clauses it rests on, and where ``docs/rules.md`` explains each."""

from __future__ import annotations

import re

# ``S0-A.5.4``, ``S0-A.3.2 b`` and ``S0-2.1.2(2)`` (a source document), ``O-REG-29`` (law or standard), ``T3`` and
# ``Q9`` (topics and open questions of the rules page), and the marks. A letter is part of an id unless a word follows.
CLAUSE_ID = re.compile(
    r"""(?<![\w-]) (?:
        S\d-[0-9A-Z]+ (?:\.[0-9A-Z]+)* (?:[ ][a-d] (?=[^\w ]|$) | \(\d\))?
      | O-[A-Z]+\d? (?:-\d+)?
      | [TQ]\d+
      | CARD | INVENTED | OUTSIDE | READING
    ) (?![\w-])""",
    re.VERBOSE | re.MULTILINE,
)


def clause_ids(text: str) -> list[str]:
    """Return the clause ids in a text, such as ``S4-3.3.1, S1-1.3`` or ``S0-A.5.4 [INVENTED]``, in order."""
    return CLAUSE_ID.findall(text)


def anchor(clause_id: str) -> str:
    """Return the anchor of a clause id on the rules page: ``S0-A.5.4`` is at ``#s0-a-5-4``."""
    return re.sub(r"[^0-9a-z]+", "-", clause_id.lower()).strip("-")
