"""Logging in through a company's issuer: authorization code with PKCE, against an issuer that is really asked."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from starter.api.app import create_app
from starter.api.services import services
from starter.console import login
from starter.settings import Settings
from tests.console.server import ConsoleServer
from tests.http_server import serving

ACCESS = """\
issuer = "{issuer}"
audience = "caseladder"
algorithms = ["ES256"]
[claims]
roles = "groups"
units = "branch"
[[grant]]
value = "cs-supervisors"
role = "supervisor"
"""


@dataclass
class Issuer:
    """An OIDC issuer: hands out codes, and a token for each code once."""

    url: str = ""
    groups: list[str] = field(default_factory=lambda: ["staff", "cs-supervisors"])
    nonce_of: dict[str, Any] = field(default_factory=dict)
    wrong_nonce: bool = False
    document: Any = None

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key())), "kid": "k1"}

    def app(self) -> Starlette:
        """The issuer's pages."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _discovery(self, _: Request) -> Response:
        known = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
        }
        return JSONResponse(known if self.document is None else self.document)

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [self._public]})

    async def _authorize(self, request: Request) -> Response:
        asked = request.query_params
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.nonce_of)}"
        self.nonce_of[code] = dict(asked)
        return Response(
            status_code=303, headers={"Location": f"{asked['redirect_uri']}?code={code}&state={asked['state']}"}
        )

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self.nonce_of.pop(form["code"], None)
        challenge = (
            base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        )
        good = asked is not None and asked["code_challenge"] == challenge and asked["client_id"] == form["client_id"]
        if not good or asked is None or form.get("client_secret") != "s3cret":
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = datetime.now(UTC)
        claims = {"iss": self.url, "sub": "sue-1", "aud": "caseladder", "exp": now + timedelta(minutes=5)}
        claims |= {"nonce": "other" if self.wrong_nonce else asked["nonce"], "name": "Sue Lind", "locale": "en-GB"}
        claims |= {"groups": self.groups, "branch": ["north"]}
        token = jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": "k1"})
        return JSONResponse({"id_token": token, "access_token": "opaque", "token_type": "Bearer"})


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    """A company's issuer, listening on this machine."""
    made = Issuer()
    async with serving(made.app()) as url:
        made.url = url
        yield made


@pytest.fixture
async def company(console: ConsoleServer, issuer: Issuer, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A browser before a console whose people the issuer knows."""
    issuer.groups, issuer.wrong_nonce = ["staff", "cs-supervisors"], False
    access = tmp_path / "access.toml"
    access.write_text(ACCESS.format(issuer=issuer.url))
    settings = Settings.model_validate(
        {
            **console.services.settings.model_dump(),
            "access": access,
            "console_client": "console",
            "console_client_secret": "s3cret",
            "console_secret": "a key that every server of this console has",
        }
    )
    async with services(settings, console.services.temporal) as made:
        transport = httpx.ASGITransport(create_app(made))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield client


async def _arrive(client: httpx.AsyncClient, target: str = "/console/find?unit=north") -> httpx.Response:
    """Go to the issuer and come back, as a browser does."""
    page = await client.get(target)
    assert page.status_code == 303
    page = await client.get(page.headers["location"])
    assert "your organization" in page.text or "公司账号" in page.text
    leaving = await client.get("/console/login/oidc", params={"next": target})
    assert leaving.status_code == 303
    return await _come_back(client, leaving)


async def _come_back(client: httpx.AsyncClient, leaving: httpx.Response) -> httpx.Response:
    async with httpx.AsyncClient() as outside:
        back = await outside.get(leaving.headers["location"])
    return await client.get(back.headers["location"])


async def test_the_issuer_says_who_it_is(company: httpx.AsyncClient) -> None:
    arrived = await _arrive(company)
    assert arrived.status_code == 303
    assert arrived.headers["location"] == "/console/find?unit=north"
    page = await company.get(arrived.headers["location"])
    assert page.status_code == 200
    assert "Sue Lind" in page.text
    assert "supervisor" in page.text
    # The code was good once, and so was the state.
    assert (await company.get("/console/login/callback?code=code-0&state=x")).status_code == 403


async def test_whom_the_table_grants_nothing_stays_out(company: httpx.AsyncClient, issuer: Issuer) -> None:
    issuer.groups = ["staff"]
    arrived = await _arrive(company)
    assert arrived.status_code == 403
    assert (await company.get("/console/")).status_code == 303


async def test_a_token_of_another_login_is_refused(company: httpx.AsyncClient, issuer: Issuer) -> None:
    issuer.wrong_nonce = True
    assert (await _arrive(company)).status_code == 403


async def test_a_login_that_takes_too_long_is_begun_again(
    company: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "ON_ITS_WAY", timedelta(seconds=-1))
    leaving = await company.get("/console/login/oidc")
    assert leaving.status_code == 303
    arrived = await _come_back(company, leaving)
    assert arrived.status_code == 403
    assert "it took too long" in arrived.text


async def test_an_issuer_that_is_away_or_says_that_it_is_another_lets_nobody_leave(
    company: httpx.AsyncClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for document, reason in (
        ({"issuer": "https://evil.example.com"}, "the discovery document is that of another issuer"),
        ({"issuer": issuer.url}, "the issuer does not answer"),
        (["a list"], "the issuer does not answer"),
    ):
        monkeypatch.setattr(issuer, "document", document)
        page = await company.get("/console/login/oidc")
        assert page.status_code == 403
        assert reason in page.text


async def test_an_answer_that_nobody_asked_for_is_refused(company: httpx.AsyncClient) -> None:
    assert (await company.get("/console/login/callback?code=stolen&state=made-up")).status_code == 403
    leaving = await company.get("/console/login/oidc")
    state = parse_qs(urlsplit(leaving.headers["location"]).query)["state"][0]
    answer = await company.get("/console/login/callback", params={"state": state, "error": "<b>no</b>"})
    assert answer.status_code == 403
    assert "<b>no" not in answer.text
    # With an issuer of one's own nobody picks a sample person.
    page = await company.get("/console/login")
    assert 'name="person"' not in page.text
