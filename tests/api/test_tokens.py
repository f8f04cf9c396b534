"""Tokens and keys that are none, of another, or no longer good."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from cases.directory import Directory, Person, Unit
from cases.registry import KINDS
from cases.vocabulary.refusals import Refused
from starter.access import NO_UNIT, Caller, caller_of, may_change, may_read_personal, read_access, sees, units_of
from starter.api.auth import IssuerAway, LocalKeys, RemoteKeys, _weak
from starter.api.issuer import AUDIENCE, ISSUER, Issuer, check_loopback, sample_people
from starter.api.serve import config
from starter.settings import Settings, SettingsError
from tests.api.server import STAFF, UNITS, ApiServer, open_api, problem
from tests.http_server import free_socket
from tests.workflows.backend import Backend

ROLES = ("agent", "supervisor", "qa_manager", "general_manager", "auditor", "finance")
DIRECTORY = Directory.build(UNITS, STAFF)
TABLE = """
issuer = "https://login.example.com"
audience = "caseladder"
jwks = "https://login.example.com/keys"
skew = 10
[claims]
id = "employee"
roles = "groups"
units = "department"
[[grant]]
value = "cs-lead"
role = "supervisor"
[[grant]]
value = "cs"
role = "agent"
[[grant]]
value = "audit"
role = "auditor"
"""


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims of the development issuer for an agent, except for what is changed."""
    now = datetime.now(UTC)
    good = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "agent-n", "role": "agent", "unit": "north",
        "iat": now, "exp": now + timedelta(hours=1),
    }  # fmt: skip
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


# As they stand in the JSON of a token. The first two are no times of today, the others none at all.
NO_TIMES = (
    *("99999999999999999999", "253402300800", "-1", "1e999", "-1e999", "NaN", "Infinity", "true", "[]", "{}"),
    *("1e400", '"9999999999"', "1" * 400, "9999999999.5", "null", '"x"'),
)


