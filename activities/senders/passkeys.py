"""Passkeys (WebAuthn): a person confirms at their authenticator what is decided.

The challenge is the SHA-256 of what a key would sign (`activities.senders.statement`): case, content with the amount,
sender, time and request id. So whoever runs the API can neither decide for somebody, nor have them confirm something
else than they are shown without it being seen afterwards.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from webauthn import verify_authentication_response
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException

from activities.senders.key_set import KeySet
from activities.senders.statement import UNSIGNED, Statement, challenge
from cases.vocabulary.proof import PasskeyProof, Proof
from cases.vocabulary.refusals import Refused


def verify(statement: Statement, proof: Proof, said: PasskeyProof, keys: KeySet) -> None:
    """Check that the sender has confirmed a statement with a passkey of theirs.

    Raises:
        Refused: code ``unsigned``, with what is wrong.
    """
    passkey = keys.passkeys.get(said.credential)
    if passkey is None:
        raise _wrong("credential: it is not in the key set")
    if passkey.id != statement.by["id"]:
        raise _wrong(f"credential: it is not of {statement.by['id']}")
    if passkey.until is not None and proof.at > passkey.until:
        raise _wrong(f"credential: it was for confirmations before {proof.at.isoformat()}")
    answer = {
        "id": said.credential,
        "rawId": said.credential,
        "type": "public-key",
        "response": {
            "authenticatorData": said.authenticator_data,
            "clientDataJSON": said.client_data,
            "signature": said.signature,
        },
    }
    try:
        verify_authentication_response(
            credential=json.dumps(answer),
            expected_challenge=challenge(statement, proof),
            expected_rp_id=urlsplit(passkey.origin).hostname or "",
            expected_origin=passkey.origin,
            credential_public_key=base64url_to_bytes(passkey.key),
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise _wrong(f"it does not confirm this ({type(error).__name__})") from None


def _wrong(what: str) -> Refused:
    return Refused(UNSIGNED, f"proof.passkey: {what}")
