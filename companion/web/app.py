"""HTTP on loopback: who is there, say, do. Routes and shapes are in ``docs/architecture.md``."""

import asyncio
import logging
from typing import Annotated, Any, Literal, Protocol, TypeAlias

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp

from companion import wire
from companion.config import Config
from companion.dispatch import Dispatch, DispatchError
from companion.fleet import Credentials, Fleet
from companion.link import BrokerUrl, Link
from companion.ops.metrics import CONTENT_TYPE, Metrics
from companion.router import Router
from companion.router.explain import explained
from companion.settings import Settings
from companion.store import Store
from companion.turn import Turns
from companion.update import Updates
from companion.web import reports, settings_routes, token_routes, update_routes
from companion.web.errors import ApiError, error_response
from companion.web.gate import Gate
from companion.web.tokens import TokenBook

log = logging.getLogger(__name__)


class Service(Protocol):
    """What is served: ``app.Companion``, seen from below."""

    config: Config
    tokens: TokenBook
    metrics: Metrics
    broker: BrokerUrl
    link: Link
    fleet: Fleet
    router: Router
    turns: Turns
    dispatch: Dispatch
    updates: Updates
    settings: Settings
    store: Store | None
    credentials: Credentials | None

    def problems(self) -> list[str]:
        """What is wrong besides the broker, for an operator to act on."""
        ...


RequestPolicy: TypeAlias = Literal["auto", "cheapest", "fastest", "private", "best"]
"""What one request may ask for. ``order`` is the configuration's alone."""


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True)


class SayBody(_Body):
    """``POST /devices/{d}/say``"""

    text: wire.Text
    speaker: wire.Speaker = Field("", alias="from")
    policy: RequestPolicy | None = None


class DoBody(_Body):
    """``POST /devices/{d}/do``"""

    tool: wire.ToolName
    args: dict[str, Any] = {}


class DeviceBody(_Body):
    """``POST /devices``"""

    device: str
    renew: bool = False


class SenderBody(_Body):
    """``POST /senders``; empty lists: any device, any event"""

    sender: str
    devices: list[str] = []
    events: list[str] = []
    renew: bool = False


