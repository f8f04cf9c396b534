"""Files that are uploaded over the API: who may, what is kept, and how it is given."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import httpx
from PIL import Image

from tests.api.server import ApiServer, open_api, problem, quoted


def photo() -> bytes:
    """A photograph."""
    out = BytesIO()
    Image.new("RGB", (40, 30), "brown").save(out, "JPEG")
    return out.getvalue()


async def upload(
    api: ApiServer, who: str, case_id: str, name: str, content: bytes, key: str | None = None
) -> httpx.Response:
    """Upload a file."""
    headers = {"Authorization": f"Bearer {api.token(who)}", **({"Idempotency-Key": key} if key else {})}
    return await api.http.post(
        f"/api/v1/cases/{quoted(case_id)}/files", headers=headers, files={"file": (name, content)}
    )


async def attached(api: ApiServer, case_id: str) -> list[dict[str, Any]]:
    """The events of what was attached."""
    return [event["data"] for event in await api.backend.book.events(case_id) if event["type"] == "attached"]


async def test_a_file_is_uploaded_once_and_given_as_it_was(api: ApiServer) -> None:
    case_id, content = await api.file("complaint", "north"), photo()
    answers = [await upload(api, "agent-n", case_id, "外箱 1.jpg", content, "once") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    await api.recorded(case_id, answers[0].json()["events"])
    assert len(await attached(api, case_id)) == 1
    [listed] = (await api.get("super-n", f"/cases/{quoted(case_id)}/files")).json()["files"]
    assert (listed["name"], listed["size"], listed["by"]) == ("外箱 1.jpg", len(content), "agent-n")
    assert listed["where"] == f"attachment:{listed['file']}"
    answer = await api.get("super-n", f"/cases/{quoted(case_id)}/files/{listed['file']}")
    assert answer.content == content
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%E5%A4%96%E7%AE%B1%201.jpg"
    assert "sandbox" in answer.headers["content-security-policy"]
    looks = (await api.get("qa-1", f"/cases/{quoted(case_id)}/looks")).json()["looks"]
    assert [(one["caller"], one["masked"]) for one in looks] == [("super-n", False)]
    # No file of a case is one of another, and who does not see the case sees none.
    other = await api.file("complaint", "north")
    problem(await api.get("super-n", f"/cases/{quoted(other)}/files/{listed['file']}"), 404, "not_found")
    problem(await api.get("super-e", f"/cases/{quoted(case_id)}/files/{listed['file']}"), 404, "not_found")


async def test_what_is_refused_leaves_nothing(api: ApiServer) -> None:
    case_id = await api.file("complaint", "north")
    folder = api.backend.folder / "attachments"
    before = set(folder.iterdir()) if folder.exists() else set()
    problem(await upload(api, "agent-n", case_id, "run.exe", b"MZ"), 422, "file_type")
    problem(await upload(api, "agent-n", case_id, "void.txt", b""), 422, "file_empty")
    problem(await upload(api, "auditor-1", case_id, "a.txt", b"x"), 403, "read_only")
    problem(await upload(api, "agent-e", case_id, "a.txt", b"x"), 404, "not_found")
    large = api.services.settings.attachment_limit + 1
    problem(await upload(api, "agent-n", case_id, "large.txt", b"x" * large), 413, "file_too_large")
    path = f"/api/v1/cases/{quoted(case_id)}/files"
    headers = {"Authorization": f"Bearer {api.token('agent-n')}"}
    problem(await api.http.post(path, headers=headers, json={"file": "x"}), 415, "unsupported_media_type")
    problem(await api.http.post(path, headers=headers, files={"other": ("a.txt", b"x")}), 400, "malformed")
    broken = {**headers, "Content-Type": "multipart/form-data"}
    problem(await api.http.post(path, headers=broken, content=b"--x\r\n"), 400, "malformed")
    # The case itself refuses, when it has closed: what was stored before is taken away.
    assert await attached(api, case_id) == []
    assert (set(folder.iterdir()) if folder.exists() else set()) == before


async def test_a_store_that_is_away_is_said_and_nothing_attached(api: ApiServer) -> None:
    blocked = api.backend.folder / "no-folder"
    blocked.write_text("")
    async with open_api(api.backend, attachments=f"folder:{blocked}") as away:
        case_id = await away.file("complaint", "north")
        said = problem(await upload(away, "agent-n", case_id, "a.txt", b"x"), 503, "store_away")
        assert str(blocked) not in str(said)
        assert await attached(away, case_id) == []
    async with open_api(api.backend, attachments=None) as without:
        case_id = await without.file("complaint", "north")
        problem(await upload(without, "agent-n", case_id, "a.txt", b"x"), 409, "no_store")
