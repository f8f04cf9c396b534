"""Who sends a command or files a case."""

from __future__ import annotations

from cases.vocabulary.events import Actor
from cases.vocabulary.values import Model, Token


class Account(Model):
    """Somebody by an id that is no personal data, in a role."""

    id: Token
    role: Token


class By(Account):
    """The person or system that sends something.

    ``person`` is the directory's: two accounts of one person have the same, so that they are not two people.
    """

    person: Token | None = None

    def actor(self) -> Actor:
        """Return the actor as events carry it."""
        return Actor(self.id, self.role, self.person)
