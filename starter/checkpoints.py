"""Checkpoints as the settings have them: who signs, where they go, and a worker that makes them in time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog
from pydantic import SecretStr

from activities.audit.checkpoint import BadCheckpoint
from activities.audit.keys import BadKeys, Keys, read_keys
from activities.audit.make import Checkpoints, Untrue
from activities.audit.places import HandingOut, Place, build_places
from activities.database.database import Database
from activities.database.errors import DatabaseAway, StatementFailed
from activities.notify.build import mail_channel, webhook_channel
from starter.settings import Settings, SettingsError

# Seconds between two looks whether a checkpoint is due, and whether every place has those that were made.
LOOK_AGAIN = 30.0


def places_of(settings: Settings) -> list[Place]:
    """Return the places that checkpoints are handed out to.

    Raises:
        SettingError: a setting is wrong.
    """

    def revealed(secret: SecretStr | None) -> str | None:
        return None if secret is None else secret.get_secret_value()

    mail = mail_channel(revealed(settings.smtp_url), settings.mail_from)
    webhook, retain = (
        webhook_channel(revealed(settings.webhook_secret)),
        timedelta(days=settings.checkpoint_retain_days),
    )
    return build_places(settings.checkpoint_places or "", mail, webhook, retain)


def maker_of(settings: Settings, database: Database) -> Checkpoints | None:
    """Return who makes checkpoints; None where there is no key that signs.

    Raises:
        SettingsError: the file that is configured holds no keys.
    """
    keys = _keys(settings)
    return None if keys is None or keys.signer is None else Checkpoints(database, keys)


def check_settings(settings: Settings) -> None:
    """Refuse settings of checkpoints that cannot be used.

    Raises:
        SettingsError: the file that is configured holds no keys.
        SettingError: a place cannot be used.
    """
    _keys(settings)
    places_of(settings)


def _keys(settings: Settings) -> Keys | None:
    if settings.checkpoint_key is None and not settings.key_file.exists():
        return None
    try:
        return read_keys(settings.key_file)
    except BadKeys as error:
        raise SettingsError(f"CASELADDER_CHECKPOINT_KEY: {error}") from None


async def keep_making(database: Database, settings: Settings, log: structlog.stdlib.BoundLogger) -> None:
    """Make checkpoints as often as the settings say and hand them out, until it is cancelled. Workers take turns."""
    every, places = timedelta(seconds=settings.checkpoint_interval), places_of(settings)
    said: dict[str, str] = {}
    while every:
        failed: dict[str, str] = {}
        try:
            # Read each time: a key may have been changed.
            maker = maker_of(settings, database)
            if maker is not None:
                for signed in await maker.make(every):
                    log.info("checkpoint", number=signed.checkpoint.number, hash=signed.hash, key=signed.key)
                failed = await HandingOut(database, maker, places).hand_out()
        except SettingsError as error:
            failed = {"key": str(error)}
        except (Untrue, BadCheckpoint) as error:
            failed = {"ledger": f"nothing is signed: {error}"}
        except (DatabaseAway, StatementFailed):
            # It is away, or was not migrated yet; whoever needs it says so.
            failed = said
        for what, why in failed.items():
            if said.get(what) != why:
                log.error("checkpoint_kept_back", place=what, reason=why)
        said = failed
        await asyncio.sleep(min(LOOK_AGAIN, settings.checkpoint_interval))


async def sign_now(settings: Settings, database: Database) -> list[str]:
    """Make a checkpoint if there is a key, hand it out, and return what somebody should know of it.

    Raises:
        SettingsError, SettingError: see `check_settings`.
    """
    maker = maker_of(settings, database)
    if maker is None:
        return []
    try:
        made = await maker.make()
        failed = await HandingOut(database, maker, places_of(settings)).hand_out()
    except (Untrue, BadCheckpoint) as error:
        return [f"nothing is signed: {error}"]
    said = [
        f"checkpoint {one.checkpoint.number} is of epoch {one.checkpoint.epoch.number} of the ledger" for one in made
    ]
    return said + [f"{place} does not have every checkpoint: {why}" for place, why in failed.items()]
