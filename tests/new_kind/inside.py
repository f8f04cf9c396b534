"""What there is of the test kind `tests.new_kind.warehouse`; run by test_new_kind.py in a process of its own."""

from __future__ import annotations

import asyncio
import csv
import html
import json
import re
import tomllib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from activities.database.migrate import migrate
from activities.notify.templates import Templates
from activities.people.directory_changes import DirectoryChanges
from activities.policies.store import Policies
from cases.case import by_name
from cases.directory import Person
from cases.policy.model import Policy
from cases.registry import KINDS, declare, kinds
from cases.vocabulary.commands import EVERY_KIND
from cases.vocabulary.refusals import Refused
from starter.access import Caller, filed_kinds, sees
from starter.api.app import bare_app
from starter.console.forms import fields_of
from starter.console.translations import LANGUAGES, translations
from starter.rehearsal.command import rehearse
from tests.api.server import STAFF, UNITS, ApiServer, open_api, quoted
from tests.cli.program import call
from tests.new_kind.parts import missing_parts
from tests.new_kind.warehouse import StoreGoods, WarehouseFacts, WarehouseRequest
from tests.postgres import as_writer, cluster
from tests.temporal import address, eventually, time_skipping
from tests.test_words import all_terms, missing_words
from tests.workflows.backend import is_about, open_backend
from workflows.registry import RUNNER, case_workflows

HERE = Path(__file__).parent
POLICIES, TEMPLATES, SCENARIO = HERE / "policies", HERE / "templates", HERE / "warehouse.toml"
WORDS = translations(TEMPLATES)
FACTS = {"storage": "cold", "goods_value": "900.00", "arrived_at": "2026-03-04T09:30:00+08:00", "unit": "north"}
MAILED = Person(id="agent-n", role="agent", unit="north", language="en", contacts={"email": "nora@example.com"})
KEEPER = Person(id="stock-1", role="warehouse_keeper", unit="hq")


def policy() -> Policy:
    """The default policy with the table of the kind."""
    return Policies(POLICIES).load("default")


def own_words(language: str) -> dict[str, dict[str, str]]:
    """The words of the kind by section."""
    return tomllib.loads((TEMPLATES / language / "words.toml").read_text("utf-8"))


