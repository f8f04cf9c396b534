"""The payouts, configured by the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.database.pool import open_pool
from activities.payouts import Payouts, gateway_of
from activities.signatures import read_secret
from starter.settings import Settings, SettingsError


@asynccontextmanager
async def connect(settings: Settings, *, size: int = 4) -> AsyncIterator[Payouts]:
    """Open the payouts on a pool of their own, so that a slow gateway does not delay the recording of events.

    Args:
        settings: the settings, with the address of the casebook's database.
        size: the most database connections of the pool.

    Raises:
        SettingsError: a setting is missing or invalid.
    """
    if settings.database_url is None:
        raise SettingsError("CASELADDER_DATABASE_URL is missing: the payout book needs a PostgreSQL")
    secret = None
    if settings.payout_callback_secret is not None:
        try:
            secret = read_secret(settings.payout_callback_secret.get_secret_value())
        except ValueError as error:
            raise SettingsError(f"CASELADDER_PAYOUT_CALLBACK_SECRET: {error}") from None
    token = settings.payout_token
    async with open_pool(settings.database_url.get_secret_value(), size=size) as pool:
        gateway = gateway_of(settings.payout_url, token.get_secret_value() if token else None, pool)
        yield Payouts(pool, gateway, secret)