def create_app(companion: Service) -> ASGIApp:
    """The application. Every route but ``/healthz`` wants a token."""
    app = FastAPI(
        title="Ganglion companion",
        docs_url=None,
        redoc_url=None,
        # FastAPI's own, which variables of the environment could send elsewhere.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> JSONResponse:
        return error_response(error.status, error.code, error.msg)

    @app.exception_handler(DispatchError)
    async def dispatch_error(_: Request, error: DispatchError) -> JSONResponse:
        return error_response(error.status, error.code, error.msg)

    @app.exception_handler(RequestValidationError)
    async def bad_body(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return error_response(400, "bad_json", "the body is not valid JSON")
        if first["loc"] == ("body",):
            msg = "the body is a JSON object, sent with Content-Type: application/json"
            return error_response(422, "bad_message", msg)
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "the body"
        return error_response(422, "bad_message", f"{where}: {first['msg']}")

    @app.exception_handler(StarletteHTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "bad_method"}.get(error.status_code, "bad_request")
        return error_response(error.status_code, code, str(error.detail))

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        return error_response(500, "internal", "a fault of the companion; see its log")

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        broker = companion.link.connected.is_set()
        body: dict[str, Any] = {
            "ok": broker,
            "broker": broker,
            "backends": [b.card.name for b in companion.router.backends],
        }
        problems = [companion.link.problem] if not broker else []
        problems += companion.problems()
        if problems:
            body["problems"] = problems
        return JSONResponse(body, status_code=200 if broker else 503)

    @app.get("/devices")
    async def devices() -> JSONResponse:
        return JSONResponse([device.public() for device in companion.fleet])

    @app.post("/devices")
    async def add_device(body: DeviceBody) -> JSONResponse:
        if not wire.is_device(body.device):
            msg = "a device id has 1 to 32 of a-z, 0-9 and -, and is not 'all'"
            raise ApiError(422, "bad_device", msg)
        credentials = _logins("the device")
        # Off the loop: it hashes and writes files.
        known = await asyncio.to_thread(credentials.known, body.device)
        if known and not body.renew:
            msg = f"'{body.device}' is known; with \"renew\": true it gets a new secret"
            raise ApiError(409, "known", msg)
        try:
            secret = await asyncio.to_thread(credentials.add, body.device)
        except OSError as error:
            raise ApiError(500, "not_written", f"the login cannot be written: {error}") from None
        broker = {"host": companion.broker.host, "port": companion.broker.port}
        return JSONResponse({"device": body.device, "secret": secret, "broker": broker})

    @app.delete("/devices/{device}")
    async def remove_device(device: str) -> JSONResponse:
        credentials = _logins("devices")
        if not await asyncio.to_thread(credentials.known, device):
            raise ApiError(404, "not_found", f"'{device}' has no login")
        try:
            await asyncio.to_thread(credentials.remove, device)
        except OSError as error:
            raise ApiError(500, "not_written", f"the login cannot be written: {error}") from None
        return JSONResponse({"device": device})

    def _logins(whom: str) -> Credentials:
        if companion.credentials is None:
            msg = f"this companion does not manage the broker's logins; add {whom} there"
            raise ApiError(409, "no_credentials", msg)
        return companion.credentials

    @app.get("/senders")
    async def senders() -> JSONResponse:
        known = await asyncio.to_thread(_logins("senders").senders)
        return JSONResponse([{"sender": n, "topics": list(t)} for n, t in sorted(known.items())])

    @app.post("/senders")
    async def add_sender(body: SenderBody) -> JSONResponse:
        credentials = _logins("the sender")
        known = await asyncio.to_thread(credentials.senders)
        if body.sender in known and not body.renew:
            msg = f"'{body.sender}' is known; with \"renew\": true it gets a new secret"
            raise ApiError(409, "known", msg)
        try:
            user, secret = await asyncio.to_thread(
                credentials.add_sender, body.sender, body.devices, body.events
            )
        except ValueError as error:
            raise ApiError(422, "bad_sender", str(error)) from None
        except OSError as error:
            raise ApiError(500, "not_written", f"the login cannot be written: {error}") from None
        topics = (await asyncio.to_thread(credentials.senders)).get(body.sender, ())
        broker = {"host": companion.broker.host, "port": companion.broker.port}
        return JSONResponse(
            {"user": user, "secret": secret, "topics": list(topics), "broker": broker}
        )

    @app.delete("/senders/{sender}")
    async def remove_sender(sender: str) -> JSONResponse:
        credentials = _logins("senders")
        if sender not in await asyncio.to_thread(credentials.senders):
            raise ApiError(404, "not_found", f"there is no sender '{sender}'")
        await asyncio.to_thread(credentials.remove_sender, sender)
        return JSONResponse({"sender": sender})

    @app.post("/devices/{device}/say")
    async def say(device: str, body: SayBody) -> JSONResponse:
        turn = await companion.dispatch.say(device, body.text, body.speaker, body.policy)
        return JSONResponse(turn.public())

    @app.get("/devices/{device}/explain")
    async def explain(
        device: str,
        text: Annotated[str, Query(min_length=1, max_length=wire.TEXT_BYTES_MAX)],
        policy: RequestPolicy | None = None,
    ) -> JSONResponse:
        entry = companion.fleet.get(companion.dispatch.id_of(device))
        if entry is None:
            raise ApiError(404, "unknown_device", f"no device '{device}' has been heard of")
        signal, request = companion.turns.preview(entry, text, policy)
        router = companion.router
        room = await reports.room(companion, request)
        told = explained(signal, router.snapshot(), router.plan(signal), room)
        taken = router.takes(router.plan(signal), request)
        return JSONResponse({"device": entry.id, "text": text, **told, "taken_by": taken})

    @app.post("/devices/{device}/do")
    async def do(device: str, body: DoBody) -> JSONResponse:
        return JSONResponse(await companion.dispatch.do(device, body.tool, body.args))

    @app.get("/metrics")
    async def metrics() -> Response:
        await companion.metrics.look()
        # Off the loop: a scrape is milliseconds, and its first one imports the library.
        text = await asyncio.to_thread(companion.metrics.render)
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    app.include_router(token_routes.routes(companion))
    app.include_router(update_routes.routes(companion))
    app.include_router(settings_routes.routes(companion))
    app.include_router(reports.routes(companion))
    return Gate(
        app,
        companion.tokens,
        companion.config.http.host,
        lambda: companion.config.limits.request_bytes,
    )