# --- the rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["core", "temporal"])
def test_its_scenario_holds(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert rehearse([SCENARIO], engine, policies=Policies(POLICIES)) == 0, capsys.readouterr().out


def test_it_is_registered() -> None:
    assert KINDS["warehouse"] is WarehouseRequest
    assert "warehouse" in kinds(policy())
    assert "WarehouseRequest" in {made.__name__ for made in case_workflows()}
    assert "warehouse" in filed_kinds()
    keeper = Caller("stock-1", "warehouse_keeper", None, "person")
    assert sees(keeper) == (None, frozenset({"warehouse"}))


# --- what is left out is named ----------------------------------------------------------------------


def test_a_table_a_notice_a_scenario_and_a_history_that_are_left_out_are_named() -> None:
    def missing(of: Policy, *scenarios: Path, histories: str = "WarehouseRequest") -> list[str]:
        return missing_parts([WarehouseRequest], of, scenarios, {histories})

    assert missing(policy(), SCENARIO) == []
    assert missing(Policies().load("default"), SCENARIO) == ["policy default: the table [warehouse] is missing"]
    [notice] = missing(_policy_without("[[notice]]"), SCENARIO)
    assert "a [[notice]] with acknowledge, which tells of a new warehouse, is missing" in notice
    assert missing(policy()) == ["scenarios: one of the kind warehouse is missing"]
    assert missing(policy(), SCENARIO, histories="Claim") == [
        "histories: one of the workflow WarehouseRequest is missing"
    ]


@pytest.mark.parametrize("clock", WarehouseRequest.TABLE.CLOCKS)
def test_a_clock_that_the_table_leaves_out_is_named(clock: str) -> None:
    with pytest.raises(Refused, match=rf"warehouse\.clocks\.{clock} is missing"):
        _policy_without(f"[warehouse.clocks.{clock}]")


def _policy_without(table: str) -> Policy:
    """The policy without one of the tables of its file."""
    text = (POLICIES / "default.toml").read_text("utf-8")
    left = re.sub(rf"^{re.escape(table)}\n(?:[^\[\n].*\n)*", "", text, flags=re.MULTILINE)
    assert left != text
    default = (Path("cases") / "policy" / "default.toml").read_text("utf-8")
    return Policy.from_toml(left, bases=[default])


def test_a_handler_that_is_left_out_is_named() -> None:
    own = {"KIND": "other", "WORKFLOW": "Other", "COMMANDS": by_name(*EVERY_KIND)}
    with pytest.raises(TypeError, match="_do_store_goods: COMMANDS does not list the command"):
        declare(type("Other", (WarehouseRequest,), {**own, "_do_store_goods": WarehouseRequest._do_store_goods}))
    with pytest.raises(TypeError, match=r"Other\.KIND = 'ware_house': allowed are small letters only"):
        declare(type("Other", (WarehouseRequest,), {**own, "KIND": "ware_house"}))


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_word_that_is_left_out_is_named(language: str) -> None:
    terms = all_terms([policy(), Policies().load("cross_company")], "tests/new_kind")
    assert missing_words(language, WORDS[language], terms) == []
    without = missing_words(language, translations()[language], terms)
    own = [(section, term) for section, words in own_words(language).items() for term in words]
    for section, term in own:
        assert [one for one in without if f"[{section}] {term} " in one], (section, term)
    assert len(without) == len(own)


# --- command line, schema, forms --------------------------------------------------------------------


def test_the_command_line_gives_its_schemas() -> None:
    assert call("schema", "warehouse").json["title"] == "WarehouseIntake"
    assert {"shelf", "storage_fee"} <= call("schema", "warehouse", "--command", "store_goods").json["properties"].keys()
    said = call("schema", "boat").refused(2)
    assert "warehouse" in said


def test_openapi_describes_it() -> None:
    document = bare_app({}).openapi()
    operations = {
        operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()
    }
    body = operations["file_warehouse"]["requestBody"]["content"]["application/json"]
    assert body["example"] == dict(WarehouseRequest.EXAMPLE)
    assert "warehouse" in operations["command_store_goods"]["description"]
    known = document["components"]["schemas"]
    assert {"WarehouseIntake", "StoreGoods", "WarehouseView", "GoodsStored"} <= known.keys()
    assert "warehouse: WarehouseView" in known["CaseView"]["description"]
    assert "goods_stored: GoodsStored" in known["Event"]["properties"]["data"]["description"]
    [kind] = [one for one in operations["search_cases_api_v1_cases_get"]["parameters"] if one["name"] == "kind"]
    assert "warehouse" in json.dumps(kind)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_form_of_its_command_asks_in_words(language: str) -> None:
    asked = {field.name: (field.kind, field.label) for field in fields_of(StoreGoods, WORDS[language], {})}
    labels = own_words(language)["field"]
    assert asked == {
        "shelf": ("area", labels["shelf"]),
        "storage_fee": ("amount", labels["storage_fee"]),
        "sealed": ("yesno", labels["sealed"]),
    }


# --- running ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiServer]:
    """Server, worker, API and console with the policy and the words of the kind."""
    folder = tmp_path_factory.mktemp("warehouse")
    with pytest.MonkeyPatch.context() as patch, cluster() as postgres:
        patch.setenv("CASELADDER_TEMPLATES", str(TEMPLATES))
        patch.setenv("CASELADDER_LINK_SECRET", "s" * 32)
        patch.setenv("CASELADDER_PUBLIC_URL", "http://cases.test")
        database = await postgres.fresh_database()
        await migrate(database)
        async with time_skipping() as env, open_backend(env, database, folder) as backend:
            (folder / "policies" / "default.toml").write_text((POLICIES / "default.toml").read_text("utf-8"))
            people = [MAILED, KEEPER, *(one for one in STAFF if one.id != MAILED.id)]
            await DirectoryChanges(backend.book.database).replace_people(people, units=UNITS)
            async with open_api(backend) as made:
                assert made.services.issuer is not None
                made.tokens[KEEPER.id] = made.services.issuer.token(KEEPER, datetime.now(UTC))
                yield made


@pytest.fixture(scope="module")
async def case_id(api: ApiServer) -> str:
    """A case that was filed, taken up by the link of its mail, and whose goods are in store."""
    answer = await api.post("agent-n", "/cases/warehouse", {"key": "dock-7", "facts": FACTS})
    assert answer.status_code == 200, answer.text
    case_id: str = answer.json()["id"]
    await api.recorded(case_id)
    mails = await eventually(_mails(api, case_id), lambda mails: bool(mails))
    [mail] = mails
    assert mail["To"] == "nora@example.com"
    text = mail.get_content()
    assert "warehouse request" in text, text
    link = re.search(r"http://cases\.test(/a/\S+)", text)
    assert link is not None, text
    assert (await api.http.get(link[1])).status_code == 200
    assert (await api.http.post(link[1])).status_code == 200
    assert (await api.get("stock-1", f"/cases/{quoted(case_id)}/actions")).json()["actions"].count("store_goods") == 1
    done = await api.do("stock-1", case_id, "store_goods", {"shelf": "C-12", "storage_fee": "35.00"})
    assert done.status_code == 200, done.text
    await api.recorded(case_id, done.json()["events"])
    again = await api.do("stock-1", case_id, "store_goods", {"shelf": "C-12", "storage_fee": "35.00"})
    assert (again.status_code, again.json()["code"]) == (409, "already_stored")
    return case_id


def _mails(api: ApiServer, case_id: str) -> Any:
    async def look() -> list[Any]:
        return [mail for mail in api.backend.mails() if is_about(mail, case_id)]

    return look


async def test_the_api_files_reads_lists_and_finds_it(api: ApiServer, case_id: str) -> None:
    view = (await api.get("agent-n", f"/cases/{quoted(case_id)}")).json()
    assert (view["kind"], view["holder"], view["storage_fee"]) == ("warehouse", "agent-n", "35.00")
    assert {clock["clock"]: clock["state"] for clock in view["clocks"]}["storing"] == "met"
    for query in ("kind=warehouse", "text=dock-7", "kind=warehouse&status=active&holder=agent-n"):
        found = (await api.get("gm-1", f"/cases?{query}")).json()["cases"]
        assert [one["id"] for one in found] == [case_id], query
    assert (await api.get("gm-1", "/cases?kind=claim")).json()["cases"] == []
    board = await api.services.worklist.board(units=None, kinds=None)
    assert "cold" in {one["matter"] for rung in board.values() for one in rung["cases"] if one["id"] == case_id}
    events = (await api.get("stock-1", f"/cases/{quoted(case_id)}/timeline")).json()["events"]
    assert "goods_stored" in [event["type"] for event in events]
    assert "warehouse" in (await api.get("agent-n", "/me")).json()["files"]
    wrong = await api.post("gm-1", "/cases/warehouse", {"key": "dock-8", "facts": {"storage": "warm"}})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "malformed")
    assert "facts.storage" in wrong.json()["detail"]


