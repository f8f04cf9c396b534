"""Settings from the environment, ``CASELADDER_*``.

The connection to Temporal is not among them: the SDK reads its own standard variables and
profiles (``temporalio.envconfig``), and `starter.encryption` the keys of what is sent.
"""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from activities.attachments.content import TYPES
from activities.database import CONNECTIONS, FEWEST
from starter.embedded import DATA

PREFIX = "CASELADDER_"
# Where an embedded stack that takes signed commands keeps its key set, and the key that signs for everybody.
SENDERS, SENDER_KEY = "senders.toml", "sender-key.pem"
# Their values may hold a password or a token, so a message never repeats them.
_SECRET = frozenset(
    {
        "database_url",
        "database_owner_url",
        "checkpoint_tsa",
        "smtp_url",
        "imap_url",
        "webhook_secret",
        "link_secret",
        "console_secret",
        "console_client_secret",
    }
    | {"payout_url", "payout_token", "payout_callback_secret", "message_url", "message_secret"}
)


class SettingsError(Exception):
    """A setting that cannot be used. The message names the variable and what is allowed."""


class Settings(BaseSettings):
    """What the worker and the commands need to know besides Temporal.

    Values that may hold a password or a token are `SecretStr`, so that neither a log line nor an
    error shows them.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    data: Path = Field(DATA, description="folder of the embedded stack")
    database_url: SecretStr | None = Field(
        None, description="postgresql://USER:PASSWORD@HOST:PORT/NAME; without it the embedded stack's"
    )
    database_owner_url: SecretStr | None = Field(
        None,
        description="the same with the role that owns the schema; only `caseladder migrate` uses it, and needs it where"
        " CASELADDER_DATABASE_URL is set",
    )
    database_connections: int = Field(
        CONNECTIONS, ge=FEWEST, le=1000, description="the most connections to PostgreSQL that one process opens"
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="smtp://, smtps:// or smtp+starttls://[USER:PASSWORD@]HOST[:PORT], or maildir:FOLDER;"
        " without it no mail is sent, on the embedded stack it goes to a maildir in the data folder",
    )
    mail_from: str = Field("caseladder@localhost", description="sender of notices")
    reply_address: str | None = Field(
        None, description="address that customers' answers go to; without it they go to CASELADDER_MAIL_FROM"
    )
    imap_url: SecretStr | None = Field(
        None,
        description="mailbox in which customers' answers are read: imaps://USER:PASSWORD@HOST/FOLDER, encoded as in"
        " URLs; a worker marks as seen what it has taken in",
    )
    message_url: SecretStr | None = Field(
        None, description="https:// address that replies to customers by message (SMS, mini-program) are posted to"
    )
    message_secret: SecretStr | None = Field(
        None, description="key that signs these messages, whsec_ and base64 (Standard Webhooks)"
    )
    webhook_secret: SecretStr | None = Field(
        None, description="key that signs webhook calls, whsec_ and base64 (Standard Webhooks)"
    )
    payout_url: str = Field(
        "ledger:",
        description="who pays: ledger: (books into the casebook), manual: (finance confirms) or a gateway's http(s)://",
    )
    payout_token: SecretStr | None = Field(None, description="bearer token of the payment gateway")
    payout_callback_secret: SecretStr | None = Field(
        None, description="key that the gateway's callbacks are signed with, whsec_ and base64 (Standard Webhooks)"
    )
    contacts: Path | None = Field(None, description="file that gives roles shared addresses, beside the staff's own")
    templates: Path | None = Field(None, description="folder of templates that go before the built-in ones")
    apprise: bool = Field(False, description="whether apprise's addresses are served; needs caseladder[notify-more]")
    digest_hold: int = Field(
        60, ge=0, le=300, description="seconds that a notice waits for a digest at most; 0 for no digests"
    )
    link_secret: SecretStr | None = Field(
        None,
        description="key behind the links and codes that notices are acknowledged with, the same on every server;"
        " 32 characters or more; several, the newest first, are separated by commas;"
        " without it notices have none, on the embedded stack it makes its own",
    )
    checkpoint_key: Path | None = Field(
        None,
        description="file with the Ed25519 key that signs checkpoints of the ledger, and the public keys of those"
        " before it, in PEM (caseladder audit key); the embedded stack makes its own",
    )
    checkpoint_interval: int = Field(
        3600, ge=0, le=604800, description="seconds between two checkpoints that a worker makes; 0 for none"
    )
    checkpoint_places: str | None = Field(
        None,
        description="where checkpoints are handed out to, with blanks between them: folder:PATH, mailto:NAME@HOST (the"
        " signed head), s3://BUCKET/PREFIX (with object lock; AWS's variables), http(s):// (signed by the webhook"
        " secret); on the embedded stack a folder in the data folder",
    )
    checkpoint_retain_days: int = Field(
        3650, ge=1, le=36500, description="days for which a bucket keeps a checkpoint, whoever asks for its removal"
    )
    commands: Literal["open", "signed"] = Field(
        "open",
        description="what workers take: open (any client is taken at its word) or signed (every command and filing"
        " proves its sender)",
    )
    senders: Path | None = Field(
        None,
        description="file of the key set: which key may sign for whom, and people's passkeys (TOML); for workers,"
        " servers and audits",
    )
    sender_key: Path | None = Field(
        None,
        description="file with the Ed25519 key that this process, or who types, signs commands with, in PEM"
        " (caseladder sign key)",
    )
    checkpoint_tsa: SecretStr | None = Field(
        None,
        description="http(s):// address of a timestamp authority (RFC 3161), which says when each checkpoint was made;"
        " needs CASELADDER_CHECKPOINT_TSA_CERTIFICATES",
    )
    checkpoint_tsa_certificates: Path | None = Field(
        None, description="file with the certificates of timestamp authorities that are trusted, in PEM, up to the root"
    )
    policies: Path | None = Field(None, description="folder of policy files besides the shipped ones")
    access: Path | None = Field(
        None, description="file that says whose tokens count and for what; without it the development issuer's"
    )
    public_url: str | None = Field(None, description="address of the API and the console as people reach them")
    console_secret: SecretStr | None = Field(
        None,
        description="key that seals the console's sessions, the same on every server; 32 characters or more;"
        " several, the newest first, are separated by commas",
    )
    console_client: str | None = Field(None, description="the console's client id at the OIDC issuer")
    console_client_secret: SecretStr | None = Field(
        None, description="the console's client secret at the OIDC issuer; none for a public client"
    )
    rate_limit: str = Field("600/minute", description="requests of one caller: NUMBER/second, /minute or /hour")
    attachments: str | None = Field(
        None,
        description="where attachments are kept: folder:PATH, or s3://BUCKET/PREFIX (AWS's variables), the same for"
        " every server and worker; without it none are uploaded, on the embedded stack a folder in the data folder",
    )
    attachment_limit: int = Field(20_971_520, ge=1024, le=104_857_600, description="bytes that one attachment may have")
    attachment_types: str = Field(
        ",".join(TYPES), description="ends of the names of attachments that are taken, separated by commas"
    )
    body_limit: int = Field(262144, ge=1024, le=16777216, description="bytes of a request's body")
    failure_limit: str = Field(
        "30/minute",
        description="failed attempts of one address to log in, or to use a key or a link: NUMBER/second, /minute"
        " or /hour",
    )
    proxies: str = Field(
        "",
        description="addresses or networks of the proxies before the API, separated by commas: of these alone"
        " X-Forwarded-For and X-Forwarded-Proto are believed",
    )
    cors_origins: str = Field("", description="origins that browsers may call the API from, separated by commas")
    ui_origin: str = Field(
        "",
        description="origins of Temporal's web UI, separated by commas, from which payloads are decrypted for who is"
        " logged in to the console; on the embedded stack its own",
    )
    private_subscribers: Literal["forbid", "loopback", "allow"] = Field(
        "forbid",
        description="whether events, and notices to addresses of the staff, may go to networks that are not public:"
        " forbid, loopback (this machine too, as on the embedded stack) or allow",
    )
    deployment: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,100}/[A-Za-z0-9_.+-]{1,100}$",
        description="NAME/BUILD of the workers for Worker Versioning, so that running cases stay with the build that"
        " started them until `caseladder migrate` brings them over; without it all workers are of one build",
    )
    metrics_port: int = Field(0, ge=0, le=65535, description="port of the Prometheus metrics; 0 for none")
    log_format: Literal["json", "console"] = "json"

    @field_validator("database_url", "database_owner_url")
    @classmethod
    def _check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_url(value, ("postgresql", "postgres"))
        return value

    @field_validator("checkpoint_tsa")
    @classmethod
    def _check_checkpoint_tsa(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_url(value, ("http", "https"))
        return value

    @field_validator("smtp_url")
    @classmethod
    def _check_smtp_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith("maildir:"):
            _check_url(value, ("smtp", "smtps", "smtp+starttls"), other="maildir:FOLDER")
        elif value is not None and value.get_secret_value() == "maildir:":
            raise ValueError("maildir: needs a folder, for example maildir:mail")
        return value

    @field_validator("payout_url")
    @classmethod
    def _check_payout_url(cls, value: str) -> str:
        if value not in ("ledger:", "manual:"):
            _check_url(SecretStr(value), ("http", "https"), other="it is ledger: or manual:")
            url = urlsplit(value)
            if url.scheme == "http" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError("http:// only to this machine: an order to pay goes out by https://")
            # The payout book names the gateway by its address, so nothing secret may be part of it.
            if url.query or url.fragment or "@" in url.netloc:
                raise ValueError("it has no query and no user; credentials go into CASELADDER_PAYOUT_TOKEN")
        return value

    @field_validator("payout_token")
    @classmethod
    def _check_payout_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all("!" <= character <= "~" for character in value.get_secret_value()):
            raise ValueError("it must be visible ASCII characters without spaces")
        return value

    @field_validator("message_url")
    @classmethod
    def _check_message_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_url(value, ("http", "https"))
            url = urlsplit(value.get_secret_value())
            if url.scheme == "http" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError("http:// only to this machine: what customers are told goes out by https://")
        return value

    @field_validator("imap_url")
    @classmethod
    def _check_imap_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_url(value, ("imaps", "imap"))
            url = urlsplit(value.get_secret_value())
            if url.scheme == "imap" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError("imap:// only to this machine: elsewhere it is imaps://")
            if not (url.username and url.password):
                raise ValueError("it needs a user and a password")
            if not re.fullmatch(r"[ !#-\[\]-~]*", unquote(url.path)):
                raise ValueError("the folder's name is in ASCII, without quotation marks and backslashes")
        return value

    @field_validator("webhook_secret", "payout_callback_secret", "message_secret")
    @classmethod
    def _check_webhook_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                key = base64.b64decode(value.get_secret_value().removeprefix("whsec_"), validate=True)
            except binascii.Error:
                key = b""
            if not key:
                raise ValueError("it must be base64, with or without whsec_ before it")
        return value

    @field_validator("link_secret", "console_secret")
    @classmethod
    def _check_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        if any(len(secret) < 32 for secret in _newest_first(value)):
            raise ValueError(
                "each secret must have 32 characters or more; several are separated by commas, the newest first"
            )
        return value

    @field_validator("mail_from", "reply_address")
    @classmethod
    def _check_mail_from(cls, value: str | None) -> str | None:
        name, at, host = ("", "", "") if value is None else value.partition("@")
        if value is not None and (not (name and at and host) or any(character.isspace() for character in value)):
            raise ValueError("it must be a plain address, NAME@HOST")
        return value

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is not None:
            _check_url(SecretStr(value), ("http", "https"))
            if urlsplit(value).query or urlsplit(value).fragment:
                raise ValueError("it has no query and no fragment")
        return None if value is None else value.rstrip("/")

    @field_validator("proxies")
    @classmethod
    def _check_proxies(cls, value: str) -> str:
        for one in _listed(value):
            try:
                ip_network(one)
            except ValueError:
                raise ValueError(f"{one!r} is no address or network, like 10.0.0.7 or 10.0.0.0/24") from None
        return value

    @field_validator("rate_limit", "failure_limit")
    @classmethod
    def _check_rate_limit(cls, value: str) -> str:
        if not re.fullmatch(r"[1-9]\d{0,6}/(second|minute|hour)", value):
            raise ValueError("it must be NUMBER/second, NUMBER/minute or NUMBER/hour")
        return value

    @field_validator("cors_origins", "ui_origin")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        for origin in _listed(value):
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(f"{origin!r} is no origin; allowed: https://HOST or https://HOST:PORT")
        return value

    @field_validator("attachment_types")
    @classmethod
    def _check_types(cls, value: str) -> str:
        if unknown := [one for one in _listed(value) if one not in TYPES]:
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(TYPES)}")
        return value

    @field_validator("access", "contacts", "senders", "sender_key")
    @classmethod
    def _check_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("there is no such file")
        return value

    @field_validator("policies", "templates")
    @classmethod
    def _check_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("there is no such folder")
        return value

    @property
    def link_secrets(self) -> tuple[str, ...]:
        """The secrets of ``link_secret``, newest first: it signs, and what any of them signed counts."""
        return _newest_first(self.link_secret)

    @property
    def console_secrets(self) -> tuple[str, ...]:
        """The secrets of ``console_secret``, newest first."""
        return _newest_first(self.console_secret)

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of ``proxies``."""
        return tuple(map(ip_network, _listed(self.proxies)))

    @property
    def key_file(self) -> Path:
        """The file of the keys of checkpoints, which may not be there yet."""
        return self.checkpoint_key or self.data / "checkpoint-key.pem"

    @property
    def taken_types(self) -> tuple[str, ...]:
        """The ends of names of ``attachment_types``."""
        return tuple(_listed(self.attachment_types))

    @property
    def mails(self) -> Path | None:
        """The folder that mails are written to; None where they go to a server."""
        url = "" if self.smtp_url is None else self.smtp_url.get_secret_value()
        return Path(url.removeprefix("maildir:")) if url.startswith("maildir:") else None

    def on_embedded(self, database_url: str) -> Settings:
        """Return the same settings on an embedded stack: what is not set becomes the stack's own.

        Args:
            database_url: address of the stack's PostgreSQL.
        """
        return self.model_copy(
            update={
                "database_url": self.database_url or SecretStr(database_url),
                "smtp_url": self.smtp_url or SecretStr(f"maildir:{self.data / 'mail'}"),
                "checkpoint_places": f"folder:{self.data / 'checkpoints'}"
                if self.checkpoint_places is None
                else self.checkpoint_places,
                "attachments": self.attachments or f"folder:{self.data / 'attachments'}",
                "link_secret": self.link_secret or _secret_in(self.data),
                "senders": self.senders or _file_in(self.data / SENDERS),
                "sender_key": self.sender_key or _file_in(self.data / SENDER_KEY),
                "private_subscribers": self.private_subscribers
                if "private_subscribers" in self.model_fields_set
                else "loopback",
            }
        )


