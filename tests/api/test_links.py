"""Links and merges over HTTP: by id or by number, only what the caller sees, and shown from either side."""

from __future__ import annotations

import asyncio

from tests.api.server import ApiServer, Json, problem, quoted
from tests.temporal import eventually


async def numbered(api: ApiServer, case_id: str) -> str:
    """The number of a case, once the casebook has it."""
    return str((await api.recorded(case_id))["number"])


async def linked(api: ApiServer, who: str, case_id: str) -> list[str]:
    """What a caller sees of the cases that a case is linked with."""
    answer = await api.get(who, f"/cases/{quoted(case_id)}/linked")
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["cases"]]


async def view(api: ApiServer, case_id: str) -> Json:
    """A case as it is recorded."""
    found: Json = (await api.get("gm-1", f"/cases/{quoted(case_id)}")).json()
    return found


async def test_a_link_is_shown_from_either_side_to_who_sees_both(api: ApiServer) -> None:
    one, other = await api.file(), await api.file("claim")
    number = await numbered(api, other)
    done = await api.do("agent-n", one, "link", {"case": other})
    assert (done.status_code, done.json()["links"]) == (200, [other])
    await eventually(lambda: linked(api, "agent-n", other), lambda found: found == [one])
    assert await linked(api, "agent-n", one) == [other]
    problem(await api.do("agent-n", one, "link", {"case": f"claim {number}"}), 409, "already_linked")
    problem(await api.get("agent-e", f"/cases/{quoted(one)}/linked"), 404, "not_found")
    assert (await api.do("agent-n", one, "unlink", {"case": f"claim {number}"})).status_code == 200
    await eventually(lambda: linked(api, "agent-n", other), lambda found: found == [])


async def test_a_number_says_which_case_is_meant(api: ApiServer) -> None:
    one = await api.file()
    # Each kind counts by itself, so some number is that of several kinds.
    filed = {kind: [await api.file(kind) for _ in range(3)] for kind in ("claim", "inquiry")}
    numbers = {kind: {await numbered(api, case): case for case in cases} for kind, cases in filed.items()}
    await numbered(api, one)
    for kind, found in numbers.items():
        for number, case in found.items():
            done = await api.do("agent-n", one, "link", {"case": f"{kind} {number}"})
            assert done.json()["links"][-1] == case
    shared = await api.services.casebook.by_number(next(iter(numbers["claim"])))
    if len(shared) > 1:
        told = problem(await api.do("gm-1", one, "link", {"case": shared[0]["number"]}), 409, "ambiguous")
        assert all(f"{each['kind']} {each['number']}" in told["detail"] for each in shared)


async def test_nobody_links_what_they_do_not_see(api: ApiServer) -> None:
    one, hidden = await api.file(), await api.file(unit="east")
    number = await numbered(api, hidden)
    for given in (hidden, f"complaint {number}", "complaint:none", "claim 1999-01-0001"):
        for name, field in (("link", "case"), ("merge", "into")):
            answer = await api.do("agent-n", one, name, {field: given})
            problem(answer, 404, "not_found")
    for wrong in ("17", "a\0b", 17, None, "Complaint 2026-03-0001"):
        problem(await api.do("agent-n", one, "link", {"case": wrong}), 400, "malformed")
    # One that went out of sight since is unlinked all the same.
    tied = await api.do("gm-1", one, "link", {"case": hidden})
    assert tied.status_code == 200
    await api.recorded(one, tied.json()["events"])
    assert await linked(api, "agent-n", one) == []
    assert (await api.do("agent-n", one, "unlink", {"case": hidden})).status_code == 200


async def test_a_duplicate_is_merged_by_number_into_the_earlier_case(api: ApiServer) -> None:
    earlier, later, claim = await api.file(), await api.file(), await api.file("claim")
    number = await numbered(api, earlier)
    await numbered(api, later)
    await numbered(api, claim)
    # What is known of both is said at once.
    told = problem(await api.do("agent-n", earlier, "merge", {"into": later}), 409, "not_earlier")
    assert f"merge {later} into {earlier}" in told["detail"]
    problem(await api.do("agent-n", later, "merge", {"into": claim}), 409, "other_kind")
    problem(await api.do("agent-n", later, "merge", {"into": later}), 409, "itself")
    # A number alone is enough: only a case of the same kind can be meant.
    asked = await api.do("agent-n", later, "merge", {"into": number})
    assert (asked.status_code, asked.json()["merging"]) == (200, earlier)
    ended = await eventually(lambda: view(api, later), lambda found: found["status"] == "closed")
    assert (ended["outcome"], ended["merged_into"]) == ("merged", earlier)
    assert (await view(api, earlier))["duplicates"] == [later]
    assert (await linked(api, "agent-n", earlier), await linked(api, "agent-n", later)) == ([later], [earlier])
    problem(await api.do("agent-n", await api.file(), "merge", {"into": later}), 409, "closed")


async def test_no_door_takes_what_only_the_program_sends(api: ApiServer) -> None:
    one = await api.file()
    name = await api.key("erp", "file", "command", "read")
    body = {"case": "complaint:later", "received_at": "2099-01-01T00:00:00+08:00", "promises": []}
    for who in ("agent-n", "gm-1", name):
        problem(await api.do(who, one, "take_duplicate", body), 404, "unknown_command")
    offered = await asyncio.gather(*(api.get(who, f"/cases/{quoted(one)}/actions") for who in ("agent-n", name)))
    assert all("take_duplicate" not in answer.text for answer in offered)
    assert "merge" in offered[0].text
