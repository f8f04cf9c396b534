"""A gateway that calls back: its word counts only when it is signed (Standard Webhooks) and fresh."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping

from pydantic import ValidationError

from activities.notify.channels.webhook import sign
from activities.payouts.gateway import Entry
from activities.payouts.http import Spoken
from cases.vocabulary.refusals import Refused, invalid

# Seconds that a signature is good for, either way: clocks differ.
TOLERANCE = 300


def read_callback(headers: Mapping[str, str], body: bytes, key: bytes) -> Entry:
    """What a callback says.

    Args:
        headers: of the request, in any case of letters.
        body: exactly as it came, for the signature is over its bytes.
        key: the signing key, see `activities.notify.channels.webhook.read_secret`.

    Raises:
        Refused: ``bad_signature`` (a wrong one, none, or an old one) or ``invalid``.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, moment, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise Refused("bad_signature", f"callback: the header {error.args[0]} is missing") from None
    if not (moment.isascii() and moment.isdecimal() and abs(int(moment[:20]) - time.time()) <= TOLERANCE):
        raise Refused("bad_signature", f"callback: webhook-timestamp must be in seconds, within {TOLERANCE} s of now")
    expected = sign(key, message_id, int(moment), body).encode()
    # Several are sent while the sender changes its key.
    if not any(hmac.compare_digest(expected, one.encode()) for one in signatures.split(" ")):
        raise Refused("bad_signature", "callback: webhook-signature does not fit the body")
    try:
        entry = Spoken.model_validate_json(body).entry()
    except ValidationError as error:
        raise invalid(error, "callback") from None
    if entry.state == "pending":
        raise Refused("invalid", "callback: state = 'pending': allowed: paid, failed")
    return entry
