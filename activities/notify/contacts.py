"""Which addresses a role has: a TOML file, read again when it changes.

    [roles.supervisor]
    email = ["duty@example.com"]
    webhook = ["https://chat.example.com/hooks/duty"]
    language = "zh"

These are shared addresses, for roles that the directory of staff has nobody for. Addresses are
personal data: no message or log line repeats one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import AfterValidator, Field, ValidationError

from activities.notify.channels import SettingError
from cases.vocabulary.addresses import CHANNELS, apprise_address, email_address, secure_address, web_address
from cases.vocabulary.values import Model, Role

Language = Literal["zh", "en"]

log = structlog.get_logger(__name__)


Bot = Annotated[str, AfterValidator(secure_address)]


class Contact(Model):
    """The addresses of a role: each of them gets every notice."""

    email: tuple[Annotated[str, AfterValidator(email_address)], ...] = ()
    wecom: tuple[Bot, ...] = ()
    dingtalk: tuple[Bot, ...] = ()
    feishu: tuple[Bot, ...] = ()
    webhook: tuple[Annotated[str, AfterValidator(web_address)], ...] = ()
    apprise: tuple[Annotated[str, AfterValidator(apprise_address)], ...] = ()
    language: Language = "zh"

    def addresses(self) -> Iterator[tuple[str, str]]:
        """List every address with the name of its channel."""
        for channel in CHANNELS:
            yield from ((channel, address) for address in getattr(self, channel))


class Contacts(Model):
    """The contacts file."""

    roles: dict[Role, Contact] = Field(default_factory=dict)


def read_contacts(path: Path) -> Contacts:
    """Read a contacts file.

    Raises:
        SettingError: naming the file, the key path, the value (addresses left out) and what is allowed.
    """
    try:
        return Contacts.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingError(f"{path}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        raise SettingError(f"{path}: " + "; ".join(_complaints(error))) from None


def _complaints(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False, include_context=False):
        location = [str(part) for part in item["loc"] if part != "[key]"]
        path = ".".join(location)
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            known = Contacts.model_fields if len(location) == 1 else Contact.model_fields
            yield f"{path} is not a known key; allowed: {', '.join(known)}"
        elif not set(CHANNELS).isdisjoint(location) or isinstance(item["input"], (dict, list)):
            yield f"{path}: {message}"
        else:
            yield f"{path} = {item['input']!r}: {message}"


class ContactBook:
    """The contacts file as it stands now.

    A file that was changed for the worse is logged once, and the last good one holds.

    Args:
        path: the file, or None where nobody has an address.

    Raises:
        SettingError: the file is wrong at the start.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = self._stamp()
        self._contacts = read_contacts(path) if path else Contacts()

    def current(self) -> Contacts:
        """Return the contacts of the newest good file."""
        stamp = self._stamp()
        if self._path is not None and stamp != self._seen:
            self._seen = stamp
            try:
                self._contacts = read_contacts(self._path)
                log.info("contacts_read_again", roles=sorted(self._contacts.roles))
            except SettingError as error:
                log.error("contacts_kept", reason=str(error))
        return self._contacts

    def _stamp(self) -> tuple[int, int] | None:
        try:
            # The size too: two changes may fall into one tick of the file system's clock.
            return ((stat := self._path.stat()).st_mtime_ns, stat.st_size) if self._path else None
        except OSError:
            return None
