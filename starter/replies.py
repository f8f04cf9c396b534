"""How replies go out to customers, as the settings say."""

from __future__ import annotations

from pydantic import SecretStr

from activities.notify.channels import SettingError
from activities.replies.ways import Ways, build_ways
from starter.settings import Settings, SettingsError


def ways_of(settings: Settings) -> Ways:
    """Return the ways that are set up.

    Raises:
        SettingsError: a setting is missing or wrong.
    """

    def revealed(secret: SecretStr | None) -> str | None:
        return None if secret is None else secret.get_secret_value()

    try:
        return build_ways(
            revealed(settings.smtp_url),
            settings.mail_from,
            settings.reply_address,
            revealed(settings.message_url),
            revealed(settings.message_secret),
        )
    except SettingError as error:
        raise SettingsError(f"replies to customers: {error}") from None
