"""Credentials from the command line: tokens of sample people, keys of systems, and the API that `up` serves."""

from __future__ import annotations

import re
from itertools import count

import httpx

from tests.cli.program import Up, call

NAMES = count(1)


def get(up: Up, path: str, credential: str) -> httpx.Response:
    """Read from the API of the stack."""
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.get(f"{up.says['api']}{path}", headers={"Authorization": f"Bearer {credential}"})


def test_the_sample_people_call_the_api(up: Up) -> None:
    people = {person["id"]: person for person in up.says["people"]}
    assert {person["role"] for person in people.values()} >= {"agent", "supervisor", "qa_manager", "auditor"}
    token = up("token", "supervisor-1").out.strip()
    me = get(up, "/me", token).json()
    assert (me["id"], me["role"]) == ("supervisor-1", "supervisor")
    assert me["units"] == [people["supervisor-1"]["unit"]]
    assert up("token", "supervisor-1", "--json").json["role"] == "supervisor"
    assert "supervisor-1" in up("token", "nobody").refused(2)
    seen = get(up, "/cases", token).json()["cases"]
    assert {view["unit"] for view in seen} == {"north"}
    with httpx.Client(trust_env=False, follow_redirects=True) as client:
        page = client.get(up.says["console"])
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


def test_keys_are_shown_once_and_revoked(up: Up) -> None:
    name = f"order-system-{next(NAMES)}"
    made = up("keys", "create", name, "--scope", "file", "--scope", "read", "--unit", "north", "--json").json
    assert get(up, "/me", made["key"]).json()["scopes"] == ["file", "read"]
    assert made["key"] not in up("keys", "list").out
    listed = next(row for row in up("keys", "list", "--json").json if row["name"] == name)
    assert (listed["scopes"], listed["units"], listed["revoked_at"]) == (["file", "read"], ["north"], None)
    assert "name_taken" not in up("keys", "create", name, "--scope", "read").refused(1)
    assert up("keys", "revoke", name).code == 0
    assert get(up, "/me", made["key"]).status_code == 401
    assert name in up("keys", "revoke", name).refused(1)
    for wrong in (("--scope", "all"), ("--scope", "read", "--role", "agent"), ("--scope", "read", "--unit", "a b")):
        assert "allowed" in up("keys", "create", f"{name}-x", *wrong).refused(2)
    assert "NAME" in up("keys", "create", "a b", "--scope", "read").refused(2)
    plain = up("keys", "create", f"{name}-y", "--scope", "command").out.strip()
    assert get(up, "/me", plain).json()["id"] == f"{name}-y"


def test_a_customer_key_names_its_customers(up: Up) -> None:
    name, shop = f"shop-{next(NAMES)}", ("--scope", "read", "--role", "customer")
    made = up("keys", "create", name, *shop, "--customer", "C 1", "--customer", "C-2", "--json").json
    assert get(up, "/me", made["key"]).json()["customers"] == made["customers"] == ["C 1", "C-2"]
    assert get(up, "/cases", made["key"]).json()["cases"] == []
    assert re.search(rf"{name} .*C 1, C-2", up("keys", "list").out)
    # A key that speaks for nobody would reach nothing, and no other key speaks for customers.
    for wrong in (shop, ("--scope", "read", "--customer", "C-1"), (*shop, "--customer", " ")):
        assert "--customer" in up("keys", "create", f"{name}-x", *wrong).refused(2)
    # Nor does it ever read what people wrote freely.
    assert "texts" in up("keys", "create", f"{name}-x", *shop, "--customer", "C-1", "--scope", "texts").refused(2)
    assert up("keys", "revoke", name).code == 0
    assert next(row for row in up("keys", "list", "--json").json if row["name"] == name)["customers"] == []


def test_an_issuer_of_ones_own_makes_the_tokens(up: Up) -> None:
    environment = {"CASELADDER_ACCESS": "pyproject.toml"}
    refused = call("token", "agent-1", "--data", str(up.data), env=environment).refused(1)
    assert "CASELADDER_ACCESS" in refused
    # What is no access table is told before anything is served.
    refused = call("serve", "--port", "0", "--data", str(up.data), env=environment).refused(2)
    assert "access" in refused
    assert "CASELADDER_ACCESS" in call("serve", "--host", "0.0.0.0", "--data", str(up.data)).refused(2)
