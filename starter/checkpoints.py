"""Checkpoints as the settings have them: who signs, where they go, and a worker that makes them in time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog
from cryptography.x509 import Certificate
from pydantic import SecretStr

from activities.audit.checkpoint import BadCheckpoint, Signed
from activities.audit.keys import BadKeys, Keys, read_keys
from activities.audit.make import Checkpoints, Untrue
from activities.audit.places import HandingOut, Place, build_places
from activities.audit.timestamps import Authority, BadCertificates, NotStamped, read_certificates
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


def trusted_of(settings: Settings) -> list[Certificate]:
    """Return the certificates of timestamp authorities that are trusted; none where none are configured.

    Raises:
        SettingsError: the file that is configured holds no certificates.
    """
    if settings.checkpoint_tsa_certificates is None:
        return []
    try:
        return read_certificates(settings.checkpoint_tsa_certificates)
    except BadCertificates as error:
        raise SettingsError(f"CASELADDER_CHECKPOINT_TSA_CERTIFICATES: {error}") from None


def authority_of(settings: Settings) -> Authority | None:
    """Return who says when checkpoints were made; None where nobody is asked.

    Raises:
        SettingsError: its certificates are missing.
    """
    if settings.checkpoint_tsa is None:
        return None
    if not (trusted := trusted_of(settings)):
        raise SettingsError("CASELADDER_CHECKPOINT_TSA needs CASELADDER_CHECKPOINT_TSA_CERTIFICATES: whom to trust")
    return Authority(settings.checkpoint_tsa.get_secret_value(), trusted)


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
        SettingsError: the file that is configured holds no keys, or no certificates.
        SettingError: a place cannot be used.
    """
    _keys(settings)
    places_of(settings)
    authority_of(settings)


@dataclass(frozen=True)
class Round:
    """What came of making checkpoints and handing them out.

    Args:
        made: the checkpoints that were made.
        unstamped: why the last of them has no timestamp; empty where it has one, or is to have none.
        failed: why a place did not take what it lacks, by its name.
    """

    made: list[Signed]
    unstamped: str
    failed: dict[str, str]


async def make_and_hand_out(
    settings: Settings, database: Database, maker: Checkpoints, every: timedelta = timedelta()
) -> Round:
    """Make checkpoints, have the last one timestamped, which holds the hashes of all others, and hand them out.

    Raises:
        SettingsError, SettingError: see `check_settings`.
        BadKeys, Untrue, BadCheckpoint: see `Checkpoints`; nothing was made.
    """
    places, authority, unstamped = places_of(settings), authority_of(settings), ""
    made = await maker.make(every)
    if made and authority is not None:
        try:
            await maker.stamp(made[-1], authority)
        except NotStamped as error:
            unstamped = str(error)
    return Round(made, unstamped, await HandingOut(database, maker, places).hand_out())


def _keys(settings: Settings) -> Keys | None:
    if settings.checkpoint_key is None and not settings.key_file.exists():
        return None
    try:
        return read_keys(settings.key_file)
    except BadKeys as error:
        raise SettingsError(f"CASELADDER_CHECKPOINT_KEY: {error}") from None


async def keep_making(database: Database, settings: Settings, log: structlog.stdlib.BoundLogger) -> None:
    """Make checkpoints as often as the settings say and hand them out, until it is cancelled. Workers take turns."""
    every = timedelta(seconds=settings.checkpoint_interval)
    said: dict[str, str] = {}
    while every:
        failed: dict[str, str] = {}
        try:
            # Read each time: a key may have been changed.
            maker = maker_of(settings, database)
            if maker is not None:
                done = await make_and_hand_out(settings, database, maker, every)
                for signed in done.made:
                    log.info("checkpoint", number=signed.checkpoint.number, hash=signed.hash, key=signed.key)
                if done.unstamped:
                    log.error("checkpoint_without_timestamp", reason=done.unstamped)
                failed = done.failed
        except SettingsError as error:
            failed = {"settings": str(error)}
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
        done = await make_and_hand_out(settings, database, maker)
    except (Untrue, BadCheckpoint) as error:
        return [f"nothing is signed: {error}"]
    said = [
        f"checkpoint {one.checkpoint.number} is of epoch {one.checkpoint.epoch.number} of the ledger"
        for one in done.made
    ]
    if done.unstamped:
        said.append(f"checkpoint {done.made[-1].checkpoint.number} has no timestamp: {done.unstamped}")
    return said + [f"{place} does not have every checkpoint: {why}" for place, why in done.failed.items()]
