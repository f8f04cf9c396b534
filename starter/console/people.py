"""People of the staff to choose from, as options of a form."""

from __future__ import annotations

from collections.abc import Collection

from starter.access import NO_UNIT, units_of
from starter.console.forms import Options
from starter.console.web import Look


async def people(look: Look, roles: Collection[str], units: Collection[str | None] = ()) -> Options:
    """Return the people who hold these roles, oneself first where one is among them.

    Args:
        units: only those who see the cases of all of these.
    """
    directory, words, names = await look.services.directory.current(), look.words, look.formatter

    def reaches(role: str, unit: str) -> bool:
        seen = units_of(role, (unit,), directory)
        return seen is None or all((one or NO_UNIT) in seen for one in units)

    found = [one for role in roles for one in directory.people_of(role) if one.id != look.who.id]
    named = [
        (f"{one.id}|{one.role}", f"{names.person(one.id)} · {words.word('role', one.role)} · {names.unit(one.unit)}")
        for one in found
        if reaches(one.role, one.unit)
    ]
    mine = (f"{look.who.id}|{look.who.role}", f"{names.person(look.who.id)} · {look.say('app.you')}")
    return [mine, *named] if look.who.role in roles else named
