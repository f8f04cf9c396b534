"""The HTTP application: the API, the acknowledge link, health, and the console beside them."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from fastapi.responses import JSONResponse, RedirectResponse
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.service import RPCError

from activities.casebook.errors import WAITING
from activities.casebook.restored import Restored
from activities.database.errors import DatabaseAway, StatementFailed
from cases.vocabulary.contract import TASK_QUEUE
from starter.api import acknowledge, erasures, files, guards, messages, payouts, problems, routes
from starter.api.services import Services
from starter.api.shapes import describe
from starter.console import mount
from starter.forms import Forms

# Seconds that a check of readiness waits for each part.
CHECK = 3


def create_app(services: Services) -> FastAPI:
    """Return the application on these services, which stay the caller's to close."""
    app = bare_app(services.forms)
    app.state.services = services
    problems.install(app)
    app.include_router(acknowledge.router)
    app.include_router(payouts.router)
    _add_health(app, services)
    _add_console(app, services)
    guards.install(app, services.settings, local_only=services.issuer is not None)
    return app


def bare_app(forms: Forms) -> FastAPI:
    """Return the operations alone, enough to tell what they are.

    Args:
        forms: what may be filed beside the kinds that this build knows.
    """
    app = FastAPI(
        title="caseladder",
        version="1",
        # The pages that FastAPI offers load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        # A slash at the end of a case's id is part of it.
        redirect_slashes=False,
    )
    # Before the routes of cases, whose ids may hold what looks like the rest of these paths.
    app.include_router(files.router, prefix="/api/v1")
    app.include_router(routes.router, prefix="/api/v1")
    app.include_router(erasures.router, prefix="/api/v1")
    app.include_router(messages.router, prefix="/api/v1")
    # Last, since any name of a kind stands where others stand too.
    app.include_router(routes.filing(forms), prefix="/api/v1")
    describe(app, forms)
    return app


def _add_console(app: FastAPI, services: Services) -> None:
    @app.get("/", include_in_schema=False)
    @app.get("/console", include_in_schema=False)
    async def home() -> RedirectResponse:
        return RedirectResponse("/console/")

    mount(app, services)


def _add_health(app: FastAPI, services: Services) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def alive() -> JSONResponse:
        """Say that this process runs."""
        return JSONResponse({"status": "alive"})

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> JSONResponse:
        """Whether what it needs is there: the database, Temporal, and a worker that polls."""
        database, (temporal, worker) = await asyncio.gather(_database(services), _engine(services))
        parts = {"database": database[0], "temporal": temporal, "worker": worker}
        good = all(state == "ok" for state in parts.values())
        # Requests are answered all the same.
        waiting = {"recovering": database[1]} if database[1] else {}
        return JSONResponse({"status": "ready" if good else "not ready", **parts, **waiting}, 200 if good else 503)


async def _database(services: Services) -> tuple[str, str]:
    """Return the state of the database, and what waits until it is recovered."""
    try:
        async with asyncio.timeout(CHECK):
            await services.feed.head()
            since = await Restored(services.database).since()
    except (DatabaseAway, StatementFailed) as error:
        return error.message, ""
    except TimeoutError:
        return "the database does not answer", ""
    return "ok", "" if since is None else f"since {since.isoformat(timespec='seconds')} {WAITING}"


async def _engine(services: Services) -> tuple[str, str]:
    """Return the state of Temporal, and of the workers, which only Temporal knows."""
    client = services.temporal
    try:
        async with asyncio.timeout(CHECK):
            found = await client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=client.namespace,
                    task_queue=TaskQueue(name=TASK_QUEUE),
                    task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
                )
            )
    except (RPCError, RuntimeError, TimeoutError) as error:
        reason = error.status.name if isinstance(error, RPCError) else "it does not answer"
        return f"the Temporal server does not serve ({reason})", "unknown"
    # A poller that has not been heard of for a minute is gone; one that polls is heard of as often.
    recent = [poller for poller in found.pollers if _age(poller.last_access_time.seconds) < 70]
    return "ok", "ok" if recent else "no worker polls"


def _age(seconds: int) -> float:
    from time import time

    return time() - seconds
