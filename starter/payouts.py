"""The payouts, configured by the settings."""

from __future__ import annotations

from activities.database.database import Database
from activities.payouts import Payouts, gateway_of
from activities.signatures import read_secret
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
    return Payouts(database, gateway, secret)
