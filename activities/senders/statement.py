"""What a sender says with a command or an intake, and the bytes of it that are signed. Pure.

A free text and the personal facts are signed by their commitments, so that the proof holds after they were erased, and
so that nobody guesses a text from it. The sender chooses the salts, and the ledger commits under the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import field
from datetime import UTC
from hashlib import sha256
from typing import Any

from pydantic.dataclasses import dataclass

from activities.casebook.texts import PERSONAL, commitment
from cases.vocabulary.commands import Command
from cases.vocabulary.events import canonical
from cases.vocabulary.facts import Intake
from cases.vocabulary.proof import Proof
from cases.vocabulary.refusals import Refused
from cases.vocabulary.texts import marked, put

# The code of every refusal for want of a proof.
UNSIGNED = "unsigned"
# What stands as the command of an intake.
FILE = "file"
# Signed first, so that a signature of ours is good for nothing else, nor one made elsewhere for this.
_DOMAIN = b"caseladder command 1\n"


@dataclass(frozen=True)
class Statement:
    """What somebody says, without the proof of it.

    Args:
        case_id: the workflow id, ``{kind}:{key}``.
        command: its name, ``file`` for an intake.
        content: canonical JSON of the fields, with commitments in place of free texts and personal facts.
        by: ``{id, role, person?}`` of the sender.
        request_id: by which a repeat is known; None for an intake, which has its key.
    """

    case_id: str
    command: str
    content: str
    by: dict[str, str]
    request_id: str | None = None


@dataclass(frozen=True)
class Said:
    """A statement with its proof: public JSON of `cases.vocabulary.proof.Proof`, free of texts."""

    statement: Statement
    proof: dict[str, Any] = field(default_factory=dict)


def of_command(case_id: str, command: Command) -> Statement:
    """Return what a command says.

    Raises:
        Refused: code ``unsigned``: its proof lacks the salt of a text, or has one of none.
    """
    salts = {} if command.proof is None else command.proof.salts
    left_out = {"by", "request_id", "at", "proof"}
    texts = texts_of(command)
    _refuse_beyond(salts, texts)
    content = _committed(
        command.model_dump(mode="json", by_alias=True, exclude=left_out, exclude_defaults=True), texts, salts
    )
    return Statement(case_id, command.NAME, canonical(content), command.by.actor().as_json(), command.request_id)


def said_of_intake(case_id: str, intake: Intake) -> Said | None:
    """Return an intake with the proof of who files it; None where it has none.

    Raises:
        Refused: see `of_intake`.
    """
    return None if intake.proof is None else said(of_intake(case_id, intake), intake.proof)


def said(statement: Statement, proof: Proof) -> Said:
    """Return a statement with its proof."""
    # The statement has the commitments; and what is asked of an activity must not be larger than what came.
    return Said(statement, proof.model_dump(mode="json", exclude_none=True, exclude={"salts"}))


def of_intake(case_id: str, intake: Intake) -> Statement:
    """Return what an intake says.

    Raises:
        Refused: code ``unsigned``: its proof lacks the salt of the personal facts or of a text, or has another one.
    """
    salts = {} if intake.proof is None else intake.proof.salts
    texts = texts_of_intake(intake)
    _refuse_beyond(salts, [PERSONAL, *texts])
    exclude: dict[str, Any] = {"by": True, "proof": True, "facts": intake.private()}
    content = _committed(intake.model_dump(mode="json", exclude=exclude, exclude_defaults=True), texts, salts)
    content[PERSONAL] = commitment(_salt(salts, PERSONAL), canonical(intake.personal()))
    return Statement(case_id, FILE, canonical(content), intake.filer().as_json())


def texts_of(command: Command) -> dict[str, str]:
    """Return the free texts in a command, which the ledger keeps apart, by path: ``reason``, ``override.reason``."""
    return dict(marked(type(command), command.model_dump(mode="json", by_alias=True)))


def texts_of_intake(intake: Intake) -> dict[str, str]:
    """Return the free texts in an intake beside its personal facts, by path: ``facts.checklist.label``."""
    return dict(marked(type(intake.facts), intake.open_facts(), "facts."))


def _committed(content: dict[str, Any], texts: Mapping[str, str], salts: Mapping[str, str]) -> dict[str, Any]:
    return put(content, {path: commitment(_salt(salts, path), text) for path, text in texts.items()})


def _refuse_beyond(salts: Mapping[str, str], texts: Collection[str]) -> None:
    # They are kept until the ledger has what they are salts of.
    for name in salts:
        if name not in texts:
            raise Refused(UNSIGNED, f"proof.salts: {name} is no text of it")


def _salt(salts: Mapping[str, str], name: str) -> bytes:
    if name not in salts:
        raise Refused(UNSIGNED, f"proof.salts: has none for {name}")
    return bytes.fromhex(salts[name])


def signed_bytes(statement: Statement, proof: Proof) -> bytes:
    """Return what is signed of a statement at the time of a proof."""
    told = {
        "case": statement.case_id,
        "command": statement.command,
        "content": sha256(statement.content.encode()).hexdigest(),
        "by": statement.by,
        "request_id": statement.request_id,
        "at": proof.at.astimezone(UTC).isoformat(),
    }
    return _DOMAIN + canonical(told).encode()


def challenge(statement: Statement, proof: Proof) -> bytes:
    """Return what an authenticator is asked to sign: the SHA-256 of what a key would sign."""
    return sha256(signed_bytes(statement, proof)).digest()


def kept(said: Said, rules: int) -> str:
    """Return what is kept of a statement beside the events that it led to, as canonical JSON.

    Args:
        rules: the number of the rules by which it led to them.
    """
    statement, proof = said.statement, {name: value for name, value in said.proof.items() if name != "salts"}
    return canonical(
        {
            "command": statement.command,
            "content": json.loads(statement.content),
            "by": statement.by,
            "request_id": statement.request_id,
            "proof": proof,
            "rules": rules,
        }
    )


def said_again(case_id: str, body: Mapping[str, Any]) -> Said:
    """Read what `kept` returned.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    content = canonical(body["content"])
    return Said(Statement(case_id, body["command"], content, body["by"], body["request_id"]), body["proof"])