async def test_its_history_replays(api: ApiServer, case_id: str) -> None:
    history = await api.backend.handle(case_id).fetch_history()
    replayer = Replayer(workflows=case_workflows(), workflow_runner=RUNNER, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)


@pytest.fixture
def env(api: ApiServer) -> dict[str, str]:
    """The environment of a command on the running system."""
    return {
        "TEMPORAL_ADDRESS": address(api.backend.env.client),
        "CASELADDER_DATABASE_URL": as_writer(api.backend.database),
        "CASELADDER_POLICIES": str(POLICIES),
    }


async def test_the_command_line_files_shows_lists_and_exports_it(
    api: ApiServer, case_id: str, env: dict[str, str], tmp_path: Path
) -> None:
    async def run(*arguments: str) -> Any:
        return await asyncio.to_thread(call, *arguments, env=env)

    filed = await run("file", "warehouse", "--key", "dock-9", "--set", "facts.storage=dry", "--json")
    assert filed.json["id"] == "warehouse:dock-9"
    await api.recorded("warehouse:dock-9")
    listed = await run("list", "--kind", "warehouse", "--json")
    assert {one["id"] for one in listed.json} == {case_id, "warehouse:dock-9"}
    shown = await run("show", case_id)
    assert "storage_fee  35.00 yuan" in re.sub(r" {2,}", "  ", shown.out), shown.out
    by = ("--by", "stock-1", "--role", "warehouse_keeper")
    stored = await run("do", "warehouse:dock-9", "store_goods", "shelf=A-1", "storage_fee=12.50", *by, "--json")
    assert stored.json["storage_fee"] == "12.50"
    await api.recorded("warehouse:dock-9", stored.json["events"])
    file = tmp_path / "cases.csv"
    exported = await run("export", "cases", "--kind", "warehouse", "--raw", "--out", str(file))
    assert exported.code == 0, exported.err
    rows = {row["case"]: row for row in csv.DictReader(StringIO(file.read_text("utf-8")))}
    assert {case: row["storage_fee_yuan"] for case, row in rows.items()} == {
        case_id: "35.00", "warehouse:dock-9": "12.50",
    }  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_console_shows_it_in_words(api: ApiServer, case_id: str, language: str) -> None:
    own = own_words(language)
    async with _console(api, "agent-n", language) as get:
        page = await get(f"/console/case?id={quote(case_id)}")
        for section, term in {
            "kind": "warehouse", "clock": "storing", "storage": "cold", "notice": "goods_wait",
            "money": "storage_fee",
        }.items():  # fmt: skip
            assert own[section][term] in page, (section, term)
        assert own["told"]["goods_stored"].removeprefix("{who}") in page
        for fact in own["fact"].values():
            assert fact in page, fact
        for value in ("35.00", "900.00", "C-12"):
            assert value in page, value
        assert "2026-03-04T09:30" not in page
        assert f"{own['field']['sealed']}: {WORDS[language].say('app.yes')}" in page
        found = await get("/console/find?kind=warehouse")
        assert f'<option value="warehouse" selected>{own["kind"]["warehouse"]}' in found
        assert own["storage"]["cold"] in found
        assert quote(case_id, safe="") in found
        board = await get("/console/")
        assert own["kind"]["warehouse"] in board
        assert own["storage"]["cold"] in board


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_console_asks_for_its_command(api: ApiServer, language: str) -> None:
    own = own_words(language)
    filed = await api.post("agent-n", "/cases/warehouse", {"key": f"form-{language}", "facts": FACTS})
    await api.recorded(filed.json()["id"])
    async with _console(api, "agent-n", language) as get:
        page = await get(f"/console/case?id={quote(filed.json()['id'])}&do=store_goods")
        for text in (own["command"]["store_goods"], own["consequence"]["store_goods"], *own["field"].values()):
            assert text in page, text
        assert 'name="storage_fee"' in page