def _raw(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _with(name: str, at: str) -> bytes:
    """Good claims, save one whose JSON is this."""
    good = claims()
    good.update({one: int(good[one].timestamp()) for one in ("iat", "exp")})
    good.pop(name, None)
    return f'{{"{name}": {at}, {json.dumps(good)[1:]}'.encode()


async def test_tokens_that_are_not_accepted(api: ApiServer) -> None:
    issuer = api.services.issuer
    assert issuer is not None
    own = issuer._key
    kid = {"kid": issuer.jwks()["keys"][0]["kid"]}
    public = own.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    good = jwt.encode(claims(), own, "ES256", kid)
    head, body, signature = good.split(".")
    now = datetime.now(UTC)

    def hs256(header: dict[str, Any], secret: bytes) -> str:
        text = f"{_part(header)}.{body}"
        mac = hmac.digest(secret, text.encode(), hashlib.sha256)
        return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    grander = {**json.loads(base64.urlsafe_b64decode(body + "==")), "role": "auditor"}
    bad = {
        "expired": jwt.encode(claims(exp=now - timedelta(minutes=2)), own, "ES256", kid),
        "not yet": jwt.encode(claims(nbf=now + timedelta(minutes=5)), own, "ES256", kid),
        "good for two days": jwt.encode(claims(exp=now + timedelta(days=2)), own, "ES256", kid),
        "good for two days, not said from when": jwt.encode(
            claims(exp=now + timedelta(days=2), iat=None), own, "ES256", kid
        ),
        "issued later": jwt.encode(claims(iat=now + timedelta(minutes=5)), own, "ES256", kid),
        **{f"exp {at}": jwt.api_jws.encode(_with("exp", at), own, "ES256", kid) for at in NO_TIMES},
        **{f"iat {at}": jwt.api_jws.encode(_with("iat", at), own, "ES256", kid) for at in NO_TIMES},
        **{f"nbf {at}": jwt.api_jws.encode(_with("nbf", at), own, "ES256", kid) for at in NO_TIMES},
        "header without an end": f"{_raw('[' * 5000)}.{body}.{signature}",
        "claims without an end": jwt.api_jws.encode(b"[" * 4000, own, "ES256", kid),
        "no expiry": jwt.encode(claims(exp=None), own, "ES256", kid),
        "other audience": jwt.encode(claims(aud="elsewhere"), own, "ES256", kid),
        "no audience": jwt.encode(claims(aud=None), own, "ES256", kid),
        "other issuer": jwt.encode(claims(iss="https://evil.example.com"), own, "ES256", kid),
        "no issuer": jwt.encode(claims(iss=None), own, "ES256", kid),
        "no subject": jwt.encode(claims(sub=None), own, "ES256", kid),
        "subject is no id": jwt.encode(claims(sub="a b\r\nX-Evil: 1"), own, "ES256", kid),
        "other key": jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", kid),
        "other key id": jwt.encode(claims(), own, "ES256", {"kid": "unknown"}),
        "rsa under our id": jwt.encode(claims(), rsa.generate_private_key(65537, 2048), "RS256", kid),
        "none": f"{_part({'alg': 'none', **kid})}.{body}.",
        "None": f"{_part({'alg': 'None', **kid})}.{body}.{signature}",
        "no algorithm": f"{_part(kid)}.{body}.{signature}",
        "hs256 with the public key": hs256({"alg": "HS256", "typ": "JWT", **kid}, public),
        "key of its own": jwt.encode(
            claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", {**kid, "jwk": {"kty": "EC"}, "jku": api.base}
        ),
        "changed": f"{head}.{_part(grander)}.{signature}",
        "cut": good[:-4],
        "two parts": f"{head}.{body}",
        "no token": "x",
        "too long": good + "A" * 9000,
        "header is a list": f"{_part([1])}.{body}.{signature}",
        "kid is a list": f"{_part({'alg': 'ES256', 'kid': ['a']})}.{body}.{signature}",
        "claims are a list": jwt.api_jws.encode(b"[1]", own, "ES256", kid),
    }
    assert (await api.http.get("/api/v1/me", headers={"Authorization": f"Bearer {good}"})).status_code == 200
    for name, token in bad.items():
        answer = await api.http.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        if name == "too long":
            assert answer.status_code in (400, 401, 431), name
            continue
        found = problem(answer, 401, "bad_token")
        assert answer.headers["www-authenticate"] == "Bearer", name
        assert token not in answer.text, name
        assert body not in found["detail"], name
    for header in ("", "Bearer", f"Basic {good}", good):
        problem(await api.http.get("/api/v1/me", headers={"Authorization": header}), 401, "unauthenticated")
    nobody = jwt.encode(claims(role="emperor"), own, "ES256", kid)
    problem(await api.http.get("/api/v1/me", headers={"Authorization": f"Bearer {nobody}"}), 403, "no_role")
    skewed = jwt.encode(claims(exp=now - timedelta(seconds=5), iat=now - timedelta(hours=1)), own, "ES256", kid)
    assert (await api.http.get("/api/v1/me", headers={"Authorization": f"Bearer {skewed}"})).status_code == 200


async def test_keys(api: ApiServer) -> None:
    name = await api.key("order-system", "file", "read", units=["north"])
    text = api.token(name)
    me = (await api.get(name, "/me")).json()
    assert (me["id"], me["role"], me["kind"], me["scopes"]) == (name, "system", "system", ["file", "read"])
    case_id = await api.file(who=name)
    problem(await api.do(name, case_id, "note", {"text": "x"}), 403, "scope")
    # Stored hashed: nothing in the table gives the key away.
    stored = json.dumps([[str(value) for value in row.values()] for row in await _rows(api, "SELECT * FROM api_key")])
    assert text.split("_", 2)[2] not in stored
    forged = [text[:-1] + ("A" if text[-1] != "A" else "B"), text + "x", "cl_", "cl__", "cl_é_x", f"cl_{'a' * 99}_b"]
    for bad in forged:
        answer = await api.http.get("/api/v1/me", headers={b"Authorization": f"Bearer {bad}".encode()})
        problem(answer, 401, "bad_key")
    with pytest.raises(Refused) as refusal:
        await api.services.keys.create(name, "system", ["read"])
    assert refusal.value.code == "name_taken"
    await api.services.keys.revoke(name)
    problem(await api.get(name, "/me"), 401, "bad_key")
    with pytest.raises(Refused) as refusal:
        await api.services.keys.revoke(name)
    assert refusal.value.code == "not_found"
    assert any(one.revoked_at for one in await api.services.keys.all() if one.name == name)


async def _rows(api: ApiServer, sql: str) -> list[dict[str, Any]]:
    async with api.services.database.connection() as connection:
        return [dict(row) for row in await connection.fetch(sql)]


async def test_a_system_speaks_for_a_customer(api: ApiServer) -> None:
    name = await api.key("mini-program", "command", "read", role="customer", customers=["C-1"])
    theirs = {"ref": "C-1"}
    case_id = await api.file(customer=theirs)
    assert (await api.do(name, case_id, "withdraw", {"reason": "done"})).status_code == 200
    problem(await api.do(name, await api.file(customer=theirs), "acknowledge"), 403, "role")


async def test_an_access_table_of_ones_own(backend: Backend, tmp_path: Path) -> None:
    """A real issuer over HTTP: discovery, keys fetched once, changed keys found, and the table's roles."""
    keys: dict[str, Any] = {"a": rsa.generate_private_key(65537, 2048), "b": ec.generate_private_key(ec.SECP256R1())}
    published = ["a"]
    asked: list[str] = []

    async def serve_keys(request: Request) -> JSONResponse:
        asked.append(request.url.path)
        if request.url.path.endswith("openid-configuration"):
            return JSONResponse({"issuer": base, "jwks_uri": f"{base}/keys"})
        found = []
        for name in published:
            key = keys[name].public_key()
            algorithm = jwt.algorithms.RSAAlgorithm if name == "a" else jwt.algorithms.ECAlgorithm
            found.append({**algorithm.to_jwk(key, as_dict=True), "kid": name})
        # A published secret must never count.
        found.append({"kty": "oct", "kid": "secret", "k": _part("0" * 40)})
        found.append({"kty": "new", "kid": "of the future"})
        return JSONResponse({"keys": found})

    listening = free_socket()
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app = Starlette(routes=[Route("/{path:path}", serve_keys)])
    server = uvicorn.Server(config(app, Settings()))
    path = tmp_path / "access.toml"
    path.write_text(
        TABLE.replace('jwks = "https://login.example.com/keys"\n', "").replace("https://login.example.com", base)
    )

    def token(name: str, **changed: Any) -> str:
        said = {
            "iss": base, "aud": ["caseladder", "other"], "sub": "uuid", "employee": "agent-n", "groups": ["x", "cs"],
            "department": "east", "exp": datetime.now(UTC) + timedelta(minutes=5), **changed,
        }  # fmt: skip
        return jwt.encode(said, keys[name], "RS256" if name == "a" else "ES256", {"kid": name})

    async with open_api(backend, access=path) as api:

        async def me(text: str) -> httpx.Response:
            return await api.http.get("/api/v1/me", headers={"Authorization": f"Bearer {text}"})

        assert api.services.issuer is None
        away = await me(token("a"))
        problem(away, 503, "issuer_away")
        assert away.headers["retry-after"]
        running = asyncio.create_task(server._serve(sockets=[listening]))
        keysource = api.services.verifier._keys
        assert isinstance(keysource, RemoteKeys)
        keysource._tried = float("-inf")
        first = (await me(token("a"))).json()
        assert (first["id"], first["role"], first["units"]) == ("agent-n", "agent", ["east"])
        lead = (await me(token("a", employee="super-e", groups=["cs", "cs-lead"], department=["north"]))).json()
        assert (lead["role"], lead["units"]) == ("supervisor", ["north", "north-1"])
        for _ in range(5):
            await me(token("a"))
        assert asked == ["/.well-known/openid-configuration", "/keys"]
        problem(await me(token("b")), 401, "bad_token")
        # A new key is found when it is used, but nobody makes us ask all the time.
        published[:] = ["b"]
        problem(await me(token("b")), 401, "bad_token")
        assert len(asked) == 2
        keysource._tried = float("-inf")
        assert (await me(token("b"))).status_code == 200
        problem(await me(token("a")), 401, "bad_token")
        secret = jwt.encode({"iss": base}, "0" * 40, "HS256", {"kid": "secret"})
        problem(await me(secret), 401, "bad_token")
        # While the issuer is away the last keys hold.
        server.should_exit = True
        await running
        keysource._fetched = keysource._tried = float("-inf")
        assert (await me(token("b"))).status_code == 200


async def test_keys_that_never_came(tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        table = read_access(TABLE.replace("https://login.example.com/keys", "http://127.0.0.1:9/keys"), ROLES)
        with pytest.raises(IssuerAway):
            await RemoteKeys(table, client).find("a")
    assert await LocalKeys({"keys": []}).find(None) is None


async def test_weak_keys_of_an_issuer_do_not_count() -> None:
    made: dict[str, Any] = {
        "short": rsa.generate_private_key(65537, 1024),
        "curve": ec.generate_private_key(ec.SECP192R1()),
        "long": rsa.generate_private_key(65537, 2048),
        "good": ec.generate_private_key(ec.SECP256R1()),
    }
    published: list[dict[str, Any]] = [
        {**RSAAlgorithm.to_jwk(made[name].public_key(), as_dict=True), "kid": name} for name in ("short", "long")
    ]
    published.append({**ECAlgorithm.to_jwk(made["good"].public_key(), as_dict=True), "kid": "good"})
    published.append({"kty": "EC", "crv": "P-192", "x": "AA", "y": "AA", "kid": "curve"})
    with capture_logs() as said:
        keys = LocalKeys({"keys": published})
    assert [await keys.find(name) is None for name in ("short", "curve", "long", "good")] == [True, True, False, False]
    assert said == [
        {
            "event": "issuer_key_not_used",
            "kid": "short",
            "reason": "RSA of 1024 bits; allowed: 2048 or more",
            "log_level": "warning",
        }
    ]
    # The library knows no weaker curve today.
    assert _weak(made["curve"].public_key()) == "the curve secp192r1 of 192 bits; allowed: 256 or more"


def test_the_table_is_checked() -> None:
    for change, name in (
        (("issuer", "issuers"), "issuers"),
        (('"auditor"', '"emperor"'), "emperor"),
        (('"auditor"', '"system"'), "'system': no role of the staff"),
        (('"auditor"', '"customer"'), "'customer': no role of the staff"),
        (('"auditor"', '"platform"'), "'platform': no role of the staff"),
        (("skew = 10", "skew = 3600"), "skew"),
        (("https://login.example.com/keys", "http://login.example.com/keys"), "jwks"),
        (("skew = 10", 'algorithms = ["HS256"]'), "algorithms"),
        (("[[grant]]", "[[grants]]"), "grant"),
        (("skew = 10", "skew = "), "TOML"),
    ):
        with pytest.raises(Refused) as refusal:
            read_access(TABLE.replace(*change), (*ROLES, "system", "customer", "platform"))
        assert refusal.value.code == "bad_access"
        assert name in refusal.value.message
    with pytest.raises(Refused, match="or give jwks"):
        read_access('issuer = "x"\naudience = "y"\n[[grant]]\nvalue = "a"\nrole = "agent"\n', ROLES)


def test_claims_make_a_caller() -> None:
    table = read_access(TABLE, ROLES)
    said = {"employee": "super-n", "groups": "cs-lead"}
    caller = caller_of(said, table, DIRECTORY)
    # The directory knows the unit that the token does not say, and the language.
    assert (caller.role, caller.units, caller.language) == ("supervisor", frozenset({"north", "north-1"}), "en")
    assert caller_of({**said, "locale": "zh-CN"}, table, DIRECTORY).language == "zh"
    assert caller_of({**said, "department": "east"}, table, DIRECTORY).units == frozenset({"east"})
    # A claim that says nothing is none, and no unit that cases without one belong to.
    for empty in ("", [], ["", 7], None):
        assert caller_of({**said, "department": empty}, table, DIRECTORY).units == frozenset({"north", "north-1"})
    # Of what the table grants, what the directory says counts.
    assert caller_of({"employee": "agent-n", "groups": ["cs-lead", "cs"]}, table, DIRECTORY).role == "agent"
    for groups, directory, code, text in (
        ("cs", DIRECTORY, "not_staff", "new is not in the directory of staff"),
        ("audit", DIRECTORY, "not_staff", "caseladder staff import"),
        ("cs", Directory(), "not_staff", "the directory of staff is empty"),
    ):
        with pytest.raises(Refused) as refusal:
            caller_of({"employee": "new", "groups": groups, "department": "hq"}, table, directory)
        assert refusal.value.code == code
        assert text in refusal.value.message
    with pytest.raises(
        Refused, match="super-n is supervisor in the directory of staff; the access table grants: agent"
    ):
        caller_of({"employee": "super-n", "groups": ["cs"]}, table, DIRECTORY)
    refused: tuple[dict[str, Any], ...] = ({}, {"employee": "a", "groups": {"cs": 1}}, {"employee": "a", "groups": 7})
    for wrong in refused:
        with pytest.raises(Refused) as refusal:
            caller_of(wrong, table, DIRECTORY)
        assert refusal.value.code == "no_role"
    with pytest.raises(Refused) as refusal:
        caller_of({"employee": 7, "groups": "cs"}, table, DIRECTORY)
    assert refusal.value.code == "bad_token"


def test_whose_cases_somebody_sees() -> None:
    empty = Directory()
    assert units_of("agent", ["north"], DIRECTORY) == frozenset({"north"})
    assert units_of("agent", ["hq"], DIRECTORY) == frozenset({"hq", NO_UNIT})
    assert units_of("supervisor", ["hq"], DIRECTORY) is None
    assert units_of("supervisor", ["unknown"], DIRECTORY) == frozenset({"unknown"})
    for role in ("agent", "supervisor", "area_office"):
        assert units_of(role, [], DIRECTORY) == units_of(role, [], empty) == frozenset()
    assert units_of("qa_manager", ["north"], DIRECTORY) is None
    assert units_of("area_office", ["north"], DIRECTORY) == frozenset({"north", "north-1"})

    def person(role: str) -> Caller:
        return Caller("x", role, units_of(role, ["north"], DIRECTORY), "person")

    assert sees(person("window_and_site")) == (frozenset({"north"}), frozenset(KINDS))
    assert sees(person("headquarters")) == (None, None)
    assert sees(person("director")) == (None, frozenset({"exception", "quality", "return", "summary"}))
    assert not may_change(person("auditor"))
    system = Caller("s", "agent", None, "system", frozenset({"command", "read"}))
    view = {"kind": "complaint", "unit": None, "status": "open", "holder": "agent", "rung": "agent"}
    assert not may_read_personal(system, view)
    assert not may_read_personal(person("agent"), view)
    mine = {**view, "unit": "north"}
    assert may_read_personal(person("agent"), mine)
    assert not may_read_personal(person("agent"), {**mine, "status": "closed"})
    assert not may_read_personal(person("agent"), {**mine, "holder": "y"})
    assert may_read_personal(person("agent"), {**mine, "holder": "x"})
    assert not may_read_personal(person("supervisor"), mine)


def test_the_development_issuer_serves_this_machine_only(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        check_loopback(host, None)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.com", ""):
        with pytest.raises(SettingsError, match="CASELADDER_ACCESS"):
            check_loopback(host, None)
    with pytest.raises(SettingsError, match=r"desk\.example\.com"):
        check_loopback("127.0.0.1", "https://desk.example.com")
    check_loopback("127.0.0.1", "http://localhost:8080")
    first, second = Issuer(tmp_path), Issuer(tmp_path)
    assert first.jwks() == second.jwks()
    assert (tmp_path / "issuer.pem").stat().st_mode & 0o077 == 0
    assert "d" not in first.jwks()["keys"][0]


def test_sample_people() -> None:
    assert sample_people(Directory(), ROLES) == []
    roles = {"z": "agent", "a": "supervisor", "b": "agent", "c": "system", "d": "unheard_of"}
    staff = [Person(id=id_, role=role, unit="hq") for id_, role in roles.items()]
    known = sample_people(Directory.build([Unit(id="hq")], staff), (*ROLES, "system"))
    assert [one.id for one in known] == ["b", "z", "a"]


async def test_the_host_must_be_this_machine(api: ApiServer) -> None:
    """Else a page of another site could rebind its name to this machine and log in as anybody."""
    for host in ("evil.example.com", "evil.example.com:80", "127.0.0.1.example.com", ""):
        answer = await api.http.get("/api/v1/me", headers={"Host": host})
        assert answer.status_code == 400, host
    answer = await api.http.get("/healthz", headers={"Host": "localhost:1"})
    assert answer.status_code == 200
