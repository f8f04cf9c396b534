"""The operations of the API with the contents of attachments."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile
from starlette.responses import Response

from cases.vocabulary.refusals import Refused
from cases.vocabulary.views import CaseView
from starter.access import may_read_texts
from starter.api import actions, attachments, shapes, texts
from starter.api.guards import MULTIPART
from starter.api.routes import CallerOf, CaseId, Key, ServicesOf

router = APIRouter(default_response_class=JSONResponse)
_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            MULTIPART: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
                }
            }
        },
    }
}
FileId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="as its event says after `attachment:`")]


@router.post(
    "/cases/{case_id:case}/files",
    tags=["commands"],
    operation_id="upload_file",
    responses={200: {"model": CaseView | shapes.Receipt}, **shapes.problems(404, 409, 413, 415)},
    openapi_extra=_FILE,
)
async def upload_file(
    request: Request, services: ServicesOf, caller: CallerOf, case_id: CaseId, key: Key = None
) -> Response:
    """Upload a file and attach it to a case, as the part `file` of a form.

    Its SHA-256 stands in the record, the content in the store that CASELADDER_ATTACHMENTS names. With an
    Idempotency-Key a repeat of the same file is harmless.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MULTIPART:
        raise Refused("unsupported_media_type", f"Content-Type: allowed is {MULTIPART}")
    async with attachments.form_of(request) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Refused("malformed", "file: one file is needed")
        view = await attachments.upload(services, caller, case_id, file, key)
    return JSONResponse(await texts.shown_one(services, caller, view))


@router.get(
    "/cases/{case_id:case}/files",
    tags=["reading"],
    operation_id="list_files",
    responses={200: {"model": shapes.Files}, **shapes.problems(404)},
)
async def files(services: ServicesOf, caller: CallerOf, case_id: CaseId) -> Response:
    """Return what is attached to a case, the last first; nothing for who may not read what was written in it."""
    view = await actions.find(services, caller, case_id)
    found = attachments.listed(await actions.events(services, caller, view)) if may_read_texts(caller, view) else []
    return JSONResponse({"files": [one.as_json() for one in found]})


@router.get(
    "/cases/{case_id:case}/files/{file}",
    tags=["reading"],
    operation_id="download_file",
    response_class=Response,
    responses={
        200: {"content": {attachments.MEDIA: {"schema": {"type": "string", "format": "binary"}}}},
        **shapes.problems(404, 409),
    },
)
async def file(services: ServicesOf, caller: CallerOf, case_id: CaseId, file: FileId) -> Response:
    """Return the content of an attachment, to be kept and not opened in place. The look is recorded."""
    return download(await attachments.given(services, caller, case_id, file))


def download(found: attachments.Found) -> Response:
    """Return an attachment as an answer that no browser opens by itself; its name may hold any letters."""
    headers = {
        **attachments.HEADERS,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
    }
    return Response(found.content, media_type=found.media, headers=headers)