class _console:
    """The console as a person reads it, without a browser."""

    def __init__(self, api: ApiServer, person: str, language: str) -> None:
        self._client = httpx.AsyncClient(base_url=api.base, trust_env=False, follow_redirects=True, timeout=30)
        self._client.cookies.set("caseladder_language", language, domain=urlsplit(api.base).hostname or "")
        self._person = person

    async def __aenter__(self) -> Any:
        login = (await self._client.get("/console/login")).text
        token = re.search(r'name="csrf" value="([^"]+)"', login)
        assert token is not None
        sent = {"csrf": token[1], "person": self._person}
        answer = await self._client.post(
            "/console/login", data=sent, headers={"Origin": str(self._client.base_url).rstrip("/")}
        )
        assert answer.status_code == 200, answer.text
        return self._get

    async def _get(self, path: str) -> str:
        answer = await self._client.get(path)
        assert answer.status_code == 200, answer.text
        return html.unescape(answer.text)

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()


# --- mail -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_mail_carries_its_words_and_the_way_to_take_it_up(language: str) -> None:
    event = {"type": "case_opened", "at": "2026-03-04T10:00:00+08:00", "data": {"facts": {}}, "actor": {}}
    facts = {
        "case_id": "warehouse:dock-7",
        "number": "1",
        "kind": "warehouse",
        "roles": ["agent"],
        "clause": "INVENTED",
    }
    ack = {"link": "http://cases.test/a/x", "code": "CODE"}
    text = Templates(TEMPLATES).render("goods_wait", language, {**facts, "event": event, "view": {}, "ack": ack})
    assert text.remark == ""
    assert own_words(language)["kind"]["warehouse"] in text.body
    assert ack["link"] in text.body


def test_every_field_of_its_facts_is_shown() -> None:
    """So that the page of the case, above, leaves out nothing."""
    assert set(own_words("en")["fact"]) == WarehouseFacts.model_fields.keys() - _of_every_kind()


def _of_every_kind() -> Iterator[str]:
    return iter(WarehouseFacts.__mro__[1].model_fields)  # type: ignore[attr-defined]
