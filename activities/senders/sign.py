"""Signing what is sent: by a server for whoever it has asked, by a person or system for themselves."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from activities.audit.keys import Keys, read_keys
from activities.casebook.texts import PERSONAL, SALT
from activities.senders.statement import Statement, of_command, of_intake, signed_bytes, texts_of, texts_of_intake
from cases.case import Case
from cases.registry import KINDS, kind_named
from cases.vocabulary.commands import Command, read_command
from cases.vocabulary.facts import read_intake
from cases.vocabulary.proof import Proof
from cases.vocabulary.refusals import Refused, shown

Json = dict[str, Any]


@dataclass(frozen=True)
class Signer:
    """Signs with the first private key of a file, which is read each time, since it may be a new one.

    Args:
        file: PEM, as `activities.audit.keys` reads it.
    """

    file: Path

    def keys(self) -> Keys:
        """Return the key.

        Raises:
            BadKeys: the file holds none.
        """
        return read_keys(self.file)

    def command(self, case_id: str, name: str, body: Mapping[str, Any], kind: type[Case] | None = None) -> Json:
        """Return a command with its proof, and with a request id. One that is signed already is left as it is.

        Args:
            kind: of the case; of a form its policy says which fields of ``sign`` are texts.

        Raises:
            Refused: code ``invalid`` or ``unknown_command``: no case takes this.
            BadKeys: there is no key.
        """
        prepared = prepare(case_id, name, body, kind)
        command = read_command(_commands(case_id, kind), name, prepared)
        assert command.proof is not None
        if command.proof.key is not None:
            return prepared
        return self._sign(prepared, of_command(case_id, command), command.proof)

    def intake(self, kind: str, raw: Mapping[str, Any], case: type[Case] | None = None) -> Json:
        """Return an intake with its proof. One that is signed already is left as it is.

        Args:
            case: the kind itself; of a form its policy says which fields are texts.

        Raises:
            Refused: code ``invalid`` or ``unknown_kind``: it is none.
            BadKeys: there is no key.
        """
        case = case or kind_named(kind)
        if case is None:
            raise Refused("unknown_kind", f"kind = {shown(kind)}: allowed: {', '.join(KINDS)}, or a form of a policy")
        model = case.INTAKE
        given = read_intake(model, raw)
        if given.proof is not None:
            return dict(raw)
        salts = {path: os.urandom(SALT).hex() for path in (PERSONAL, *texts_of_intake(given))}
        prepared = {**raw, "proof": {"at": _now(), "salts": salts}}
        intake = read_intake(model, prepared)
        assert intake.proof is not None
        return self._sign(prepared, of_intake(f"{kind}:{intake.key}", intake), intake.proof)

    def _sign(self, prepared: Json, statement: Statement, proof: Proof) -> Json:
        keys = self.keys()
        signature = base64.urlsafe_b64encode(keys.sign(signed_bytes(statement, proof))).rstrip(b"=").decode()
        return {**prepared, "proof": {**prepared["proof"], "key": keys.id, "signature": signature}}


def prepare(case_id: str, name: str, body: Mapping[str, Any], kind: type[Case] | None = None) -> Json:
    """Return a command with what a proof needs before it is signed: the time, salts of its texts, a request id.

    What a proof has already, a passkey made under it, is kept.

    Raises:
        Refused: code ``invalid`` or ``unknown_command``.
    """
    command = read_command(_commands(case_id, kind), name, body)
    request_id = command.request_id or uuid4().hex
    if command.proof is not None:
        return {**body, "request_id": request_id}
    salts = {field: os.urandom(SALT).hex() for field in texts_of(command)}
    return {**body, "request_id": request_id, "proof": {"at": _now(), "salts": salts}}


def _commands(case_id: str, kind: type[Case] | None) -> Mapping[str, type[Command]]:
    kind = kind or kind_named(case_id.partition(":")[0])
    assert kind is not None  # a client signs for no other
    return kind.COMMANDS


def _now() -> str:
    return datetime.now(UTC).isoformat()
