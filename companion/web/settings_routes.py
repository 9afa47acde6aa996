"""``/devices/{d}/settings``: another broker, authority or id for a device, and how it goes."""

import asyncio
import ssl
from typing import Protocol

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from companion.fleet import Credentials
from companion.settings import Order, Settings, SettingsError
from companion.web.errors import ApiError
from companion.web.update_routes import update_key


class SettingsBody(BaseModel):
    """``POST /devices/{d}/settings``. ``name``: another id; or ``host`` and ``port``; ``ca``: PEM
    of one certificate, "" for no TLS. ``key``: update key in hex, of a device whose login is not
    this companion's."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: str | None = None
    host: str | None = None
    port: int | None = None
    ca: str | None = None
    insecure: bool = False
    key: str = ""


class HasSettings(Protocol):
    """What the routes need of a companion."""

    @property
    def settings(self) -> Settings: ...

    @property
    def credentials(self) -> Credentials | None: ...


def routes(companion: HasSettings) -> APIRouter:
    """For ``create_app``."""
    router = APIRouter()

    @router.post("/devices/{device}/settings")
    async def start(device: str, body: SettingsBody) -> JSONResponse:
        order = Order(body.name, body.host, body.port, _der(body.ca), body.insecure)
        try:
            # First: of a device that nobody knows, that there is no key is not what is wrong.
            companion.settings.check(device, order)
            key = await asyncio.to_thread(update_key, device, body.key, companion.credentials)
            return JSONResponse(await companion.settings.start(device, order, key))
        except SettingsError as error:
            raise ApiError(error.status, error.code, error.msg) from None

    @router.get("/devices/{device}/settings")
    async def progress(device: str) -> JSONResponse:
        try:
            return JSONResponse(companion.settings.change(device))
        except SettingsError as error:
            raise ApiError(error.status, error.code, error.msg) from None

    return router


def _der(pem: str | None) -> bytes | None:
    if not pem:
        return None if pem is None else b""
    try:
        der = ssl.PEM_cert_to_DER_cert(pem)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except (ValueError, ssl.SSLError) as error:
        msg = f"ca is no PEM of one certificate: {error}"
        raise ApiError(422, "bad_message", msg) from None
    return der
