"""RFC 3161 timestamps: an authority says under its own signature when a checkpoint was there.

A timestamp is over the canonical JSON of the envelope, signature and all, and is kept as the authority's response in
DER, which ``openssl ts -verify`` reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import httpx
from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from activities.audit.checkpoint import Signed
from activities.casebook.ledger import Fault
from cases.vocabulary.events import canonical

# Seconds for one request, and seconds to wait before it is tried again, while the handing out waits.
TIMEOUT = 10.0
WAITS = (1.0, 4.0)
# Bytes of a response: with the certificates of a chain it has some 6,000.
LONGEST = 100_000
# A timestamp is asked for at once. Clocks differ, but not by so much.
APART = timedelta(hours=1)
UNCHECKED = "CASELADDER_CHECKPOINT_TSA_CERTIFICATES names no certificates to check them with"
# [0] IMPLICIT in SignedData (RFC 5652, section 5.1).
_CERTIFICATES = 0xA0
# What the library says of what is wrong, in our words.
_WHY = {
    "Mismatch between messages": "it is of something else",
    "Nonce mismatch": "it answers another request",
}


class BadCertificates(Exception):
    """Raised where a file holds no certificates; the message names the file and what is allowed."""


class NotStamped(Exception):
    """Raised where an authority gives no timestamp now; the text says why, without its address."""


class BadTimestamp(Exception):
    """Raised where a timestamp is none, or is not one of these bytes by somebody who is trusted."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a timestamp says.

    Args:
        checkpoint: its number.
        at: when it was there at the latest.
        by: the name in the authority's certificate.
    """

    checkpoint: int
    at: datetime
    by: str


@dataclass(slots=True)
class Stamps:
    """What came of checking timestamps.

    Args:
        right: in the order of the checkpoints.
        unchecked: how many there are, where nobody is trusted.
    """

    right: list[Stamp]
    faults: list[Fault]
    unchecked: int = 0


def read_certificates(file: Path) -> list[Certificate]:
    """Read the certificates that are trusted: PEM blocks, the root of each authority among them.

    Raises:
        BadCertificates: the file cannot be read, or holds something else.
    """
    try:
        return load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        raise BadCertificates(f"{file}: {error.strerror}") from None
    except ValueError:
        raise BadCertificates(f"{file}: allowed are PEM blocks of certificates") from None


def verify(signed: Signed, trusted: Sequence[Certificate], nonce: int | None = None) -> Stamp:
    """Return what the timestamp of a checkpoint says.

    Args:
        trusted: the roots of authorities.
        nonce: of the request that it answers, if that is known.

    Raises:
        BadTimestamp: it says nothing.
    """
    try:
        response = decode_timestamp_response(signed.timestamp or b"")
        if response.status != PKIStatus.GRANTED:
            raise BadTimestamp(f"the authority has not granted it (status {response.status})")
        VerifierBuilder(roots=[*trusted], nonce=nonce).build().verify_message(response, _stamped(signed))
        at, by = response.tst_info.gen_time.astimezone(UTC), _signer(response)
    except VerificationError as error:
        raise BadTimestamp(_WHY.get(str(error), "it is of no authority that is trusted")) from None
    # What the library says of a response that it cannot read depends on where it stops.
    except (ValueError, TypeError, LookupError):
        raise BadTimestamp("it cannot be read") from None
    return Stamp(signed.checkpoint.number, at, by)


def check(checkpoints: Iterable[tuple[Signed, str]], trusted: Sequence[Certificate]) -> Stamps:
    """Check the timestamps of checkpoints, those that have one.

    Args:
        checkpoints: with the words for where each is.
    """
    found = Stamps([], [])
    seen: set[tuple[str, bytes]] = set()
    for signed, where in checkpoints:
        if signed.timestamp is None or (signed.hash, signed.timestamp) in seen:
            continue
        seen.add((signed.hash, signed.timestamp))
        if not trusted:
            found.unchecked += 1
            continue
        own = signed.checkpoint
        try:
            stamp = verify(signed, trusted)
        except BadTimestamp as error:
            found.faults.append(Fault("", 0, "changed", f"{where}: the timestamp of checkpoint {own.number}: {error}"))
            continue
        if abs(stamp.at - datetime.fromisoformat(own.at)) > APART:
            said = f"checkpoint {own.number} says that it is of {own.at}, and its timestamp of {stamp.at.isoformat()}"
            found.faults.append(Fault("", 0, "changed", f"{where}: {said}"))
        found.right.append(stamp)
    found.right.sort(key=lambda stamp: (stamp.checkpoint, stamp.at))
    return found


class Authority:
    """A timestamp authority, which is asked over HTTP (RFC 3161, section 3.4).

    Args:
        url: its address.
        trusted: its certificates.
        waits: seconds before it is asked again.
    """

    def __init__(self, url: str, trusted: Sequence[Certificate], waits: Sequence[float] = WAITS) -> None:
        self._url, self._trusted, self._waits = url, trusted, waits

    async def stamp(self, signed: Signed) -> Signed:
        """Return a checkpoint with a timestamp, which was checked.

        Raises:
            NotStamped: the authority gave none that is right, however often it was asked.
        """
        for wait in self._waits:
            try:
                return await self._once(signed)
            except NotStamped:
                await asyncio.sleep(wait)
        return await self._once(signed)

    async def _once(self, signed: Signed) -> Signed:
        request = TimestampRequestBuilder(_stamped(signed), HashAlgorithm.SHA256).build()
        try:
            stamped = signed.with_timestamp(_in_order(await self._ask(request.as_bytes())))
            verify(stamped, self._trusted, request.nonce)
        except BadTimestamp as error:
            raise NotStamped(f"the answer is no timestamp of it: {error}") from None
        return stamped

    async def _ask(self, query: bytes) -> bytes:
        body = bytearray()
        headers = {"content-type": "application/timestamp-query", "user-agent": "caseladder"}
        try:
            # httpx limits each read; the outer limit holds for all of them together.
            async with (
                asyncio.timeout(TIMEOUT),
                httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client,
                client.stream("POST", self._url, content=query, headers=headers) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise NotStamped(f"HTTP {answer.status_code}")
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > LONGEST:
                        raise NotStamped(f"the answer is longer than {LONGEST} bytes")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise NotStamped(f"no answer ({type(error).__name__})") from None
        return bytes(body)


def _stamped(signed: Signed) -> bytes:
    """Return the bytes that a timestamp is over."""
    return canonical(signed.envelope).encode()


def _signer(response: TimeStampResponse) -> str:
    (info,) = response.signed_data.signer_infos
    for certificate in map(load_der_x509_certificate, response.signed_data.certificates):
        if (certificate.issuer, certificate.serial_number) == (info.issuer, info.serial_number):
            return certificate.subject.rfc4514_string()
    raise BadTimestamp("it does not name who made it")


def _in_order(response: bytes) -> bytes:
    """Return a response with its certificates in the order that DER wants and authorities made with OpenSSL neglect.

    No signature is over that order. What cannot be read is returned as it is.
    """
    try:
        (whole,) = _elements(response, 0, len(response))
        _, token = _elements(response, *whole[1:])
        _, content = _elements(response, *token[1:])
        (signed_data,) = _elements(response, *content[1:])
        for tag, begin, end in _elements(response, *signed_data[1:]):
            if tag == _CERTIFICATES:
                ends = [begin, *(element[2] for element in _elements(response, begin, end))]
                certificates = sorted(response[at:to] for at, to in pairwise(ends))
                return response[:begin] + b"".join(certificates) + response[end:]
    except (ValueError, IndexError):
        pass
    return response


def _elements(der: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the elements of DER between two places: the tag, and where the content begins and ends."""
    while begin < end:
        tag, length, at = der[begin], der[begin + 1], begin + 2
        if length & 0x80:
            at += length & 0x7F
            length = int.from_bytes(der[begin + 2 : at])
        if at + length > end:
            raise ValueError("it is cut")
        yield tag, at, at + length
        begin = at + length
