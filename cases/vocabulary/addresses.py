"""What an address of each channel looks like. Addresses are personal data: no message repeats one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, get_args
from urllib.parse import SplitResult, urlsplit

Channel = Literal["email", "wecom", "dingtalk", "feishu", "webhook", "apprise"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://[!-~]+")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_LONGEST = 2000


def email_address(text: str) -> str:
    """Return the text, when it is a plain e-mail address.

    Raises:
        ValueError: it is none.
    """
    if not _EMAIL.fullmatch(text) or len(text) > 254:
        raise ValueError("not an e-mail address; allowed: name@example.com, in ASCII letters")
    return text


def web_address(text: str) -> str:
    """Return the text, when it is an ``http`` or ``https`` address with a host.

    Raises:
        ValueError: it is none.
    """
    if _split(text) is None:
        raise ValueError("not a web address; allowed: https://host/path or http://host/path")
    return text


def secure_address(text: str) -> str:
    """Return the text, when it is an ``https`` address; to this machine plain ``http`` will do.

    Raises:
        ValueError: it is none.
    """
    parts = _split(text)
    if parts is None or (parts.scheme == "http" and parts.hostname not in _THIS_MACHINE):
        raise ValueError("not a secure web address; allowed: https://host/path")
    return text


def apprise_address(text: str) -> str:
    """Return the text, when it has the form of an apprise address; which services there are, apprise knows.

    Raises:
        ValueError: it has not.
    """
    if not _SCHEME.fullmatch(text) or len(text) > _LONGEST:
        raise ValueError("not an apprise address; allowed: service://..., in visible ASCII characters")
    return text


# What checks the addresses of a channel.
FORMS: Mapping[Channel, Callable[[str], str]] = {
    "email": email_address,
    "wecom": secure_address,
    "dingtalk": secure_address,
    "feishu": secure_address,
    "webhook": secure_address,
    "apprise": apprise_address,
}


def _split(text: str) -> SplitResult | None:
    """Return the parts of a web address, or None."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - a wrong port raises only when it is read
    except ValueError:
        return None
    # urlsplit silently drops line breaks, so what it would drop is refused.
    good = text.isprintable() and " " not in text and len(text) <= _LONGEST
    return parts if good and parts.scheme in ("http", "https") and parts.hostname else None
