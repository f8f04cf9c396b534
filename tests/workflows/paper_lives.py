"""Lives of forms and of quality complaints, for the histories that are stored (`tests.workflows.make_histories`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tests.core.test_form import DOCUMENT, FILED
from tests.core.test_quality import KNOWN, OPINION, WAY
from tests.postgres import Cluster
from tests.temporal import eventually
from tests.workflows.backend import MORNING, Backend, Handle, Json

DAY = timedelta(days=1)
FACTS: Json = {"origin": "domestic", "loss": True, "demand": "return", "return_quantity": "40", **KNOWN}
Way = Sequence[tuple[str, str, Json]]
_keys = count(1)


async def file_form(backend: Backend, kind: str, **fields: Any) -> Handle:
    """A form as those of `tests.core.test_form` are filed, with these fields besides; it waits for a signature."""
    filed_by, told = FILED[kind]
    return await _filed(backend, kind, {"filed_by": filed_by, "fields": {**told, **fields}})


async def file_leave(backend: Backend) -> Handle:
    """A leave of the day after tomorrow, in an emergency, so that no holiday is in its way."""
    begins = datetime.now(UTC).replace(microsecond=0) + 2 * DAY
    fields = {"from": begins.isoformat(), "to": (begins + DAY).isoformat(), "emergency": True}
    return await file_form(backend, "leave", **fields)


async def file_quality(backend: Backend) -> Handle:
    """A quality complaint, verified."""
    return await _filed(backend, "quality", FACTS)


async def _filed(backend: Backend, kind: str, facts: Json) -> Handle:
    key = f"P-{next(_keys)}"
    await backend.client.file(kind, {"key": key, "facts": facts})
    return backend.handle(f"{kind}:{key}")


async def go_round(backend: Backend, case: Handle, way: Way = WAY, opinion: Json = OPINION) -> None:
    """Send a quality complaint round, as far as this part of the way; where it is accepted the number is waited for."""
    for name, role, fields in way:
        await backend.do(case, name, role, **(opinion if name == "opinion" else fields))
        if name == "accept":
            await happened(backend, case, "numbered")


async def happened(backend: Backend, case: Handle, type_: str) -> None:
    """Wait for an event of a type."""
    await eventually(lambda: backend.timeline(case, type_), bool)


# --- forms ----------------------------------------------------------------------------------------


async def signed_twice(backend: Backend, _: Cluster) -> Handle:
    """In effect early; sent back, signed again; in effect for good, and the director is told."""
    case = await file_form(backend, "new_business")
    await backend.do(case, "grant_early", "deputy_gm", reason="the goods arrive tonight")
    for role in ("marketing_manager", "distribution_manager", "warehouse_manager"):
        await backend.do(case, "sign", role)
    await backend.do(case, "send_back", "general_manager", reason="the space is missing")
    await backend.do(case, "note", "marketing", text="it is in hall 4")
    for role in ("warehouse_manager", "distribution_manager", "general_manager"):
        await backend.do(case, "sign", role)
    await case.result()
    return case


async def sealed(backend: Backend, _: Cluster) -> Handle:
    """Nobody decides, so it climbs; decided by signal; the last step fills in a paper, and copies go out."""
    case = await file_form(backend, "allowance")
    await backend.do(case, "sign", "business_manager")
    await backend.wait(case, 9 * DAY)
    await case.signal("approve", {"by": {"id": "gm-1", "role": "general_manager"}})
    await happened(backend, case, "approved")
    await backend.do(case, "sign", "customer", fields={"customer_document": DOCUMENT})
    await case.result()
    return case


async def away_from_work(backend: Backend, _: Cluster) -> Handle:
    """A leave that nobody signs in time, signed: the directory of staff does not know who asks for it."""
    case = await file_leave(backend)
    await backend.wait(case, 6 * DAY)
    await backend.do(case, "sign", "supervisor", text="get well")
    await case.result()
    return case


async def not_signed(backend: Backend, _: Cluster) -> Handle:
    """Refused in the middle."""
    case = await file_form(backend, "new_business")
    await backend.do(case, "sign", "marketing_manager")
    await backend.do(case, "refuse", "warehouse_manager", reason="no space")
    await case.result()
    return case


async def half_filled(backend: Backend, _: Cluster) -> Handle:
    """The last run of a form that continues as new between steps that fill fields."""
    filed_by, fields = FILED["statement"]
    case = await backend.rehearse("statement", {"filed_by": filed_by, "fields": fields}, continue_after=30)
    signers = ("agent", "finance", "agent", "agent", "agent")
    for role in signers:
        await backend.do(case, "sign", role)
    await backend.do(case, "sign", "finance", fields={"invoice_number": "INV-1"})
    for number in range(6):
        await backend.do(case, "note", text=f"note {number}")
    assert (await case.describe()).run_id != case.first_execution_run_id
    await backend.do(case, "sign", "finance", fields={"delivered_on": f"{MORNING:%Y-%m-%d}"})
    return case


# --- quality complaints ---------------------------------------------------------------------------


async def carried_out(backend: Backend, _: Cluster) -> Handle:
    """QA is late; the return is filed, the customer accepts, and QA says why it was late."""
    case = await file_quality(backend)
    await go_round(backend, case, WAY[:2])
    await backend.wait(case, 5 * DAY)
    back = {"text": "as judged", "established": True, "disposal": "return", "quantity": "40"}
    await go_round(backend, case, WAY[2:], back)
    await backend.do(case, "execute", "business", unit_price="3.333")
    await happened(backend, case, "opening_done")
    await backend.do(case, "customer_answer", "business", accepted=True)
    await backend.do(case, "answer_slip", "qa_manager", step="qa", cause="two were ill")
    await case.result()
    return case


async def objected(backend: Backend, _: Cluster) -> Handle:
    """Without ground; the customer objects, and a petition is filed."""
    case = await file_quality(backend)
    nothing = {"text": "it was dropped", "established": False, "disposal": "none"}
    await go_round(backend, case, opinion=nothing)
    await backend.do(case, "customer_answer", "business", accepted=False)
    await case.result()
    return case


async def on_its_way(backend: Backend, casebook: Cluster) -> Handle:
    """Verified anew, accepted while the casebook is away, so the number comes later; then it waits for an opinion."""
    case = await file_quality(backend)
    await backend.do(case, "send_back", "gm_office", reason="how many are defective?")
    await backend.do(case, "verify", "business", defective_quantity="41")
    await backend.recorded(case)
    casebook.stop("immediate")
    await backend.do(case, "accept", "gm_office")
    await backend.wait(case, timedelta(minutes=5))
    casebook.start()
    await backend.wait(case, timedelta(minutes=1))
    await happened(backend, case, "numbered")
    await go_round(backend, case, WAY[1:9])
    await backend.recorded(case)
    return case


LIVES = {
    "form": (signed_twice, sealed, away_from_work, not_signed, half_filled),
    "quality": (carried_out, objected, on_its_way),
}
