"""A gateway that calls back: its word counts only when it is signed (Standard Webhooks) and fresh."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError
from standardwebhooks import Webhook

from activities.payouts.gateway import Entry
from activities.payouts.http import Spoken
from activities.signatures import BadSignature, verify
from cases.vocabulary.refusals import Refused, invalid


def read_callback(headers: Mapping[str, str], body: bytes, secret: Webhook) -> Entry:
    """Read what a callback says.

    Args:
        headers: of the request, in any case of letters.
        body: exactly as it came, for the signature is over its bytes.
        secret: what the gateway signs with.

    Raises:
        Refused: ``bad_signature`` (a wrong one, none, or an old one) or ``invalid``.
    """
    try:
        verify(secret, headers, body)
    except BadSignature as error:
        raise Refused("bad_signature", f"callback: {error}") from None
    try:
        entry = Spoken.model_validate_json(body).entry()
    except ValidationError as error:
        raise invalid(error, "callback") from None
    if entry.state == "pending":
        raise Refused("invalid", "callback: state = 'pending': allowed: paid, failed")
    return entry
