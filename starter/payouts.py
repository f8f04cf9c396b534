"""The payouts, configured by the settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from activities.audit.everything import Everything
from activities.database.database import Database
from activities.messages import PayoutOrder
from activities.payouts import Payouts, gateway_of
from activities.signatures import read_secret
from starter.senders import key_set_of
from starter.settings import Settings, SettingsError


def payouts_of(settings: Settings, database: Database) -> Payouts:
    """Return the payouts that the settings describe.

    Raises:
        SettingsError: a setting is invalid.
    """
    secret = None
    if settings.payout_callback_secret is not None:
        try:
            secret = read_secret(settings.payout_callback_secret.get_secret_value())
        except ValueError as error:
            raise SettingsError(f"CASELADDER_PAYOUT_CALLBACK_SECRET: {error}") from None
    token = settings.payout_token
    gateway = gateway_of(settings.payout_url, token.get_secret_value() if token else None, database)
    return Payouts(database, gateway, secret, _faults_of(settings, database))


def _faults_of(settings: Settings, database: Database) -> Callable[[PayoutOrder], Awaitable[Sequence[object]]] | None:
    """Return who looks at the record before money is ordered, where everything in it has to be signed."""
    if settings.commands != "signed":
        return None

    async def faults(order: PayoutOrder) -> Sequence[object]:
        done = await Everything(database, senders=key_set_of(settings), order=order).verify(order.case_id)
        return done.faults if done.cases else ["it is not recorded"]

    return faults
