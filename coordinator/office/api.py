"""The office's HTTP interface: what a running firm does, and commands to it. Shapes of answers: docs/live.md."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Body, Depends, FastAPI, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, Response
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException

from coordinator.live.running_firm import RunningFirm
from coordinator.office import bodies
from coordinator.office.answers import WAIT, Json, answer, carried, known, refusal
from coordinator.office.guard import Guard
from coordinator.office.products import Limit, Since, approvals_of, figures_of, lines_of
from coordinator.office.recent import Recent
from coordinator.office.records import network_of, policies_of
from coordinator.office.uploads import NAME, keep_upload, where_uploaded
from coordinator.office.weigh import weigh

Zip = Annotated[bytes, Body(media_type="application/zip", description="A run folder as a zip.")]
CommandId = Annotated[str, PathParameter(pattern=bodies.ID, description="Of the command to be withdrawn.")]
UploadName = Annotated[str, Query(pattern=f"^{NAME}$", description="For people, such as the run's.")]
_PAGE = Path(__file__).parent / "page"
_CANARY_WAIT = 3.0  # s; a canary takes its periods
_REFUSALS = {
    400: "The request cannot be read.",
    401: "The token is missing or another.",
    404: "No such department.",
    409: "The firm refuses: one line says why.",
    413: "The request is too large.",
    422: "The request is not as it must be: one line says why.",
    503: "The firm does not answer.",
}
_COMMAND: dict[int | str, Json] = {
    status: {"model": bodies.Refusal, "description": told} for status, told in _REFUSALS.items()
}
_UNDER_WAY: dict[int | str, Json] = {
    202: {"model": bodies.Answer, "description": "Under way: ask again with the same id, or read the events."}
}
_LOOK: dict[int | str, Json] = {status: _COMMAND[status] for status in (404, 409, 422, 503)}


def office(firm: RunningFirm, token: str, hosts: frozenset[str] | None) -> FastAPI:
    """The application of one firm's office.

    Args:
        firm: the running firm.
        token: that whoever changes something must show.
        hosts: names that it answers to; None: any.
    """
    app = FastAPI(
        title=f"Office of {firm.name}",
        version="1",
        description="What a running firm does, and commands to it.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.add_middleware(Recent)
    app.add_middleware(Guard, token=token, hosts=hosts)
    app.add_exception_handler(AnyHTTPException, _plain)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(ValueError, lambda _, error: refusal(409, str(error)))
    app.add_exception_handler(RuntimeError, lambda _, error: refusal(503, str(error)))
    shown = HTTPBearer(auto_error=False, description="Of `office.token` in the firm's folder; the guard looks at it.")
    for looks in (_looks, figures_of, lines_of):
        app.include_router(looks(firm), prefix="/api", responses=_LOOK)
    for commands in (_commands, approvals_of):
        responses = _COMMAND | _UNDER_WAY
        app.include_router(commands(firm), prefix="/api", responses=responses, dependencies=[Depends(shown)])
    app.include_router(_deliveries(firm), prefix="/api", responses=_COMMAND, dependencies=[Depends(shown)])
    app.mount("/page", StaticFiles(directory=_PAGE))

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return FileResponse(_PAGE / "office.html", media_type="text/html")

    written = app.openapi
    app.openapi = lambda: _with_head(written())  # type: ignore[method-assign]
    return app


def _with_head(schema: Json) -> Json:
    """The description of the interface with HEAD where GET is: the guard answers it, without a body."""
    for path in schema["paths"].values():
        if (get := path.get("get")) is not None:
            answers = {status: {"description": told["description"]} for status, told in get["responses"].items()}
            path["head"] = get | {"operationId": f"{get['operationId']}_head", "responses": answers}
    return schema


def _looks(firm: RunningFirm) -> APIRouter:
    router = APIRouter(tags=["look"])

    @router.get("/status", response_model=Json)
    def status() -> Response:
        """How the firm does, without its departments."""
        return answer({key: value for key, value in firm.metrics().items() if key != "departments"})

    @router.get("/network", response_model=Json)
    def shape() -> Response:
        """Stock points, products, order limits, and who supplies whom."""
        return answer(network_of(firm.structure()))

    @router.get("/departments", response_model=Json)
    def departments() -> Response:
        """Figures of all departments."""
        return answer(firm.metrics()["departments"])

    @router.get("/departments/{department:path}/policies", response_model=list[Json])
    def policies(department: str) -> Response:
        """Every policy that a department has followed, oldest first: whence, by whom, why, its base-stock level."""
        return answer(policies_of(firm.folder, known(firm, department), firm.layout.products))

    @router.get("/departments/{department:path}", response_model=Json)
    def department(department: str) -> Response:
        """Figures of one department."""
        return answer(firm.metrics()["departments"][known(firm, department)])

    @router.get("/events", response_model=list[Json])
    def events(since: Since = 0, limit: Limit = 1000) -> Response:
        """Swaps, overrides, restarts and so on, from number `since` on."""
        return answer(firm.events(since, limit))

    return router


def _commands(firm: RunningFirm) -> APIRouter:
    router = APIRouter(tags=["change"])

    def tagged(asked: bodies.Asked) -> Json:
        return asked.tagged() | {"wait": WAIT}

    @router.post("/departments/{department:path}/swap", response_model=bodies.Answer)
    def swap(department: str, body: bodies.Swap) -> Response:
        """Let a department follow another policy, after it was examined."""
        given = {"canary": body.canary, "tolerance": body.tolerance, "undecided": body.undecided, **tagged(body)}
        given["wait"] = _CANARY_WAIT if body.canary else WAIT
        return carried(firm.swap(known(firm, department), where_uploaded(firm.folder, body.policy), **given))

    @router.post("/departments/{department:path}/rollback", response_model=bodies.Answer)
    def rollback(department: str, body: bodies.Asked) -> Response:
        """Let a department follow again what it followed before."""
        return carried(firm.rollback(known(firm, department), **tagged(body)))

    @router.post("/departments/{department:path}/override", response_model=bodies.Answer)
    def override(department: str, body: bodies.Order | bodies.Exposure) -> Response:
        """Give a stock point's order, or what is recommended, for some periods."""
        given = body.order if isinstance(body, bodies.Order) else body.exposure
        return carried(firm.override(known(firm, department), given, body.periods, **tagged(body)))

    @router.post("/departments/{department:path}/pause", response_model=bodies.Answer)
    def pause(department: str, body: bodies.Asked) -> Response:
        """Let the benchmark's rule decide for a department."""
        return carried(firm.pause(known(firm, department), **tagged(body)))

    @router.post("/departments/{department:path}/resume", response_model=bodies.Answer)
    def resume(department: str, body: bodies.Asked) -> Response:
        """Let a department decide by itself again."""
        return carried(firm.resume(known(firm, department), **tagged(body)))

    @router.post("/commands/{command}/cancel", response_model=bodies.Answer)
    def cancel(command: CommandId, body: bodies.Asked) -> Response:
        """Withdraw a command that is under way, such as the swap of a canary."""
        return carried(firm.cancel(command, **tagged(body)))

    @router.post("/stop", response_model=bodies.Answer)
    def stop(body: bodies.Asked) -> Response:
        """Stop the firm after the tick at hand; the office closes with it."""
        return carried(firm.stop(**tagged(body)))

    return router