def link_secret_file(data: Path) -> Path:
    """Where an embedded stack keeps the key behind its links."""
    return data / "link-secret"


def _file_in(file: Path) -> Path | None:
    return file if file.is_file() else None


def _listed(value: str) -> list[str]:
    return [one for one in map(str.strip, value.split(",")) if one]


def _newest_first(secrets: SecretStr | None) -> tuple[str, ...]:
    return () if secrets is None else tuple(one.strip() for one in secrets.get_secret_value().split(","))


def _secret_in(data: Path) -> SecretStr | None:
    file = link_secret_file(data)
    return SecretStr(file.read_text(encoding="ascii")) if file.is_file() else None


def _check_url(value: SecretStr, schemes: tuple[str, ...], other: str = "") -> None:
    """Refuse what cannot be an address of one of the schemes."""
    allowed = ", ".join(f"{scheme}://" for scheme in schemes) + (f" or {other}" if other else "")
    try:
        url = urlsplit(value.get_secret_value())
        usable = bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number, an unclosed bracket
        usable = False
    if not usable or url.scheme not in schemes:
        raise ValueError(f"it must be an address with a host, beginning with {allowed}")


def load_settings(**given: Any) -> Settings:
    """Read the settings; ``given`` ones come before the environment's.

    Raises:
        SettingsError: one line that names each wrong variable and what is allowed.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = [
            (str(item["loc"][0]), item["input"], item["msg"].removeprefix("Value error, "))
            for item in error.errors(include_url=False, include_context=False)
        ]
        raise SettingsError(
            "; ".join(
                f"{PREFIX}{name.upper()}{'' if name in _SECRET else f' = {value}'}: {message}"
                for name, value, message in wrong
            )
        ) from None
