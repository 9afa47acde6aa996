"""``/updates``: hand a firmware over for some devices, and see how far they are."""

import asyncio
import base64
import binascii
from typing import Protocol

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from companion.fleet import Credentials
from companion.settings import Settings
from companion.update import UpdateError, Updates, read_package
from companion.web.errors import ApiError


class UpdateBody(BaseModel):
    """``POST /updates``. ``files``: path → base64. ``keys``: device → update key in hex, of
    devices whose logins are not this companion's."""

    model_config = ConfigDict(strict=True, extra="forbid")

    devices: list[str]
    manifest: str
    files: dict[str, str]
    older: bool = False
    keys: dict[str, str] = {}


class HasUpdates(Protocol):
    """What the routes need of a companion."""

    @property
    def updates(self) -> Updates: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def credentials(self) -> Credentials | None: ...


def routes(companion: HasUpdates) -> APIRouter:
    """For ``create_app``."""
    router = APIRouter()

    @router.post("/updates")
    async def start(body: UpdateBody) -> JSONResponse:
        if not body.devices:
            raise ApiError(422, "bad_message", "devices: at least one")
        try:
            # First: of a device that nobody knows, that there is no key is not what is wrong.
            companion.updates.check(body.devices)
            keys = await asyncio.to_thread(_keys, body, companion.credentials)
            files = {
                path: base64.b64decode(text, validate=True) for path, text in body.files.items()
            }
            for device in body.devices:
                if companion.settings.runs(device):
                    raise ApiError(409, "busy", f"other settings of '{device}' are being tried")
            package = await asyncio.to_thread(read_package, body.manifest.encode(), files)
            return JSONResponse({"id": companion.updates.start(package, keys, older=body.older)})
        except binascii.Error as error:
            raise ApiError(422, "bad_message", f"files: {error}") from None
        except UpdateError as error:
            raise ApiError(error.status, error.code, error.msg) from None

    @router.get("/updates/{job}")
    async def progress(job: str) -> JSONResponse:
        try:
            return JSONResponse(companion.updates.job(job))
        except UpdateError as error:
            raise ApiError(error.status, error.code, error.msg) from None

    return router


def _keys(body: UpdateBody, credentials: Credentials | None) -> dict[str, bytes]:
    return {d: update_key(d, body.keys.get(d, ""), credentials) for d in body.devices}


def update_key(device: str, given: str, credentials: Credentials | None) -> bytes:
    """What signs for ``device``: ours, else the one ``given`` in hex. Raises ApiError."""
    key = None if credentials is None else credentials.update_key(device)
    if key is None:
        try:
            key = bytes.fromhex(given)
        except ValueError:
            key = b""
    if len(key) != 32:
        msg = (
            f"there is no key for updates of '{device}': it was registered elsewhere, or "
            "before updates were known. Register it again with a new secret (--renew)"
        )
        raise ApiError(409, "no_key", msg)
    return key