def _deliveries(firm: RunningFirm) -> APIRouter:
    router, one_at_a_time = APIRouter(tags=["change"]), threading.Lock()

    @router.post("/token", response_model=bodies.Right)
    def token() -> Response:
        """Whether the token is right; nothing else happens."""
        return answer({"token": "right"})

    @router.post("/policies", response_model=bodies.Uploaded)
    def upload(content: Zip, name: UploadName = "upload") -> Response:
        """Keep a run folder; what comes back can be swapped in as a policy, by then with `@VERSION` behind it."""
        return answer({"policy": keep_upload(firm.folder, name, content, weigh)})

    @router.post("/observations", response_model=bodies.Delivered)
    def deliver(body: bodies.Observations) -> Response:
        """Hand over one period's observations, to a firm that is fed."""
        with one_at_a_time:  # a period's two files are of one delivery
            return answer(firm.deliver(body.period, body.observations, body.traffic))

    return router


def _plain(_: Request, error: Exception) -> Response:
    known = error if isinstance(error, AnyHTTPException) else AnyHTTPException(500)
    return refusal(known.status_code, str(known.detail), dict(known.headers or {}))


def _malformed(_: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return refusal(
        422, f"{ascii(where)[1:-1][:80] or 'the body'}: {first['msg']}, got {ascii(first.get('input'))[:80]}"
    )
