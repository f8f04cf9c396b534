"""No answer of an error, and no log, repeats what was sent: each field of each body carries a mark."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from cases.registry import KINDS
from cases.vocabulary.refusals import path, shown
from starter.access import filed_kinds
from starter.api.routes import COMMANDS
from tests.api.server import ApiServer, intake, new_key, quoted

# As people write, with what is told by itself if only a part of it is repeated.
MARK, NUMBER, MAIL = "李 MARK 雷, 13812345678", "13812345678", "lilei@MARK.example"
TOLD = ("李", "MARK", "雷", NUMBER, "lilei")
Json = dict[str, Any]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, the outermost first."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*at, key))


def changed(body: Json, at: tuple[Any, ...], value: Any) -> Json:
    """The same with another value at a place."""
    made = copy.deepcopy(body)
    here: Any = made
    for key in at[:-1]:
        here = here[key]
    here[at[-1]] = value
    return made


def marked(model: type[BaseModel], example: Mapping[str, Any]) -> Iterator[Json]:
    """The example with a mark in one place after the other: as a text, in other types, and as a name."""
    full: Json = json.loads(json.dumps(dict(example), default=str))
    for at in places(full):
        found: Any = full
        for key in at:
            found = found[key]
        if at:
            yield changed(full, at, MARK)
            # Where a text belongs, another type; where one does not, a text that might be a number or a name.
            yield changed(full, at, {MARK: MARK} if isinstance(found, str) else [MAIL])
        if isinstance(found, dict):
            yield changed(full, (*at, MARK), MARK)
    for name in model.model_fields.keys() - full.keys() - {"by", "proof"}:
        yield {**full, name: MARK}
    yield {**full, NUMBER: NUMBER, MAIL: MAIL}


def bodies() -> Iterator[tuple[str, str, Json]]:
    """Every marked body with the address that it is sent to, and its kind."""
    for kind in filed_kinds():
        model = KINDS[kind].INTAKE
        example = {**KINDS[kind].EXAMPLE, **intake(kind, "north")}
        example["facts"] = {**KINDS[kind].EXAMPLE["facts"], **example["facts"]}
        for body in marked(model, example):
            yield f"/cases/{kind}", kind, body
    for name, command in COMMANDS.items():
        for kind in [one for one in filed_kinds() if name in KINDS[one].COMMANDS][:1]:
            for body in marked(command, command.EXAMPLE):
                yield f"/commands/{name}", kind, body


@pytest.mark.long
async def test_no_error_repeats_what_was_sent(
    api: ApiServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    cases, refused = {kind: await api.file(kind) for kind in filed_kinds()}, 0
    for there, kind, body in bodies():
        where = there if there.startswith("/cases") else f"/cases/{quoted(cases[kind])}{there}"
        if there.startswith("/cases") and body.get("key") != MARK:
            body["key"] = new_key()
        answer = await api.post("gm-1", where, body)
        if answer.status_code >= 400:
            refused += 1
            assert not [one for one in TOLD if one in answer.text], (where, body, answer.text)
            assert answer.status_code < 500, answer.text
    assert refused > 300
    logged = "".join(capfd.readouterr()) + caplog.text
    assert not [one for one in TOLD if one in logged]


async def test_no_error_repeats_a_broken_body(
    api: ApiServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    case_id = await api.file()
    text = json.dumps(MARK, ensure_ascii=False)
    raw = (
        *(text, f"[{text}]", f'{{"text": {text}', f"{{{text}: {text}, {text}: 1}}", f'{{"text": {text}, "x": NaN}}'),
        *(f"{MARK}", f'{{"text": {text}}} {MARK}', f'{{"key": {text}, "facts": {text}}}', f"{{{text}: {text}}}"),
        *(json.dumps({"text": MARK * 20_000}), f'{{"text": "\\ud800 {MARK}"}}', NUMBER, f'{{"text": {NUMBER * 500}}}'),
    )
    headers = {"Authorization": f"Bearer {api.token('gm-1')}", "Content-Type": "application/json"}
    for path_ in ("/cases/complaint", f"/cases/{case_id}/commands/note", f"/cases/{case_id}/payees"):
        for sent in raw:
            for sort in ("application/json", "text/plain", f"text/{NUMBER}"):
                answer = await api.http.post(
                    f"/api/v1{path_}", content=sent.encode(), headers={**headers, "Content-Type": sort}
                )
                assert 400 <= answer.status_code < 500, (path_, sent, answer.text)
                assert not [one for one in TOLD if one in answer.text], (path_, sent, answer.text)
    # Nor what stands in an address or a header.
    for answer in (
        await api.get("gm-1", "/cases", params={MARK: MARK}),
        await api.get("gm-1", "/cases", params={"status": MARK}),
        await api.get("gm-1", "/cases", params={"after": MARK}),
        await api.get("gm-1", "/cases", params={"due_before": NUMBER, "limit": NUMBER}),
        await api.get("gm-1", "/events", params={"after": MARK}),
        await api.get("gm-1", "/policy", params={"name": MAIL}),
        await api.post("gm-1", f"/cases/{case_id}/commands/{NUMBER}", {"text": "x"}),
        await api.post("gm-1", f"/cases/{NUMBER}", {"text": "x"}),
        await api.do("gm-1", case_id, "note", {"text": "x"}, headers={"Idempotency-Key": f"{MAIL} x"}),
        await api.post("agent-n", "/cases/complaint", intake(unit=MARK)),
        await api.post("agent-n", "/cases/complaint", intake(unit=NUMBER)),
    ):  # fmt: skip
        assert 400 <= answer.status_code < 500, answer.request.url
        assert not [one for one in TOLD if one in answer.text], answer.text
    logged = "".join(capfd.readouterr()) + caplog.text
    assert not [one for one in TOLD if one in logged]


def test_what_a_message_says_of_a_value() -> None:
    for value in (
        "delay",
        "P1D",
        "18.00",
        "2026-03-01",
        "2026-03-01T10:00:00.123456+08:00",
        "complaint:a/1",
        7,
        1.5,
        True,
    ):
        assert shown(value) == repr(value)
    assert shown(None) == "None"
    for value in (
        *(
            NUMBER,
            MAIL,
            MARK,
            "+86 138 1234 5678",
            "138-1234-5678",
            "Li Lei",
            "李雷",
            "110101199003078888",
            "x" * 41,
        ),
        *("2026-03-01138", "2026-03-01-13812345678"),
    ):
        assert shown(value) == "(text)"
    assert [shown(value) for value in (13812345678, 1e11, {"a": 1}, [1], ("a",))] == [
        *("(number)", "(number)", "(dict)", "(list)", "(tuple)")
    ]
    assert path(("facts", "customer", 0, NUMBER, "李雷", "a_b")) == "facts.customer.0.(a name).(a name).a_b"
