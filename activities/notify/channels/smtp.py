"""E-mail through an SMTP server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.headerregistry import Address
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPTimeoutError,
)

from activities.notify.channels import Delayed, Deliver, Message, SettingError, Undeliverable
from activities.notify.channels.mail import compose

SCHEMES = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
FORM = "allowed: smtp://, smtps:// or smtp+starttls:// with [user:password@]host[:port], or maildir:PATH"
# The enhanced status code (RFC 3463) is the only part of a reply that can hold no address.
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")


class SmtpChannel:
    """Sends mails through one server; all mails of a batch over one connection.

    Args:
        url: ``smtp://`` (no encryption), ``smtps://`` (TLS from the start) or
            ``smtp+starttls://`` (TLS or nothing), with ``[user:password@]host[:port]``; user and
            password percent-encoded. Certificates are checked against the system's trust store.
        sender: the From address, also of the envelope.
        timeout: seconds for each step of the SMTP dialogue.

    Raises:
        SettingError: the URL has another form. The message does not repeat the password.
    """

    capacity: ClassVar[int | None] = None
    gathers: ClassVar[bool] = True

    def __init__(self, url: str, sender: Address, *, timeout: float = 10.0) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise SettingError(f"smtp_url: no usable host or port; {FORM}") from None
        if parts.scheme not in SCHEMES:
            raise SettingError(f"smtp_url: unknown scheme {parts.scheme!r}; {FORM}")
        if not parts.hostname or port == 0 or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise SettingError(f"smtp_url: no usable host or port; {FORM}")
        self._scheme, self._host = parts.scheme, parts.hostname
        self._port = port or SCHEMES[parts.scheme]
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password or "")
        self._sender = sender
        self._timeout = timeout

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        """Open one connection with the first mail; see `Channel.session`."""
        client = SMTP(
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password if self._user else None,
            use_tls=self._scheme == "smtps",
            start_tls=self._scheme == "smtp+starttls",
            # Not this machine's own name: asking the resolver for it may take long.
            local_hostname=self._sender.domain,
            timeout=self._timeout,
        )
        down: str | None = None

        async def deliver(message: Message) -> None:
            nonlocal down
            if down is not None:
                raise Delayed(down)
            try:
                if not client.is_connected:
                    await client.connect()
            except (SMTPException, OSError) as error:
                # Also a wrong password or certificate: that is ours to mend, not the recipient's
                # fault, so the notice waits. One attempt per batch: the others need not wait too.
                down = f"no connection ({_why(error)})"
                raise Delayed(down) from None
            try:
                await self._send(client, message)
            except SMTPTimeoutError:
                down = "timed out"
                raise Delayed(down) from None

        try:
            yield deliver
        finally:
            await _leave(client)

    async def _send(self, client: SMTP, message: Message) -> None:
        # One mail per recipient: each has its own Message-ID and nobody sees the others'
        # addresses. So a refusal is never partial (aiosmtplib would return it, not raise).
        try:
            content = compose(message, self._sender).as_bytes()
            await client.sendmail(self._sender.addr_spec, [message.to], content)
        except SMTPRecipientsRefused as error:
            raise _verdict(error.recipients[0]) from None
        except SMTPResponseException as error:
            raise _verdict(error) from None
        except SMTPTimeoutError:
            raise
        except (SMTPException, OSError) as error:
            raise Delayed(f"connection lost ({type(error).__name__})") from None
        except ValueError:
            client.close()  # the envelope may be half sent; the next mail connects anew
            raise Undeliverable("not an address that SMTP can carry") from None


async def _leave(client: SMTP) -> None:
    """Close the connection, with QUIT if the server still listens."""
    if client.is_connected:
        # Everything accepted was accepted before; a lost QUIT loses nothing.
        with suppress(SMTPException, OSError):
            await client.quit()
    client.close()


def _verdict(error: SMTPResponseException) -> Undeliverable | Delayed:
    reason = _why(error)
    return Undeliverable(reason) if 500 <= error.code < 600 else Delayed(reason)


def _why(error: Exception) -> str:
    """Say what went wrong, without the server's own words: they may repeat an address."""
    if isinstance(error, SMTPResponseException):
        enhanced = _ENHANCED.match(error.message)
        return f"SMTP {error.code} {enhanced.group()}" if enhanced else f"SMTP {error.code}"
    return type(error).__name__
