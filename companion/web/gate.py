"""What every request passes before FastAPI sees it: Host, token, size."""

import ipaddress
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from companion.web.errors import error_response
from companion.web.tokens import SCOPES, TokenBook, TokenScope

_ACTS: Final = re.compile(r"/devices/[^/]+/(?:say|do)")
_UPDATES: Final = "/updates"
_UPDATE_BYTES_MAX: Final = 4 << 20
"""A whole firmware in base64, from whoever may do everything."""
_READS: Final = re.compile(r"/devices/[^/]+/explain")


def needed_scope(method: str, path: str) -> TokenScope:
    """The least that a token must be good for. What is not known here wants the most."""
    if path == "/tokens" or path.startswith("/tokens/"):
        return "admin"
    if method in ("GET", "HEAD") or (method == "POST" and _READS.fullmatch(path)):
        return "read"
    if method == "POST" and _ACTS.fullmatch(path):
        return "act"
    return "admin"


class Gate:
    """``request_bytes`` is asked at each request: it may change while the companion runs."""

    def __init__(
        self, app: ASGIApp, tokens: TokenBook, host: str, request_bytes: Callable[[], int]
    ) -> None:
        self._app = app
        self._tokens = tokens
        # Served on loopback, only requests that name loopback are meant for it: a page whose
        # name was rebound to 127.0.0.1 still says its own name (DNS rebinding).
        self._check_host = _is_loopback(host)
        self._request_bytes = request_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        bytes_max = self._request_bytes()
        if scope["path"] == _UPDATES:
            bytes_max = max(bytes_max, _UPDATE_BYTES_MAX)
        refusal = await self._refusal(scope["method"], scope["path"], headers, bytes_max)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > bytes_max:
                # A body without Content-Length shows its size only as it comes: end it here.
                return {"type": "http.request", "body": b"", "more_body": False}
            return message

        async def answer(message: Message) -> None:
            # What the application makes of half a body is not what went wrong.
            if size <= bytes_max:
                await send(message)

        await self._app(scope, bounded, answer)
        if size > bytes_max:
            await _too_big(bytes_max)(scope, receive, send)

    async def _refusal(
        self, method: str, path: str, headers: dict[bytes, bytes], bytes_max: int
    ) -> JSONResponse | None:
        if self._check_host and not _names_loopback(headers.get(b"host", b"")):
            return error_response(421, "bad_host", "this server answers to localhost only")
        if path != "/healthz":
            grant = await self._tokens.grant(headers.get(b"authorization", b""))
            if grant is None:
                return _unauthorized()
            wanted = needed_scope(method, path)
            if SCOPES.index(grant.scope) < SCOPES.index(wanted):
                msg = f"the token {grant.name!r} is good for '{grant.scope}'; this wants '{wanted}'"
                return error_response(403, "forbidden", msg)
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > bytes_max:
            return _too_big(bytes_max)
        return None


def _unauthorized() -> JSONResponse:
    msg = (
        "a header 'Authorization: Bearer <token>' is needed; the token is in run.json, "
        "or one made by `ganglion token add`"
    )
    response = error_response(401, "unauthorized", msg)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _too_big(bytes_max: int) -> JSONResponse:
    return error_response(413, "too_big", f"the body is over {bytes_max} bytes")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names_loopback(header: bytes) -> bool:
    try:
        name = urlsplit(f"//{header.decode('latin-1')}").hostname
    except ValueError:
        return False
    return name is not None and _is_loopback(name)
