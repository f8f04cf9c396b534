"""Attachments as the settings say."""

from __future__ import annotations

from activities.attachments.book import Attachments
from activities.attachments.stores import build_store
from activities.database.database import Database
from activities.notify.channels import SettingError
from starter.settings import Settings, SettingsError


def attachments_of(settings: Settings, database: Database) -> Attachments:
    """Return what keeps attachments; it takes none where the settings name no store.

    Raises:
        SettingsError: the store cannot be used.
    """
    if settings.attachments is None:
        return Attachments(database, None)
    try:
        return Attachments(database, build_store(settings.attachments))
    except SettingError as error:
        raise SettingsError(f"CASELADDER_ATTACHMENTS: {error}") from None
