"""A payment gateway behind HTTP, and the form in which it speaks of a payout.

    POST URL                {amount, currency, reference, case, payee, details?}; reference is the key, which
                            stands in the header Idempotency-Key too; payee is a token of who is paid and how,
                            details what the door took of them. 2xx with a payout; 202: taken, not decided;
                            4xx: refused
    GET  URL/KEY            200 with a payout; 404: never heard of it
    GET  URL?limit=&after=  {payouts: [...], next}: one page of the book; next is null on the last

A payout is ``{key, case, amount, state, reference, reason, at}``: the amount a string in yuan with two
places, the state ``paid``, ``pending`` or ``failed``, the reference the gateway's own proof.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

import httpx
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from activities.notify.channels.http import TEMPORARY, trust
from activities.payouts.gateway import Entry, Payout, PayoutUnknown

# Another request under the same key is being worked on.
CONFLICT = 409
ACCEPTED = 202
NOT_FOUND = 404
# The longest answer that is read, in bytes.
LONGEST = 4_000_000
PAGE = 500
# A reason may go into the record, so it must be a code: a sentence can name somebody.
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("one line without control characters")
    return text


class Spoken(BaseModel):
    """A payout as a gateway speaks of it, in an answer, in its book and in a callback."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]
    case: str = ""
    amount: Annotated[str, Field(pattern=r"^[0-9]{1,16}\.[0-9]{2}$")]
    state: Literal["paid", "pending", "failed"]
    # A bank's may hold Chinese and blanks.
    reference: Annotated[str, Field(max_length=128), AfterValidator(str.strip), AfterValidator(_one_line)] = ""
    reason: str = ""
    at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _check_reference(self) -> Self:
        if self.state == "paid" and not self.reference:
            raise ValueError("reference: what is paid has one")
        return self

    def entry(self) -> Entry:
        """Return the entry of the book that it says."""
        # What is not paid has no proof, whatever else a gateway gives a number to.
        reference = self.reference if self.state == "paid" else ""
        reason = _code(self.reason) if self.state == "failed" else ""
        return Entry(self.key, self.state, Decimal(self.amount), self.case, reference, reason, self.at)


class _Page(BaseModel):
    payouts: list[Spoken]
    next: str | None


class _Refusal(BaseModel):
    reason: str = ""


class HttpGateway:
    """A gateway at an address. Redirects are not followed: money goes where it was configured to go.

    Args:
        url: http or https, without a query.
        token: sent as a bearer token.
        timeout: seconds for one whole request.
    """

    def __init__(self, url: str, token: str | None, *, timeout: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self._headers = {"user-agent": "caseladder", "accept": "application/json"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"
        self._timeout = timeout

    @property
    def name(self) -> str:
        """Its address."""
        return self._url

    async def pay(self, payout: Payout, details: Mapping[str, Any] | None = None) -> Entry:
        """Send the order; see `Gateway.pay`."""
        order = {
            "amount": f"{payout.amount:.2f}",
            "currency": "CNY",
            "reference": payout.key,
            "case": payout.case_id,
            "payee": payout.payee,
            **({} if details is None else {"details": details}),
        }
        headers = {"idempotency-key": payout.key, "content-type": "application/json"}
        status, body = await self._ask("POST", self._url, headers, json.dumps(order).encode())
        if status == ACCEPTED:
            return Entry(payout.key, "pending")
        if 200 <= status < 300:
            return _read(payout.key, body)
        if 400 <= status < 500 and status != CONFLICT and status not in TEMPORARY:
            return Entry(payout.key, "failed", reason=f"HTTP {status} {_reason(body)}".rstrip())
        raise PayoutUnknown(f"the gateway answered HTTP {status}")

    async def status(self, key: str) -> Entry | None:
        """Ask what has become of an order; see `Gateway.status`."""
        status, body = await self._ask("GET", f"{self._url}/{quote(key, safe='')}")
        if status == NOT_FOUND:
            return None
        if status != httpx.codes.OK:
            raise PayoutUnknown(f"the gateway answered HTTP {status} when it was asked")
        return _read(key, body)

    async def entries(self) -> AsyncIterator[Entry]:
        """Its book, page by page; see `Gateway.entries`."""
        after, seen = "", set[str]()
        while True:
            query = f"?limit={PAGE}" + (f"&after={quote(after, safe='')}" if after else "")
            status, body = await self._ask("GET", self._url + query)
            if status != httpx.codes.OK:
                raise PayoutUnknown(f"the gateway answered HTTP {status} when it was asked for its book")
            try:
                page = _Page.model_validate_json(body)
            except ValidationError as error:
                raise PayoutUnknown(f"a page of the gateway's book cannot be read ({_places(error)})") from None
            for spoken in page.payouts:
                yield spoken.entry()
            if page.next is None:
                return
            if page.next in seen:
                raise PayoutUnknown("the pages of the gateway's book go round in a circle")
            seen.add(page.next)
            after = page.next

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> tuple[int, bytes]:
        body = bytearray()
        try:
            # httpx limits each read; the outer limit holds for all of them together.
            async with (
                asyncio.timeout(self._timeout),
                httpx.AsyncClient(verify=trust(), timeout=self._timeout, headers=self._headers) as client,
                client.stream(method, url, headers=headers, content=content, follow_redirects=False) as answer,
            ):
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > LONGEST:
                        raise PayoutUnknown(f"the gateway's answer is longer than {LONGEST} bytes")
                return answer.status_code, bytes(body)
        except (httpx.HTTPError, TimeoutError) as error:
            raise PayoutUnknown(f"no answer from the gateway ({type(error).__name__})") from None


def _read(key: str, body: bytes) -> Entry:
    try:
        spoken = Spoken.model_validate_json(body)
    except ValidationError as error:
        raise PayoutUnknown(f"the gateway's answer cannot be read ({_places(error)})") from None
    if spoken.key != key:
        raise PayoutUnknown(f"the gateway was asked about {key} and answered about another key")
    return spoken.entry()


def _places(error: ValidationError) -> str:
    # The values are somebody else's and may be personal.
    places = {".".join(map(str, item["loc"])) or item["type"] for item in error.errors(include_input=False)}
    return ", ".join(sorted(places))


def _reason(body: bytes) -> str:
    try:
        return _code(_Refusal.model_validate_json(body).reason)
    except ValidationError:
        return ""


def _code(reason: str) -> str:
    return reason if _CODE.fullmatch(reason) else ""
