"""Who signs what is sent, as the settings have it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from activities.senders.gate import guarding
from activities.senders.key_set import BadKeySet, KeySet, read_key_set
from activities.senders.sign import Signer
from starter.settings import Settings, SettingsError


def signer_of(settings: Settings) -> Signer | None:
    """Return who signs what this process sends; None where it has no key."""
    return None if settings.sender_key is None else Signer(settings.sender_key)


def key_set_of(settings: Settings) -> KeySet | None:
    """Return the key set; None where there is none.

    Raises:
        SettingsError: the file is none.
    """
    try:
        return None if settings.senders is None else read_key_set(settings.senders)
    except BadKeySet as error:
        raise SettingsError(f"CASELADDER_SENDERS: {error}") from None


def guard_of(settings: Settings) -> AbstractAsyncContextManager[None]:
    """Have the workers of this process ask senders for what the settings say, during a block.

    Raises:
        SettingsError: commands are to be signed, and there is no key set that says by whom, or no key for the
            commands that workers themselves send.
    """
    keys = key_set_of(settings)
    if settings.commands == "signed":
        for name, given in (("SENDERS", keys), ("SENDER_KEY", settings.sender_key)):
            if given is None:
                raise SettingsError(f"CASELADDER_{name} is missing: CASELADDER_COMMANDS is signed")
        if keys is not None and keys.signed_since is None:
            raise SettingsError(
                f"CASELADDER_SENDERS: {settings.senders}: signed_since is missing: from when on everything is signed, "
                "which audits and payments hold it to"
            )
    return guarding(settings.commands, settings.senders)
