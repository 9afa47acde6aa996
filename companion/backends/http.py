"""One tuned HTTP client a backend: a body is posted, a status, headers and chunks come back.

Plain ``http://`` goes through aiohttp: 0.06 ms of CPU a request, where httpx2 takes 0.35 and the
SDK on top of it 1.4 on loopback. ``https://`` goes through httpx2, which speaks HTTP/2
where the server offers it by ALPN; so does what a proxy of the environment stands before.

Nothing that a server may have seen is tried twice: that is the router's to do. No redirect is
followed: a server in the house could otherwise send a private ask out of it.
"""

import asyncio
import contextlib
import logging
import socket
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from companion.backends.base import BackendError

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

CONNECT_S: Final = 5.0
KEEPALIVE_S: Final = 300.0
"""Idle connections stay this long: a TLS handshake costs more than a small model's answer."""
CONNECTIONS_MAX: Final = 100
BODY_BYTES_MAX: Final = 1024 * 1024
_DRAIN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Reply:
    """``headers`` are found whatever their case. ``chunks`` is the body as it comes; it can be
    read once, and only inside ``post``, which turns what it raises into BackendError."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Client(Protocol):
    """Posts to one URL."""

    def post(self, body: bytes, timeout_s: float) -> AbstractAsyncContextManager[Reply]:
        """``async with client.post(…) as reply``. Raises BackendError ``connection``, or
        ``timeout`` once ``timeout_s`` are over, wherever the exchange is by then."""
        ...

    async def warm(self) -> None:
        """Have a connection open for the first request. Never raises."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def client(url: str, headers: Mapping[str, str], *, local: bool) -> Client:
    """The client for ``url``; each request has ``headers``, and their values are in no log, error
    or repr. With ``local`` the proxies of the environment are left aside: nothing leaves the
    house. Raises ValueError for what is no HTTP URL."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a url begins with http:// or https:// and names a host")
    if parts.scheme == "http" and (local or not _proxied(parts.hostname)):
        return _Plain(url, headers)
    return _Secure(url, headers, local)


async def whole(reply: Reply) -> bytes:
    """All of a body. Raises BackendError when it is over ``BODY_BYTES_MAX``."""
    pieces, size = [], 0
    async for piece in reply.chunks:
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise BackendError("bad_response", "its answer is over 1 MiB")
        pieces.append(piece)
    return b"".join(pieces)


async def drain(reply: Reply) -> None:
    """Read what is left of a body that is of no interest: only then can its connection be used
    again. Where the end does not come at once, or not at all, the connection is given up."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in reply.chunks:
                pass


def _proxied(host: str) -> bool:
    proxies = urllib.request.getproxies()
    if not ("http" in proxies or "all" in proxies):
        return False
    return not urllib.request.proxy_bypass(host)


class _Plain:
    """HTTP/1.1 without TLS, through aiohttp, which sets NODELAY by itself."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        import aiohttp

        self._aiohttp = aiohttp
        self._url = url
        self._headers = dict(headers)
        self._once = False
        """Each connection serves one request."""
        self._kept: dict[bool, aiohttp.ClientSession] = {}

    @property
    def _session(self) -> Any:
        # Made with the first request: only then is there surely a loop.
        once = self._once
        if once not in self._kept:
            aiohttp = self._aiohttp
            self._kept[once] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=CONNECTIONS_MAX,
                    force_close=once,
                    keepalive_timeout=None if once else KEEPALIVE_S,
                    resolver=aiohttp.ThreadedResolver(),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_S),
                # Not trust_env: it would read ~/.netrc for each request.
            )
        return self._kept[once]

    @contextlib.asynccontextmanager
    async def post(self, body: bytes, timeout_s: float) -> AsyncIterator[Reply]:
        aiohttp = self._aiohttp
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.post(
                    self._url, data=body, headers=self._headers, allow_redirects=False
                ) as response,
            ):
                self._once = self._once or _closes_unsaid(response.headers)
                yield Reply(response.status, response.headers, response.content.iter_any())
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise _unreachable(self._url, error) from None
        except TimeoutError:
            raise _too_late(timeout_s) from None
        except aiohttp.ClientError as error:
            raise _cut(self._url, error) from None

    async def warm(self) -> None:
        with contextlib.suppress(self._aiohttp.ClientError, TimeoutError):
            async with (
                asyncio.timeout(CONNECT_S),
                self._session.head(self._url, allow_redirects=False),
            ):
                pass

    async def aclose(self) -> None:
        for session in self._kept.values():
            await session.close()


class _Secure:
    """HTTP/2 or 1.1 over TLS, through httpx2. asyncio and uvloop set NODELAY on every socket."""

    def __init__(self, url: str, headers: Mapping[str, str], local: bool) -> None:
        import httpx2

        # One writes each header that it compresses, the key among them; the other a line for each
        # request.
        for name in ("hpack", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._httpx2 = httpx2
        self._url = url
        self._headers = dict(headers)
        self._open = 0
        """Requests under way."""
        self._stream: Any = None
        """What the last response came over."""
        self._client = httpx2.AsyncClient(
            http2=True,
            # SSL_CERT_FILE and SSL_CERT_DIR hold for every server, proxies do not.
            verify=httpx2.create_ssl_context(),
            trust_env=not local,
            follow_redirects=False,
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            limits=httpx2.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX,
                keepalive_expiry=KEEPALIVE_S,
            ),
        )

    @contextlib.asynccontextmanager
    async def post(self, body: bytes, timeout_s: float) -> AsyncIterator[Reply]:
        httpx2 = self._httpx2
        self._open += 1
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._send(body)
                try:
                    yield Reply(response.status_code, response.headers, response.aiter_bytes())
                finally:
                    await response.aclose()
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise _unreachable(self._url, error) from None
        except TimeoutError:
            raise _too_late(timeout_s) from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise _cut(self._url, error) from None
        finally:
            self._open -= 1

    async def _send(self, body: bytes) -> "httpx2.Response":
        """httpx2 does not see that a server has closed an idle HTTP/2 connection, and fails with
        the next request (its issue 849). What was closed before it was sent was not served, so
        that one, and no other, is sent again."""
        ended = self._open == 1 and self._stream is not None and self._readable(self._stream)
        try:
            response = await self._send_once(body)
        except (self._httpx2.RemoteProtocolError, self._httpx2.ReadError, self._httpx2.WriteError):
            if not ended:
                raise
            response = await self._send_once(body)
        self._stream = response.extensions.get("network_stream")
        return response

    async def _send_once(self, body: bytes) -> "httpx2.Response":
        request = self._client.build_request("POST", self._url, content=body, headers=self._headers)
        return await self._client.send(request, stream=True)

    @staticmethod
    def _readable(stream: Any) -> bool:
        # Nobody has asked for anything: it is the connection's end, or a ping at most.
        return bool(stream.get_extra_info("is_readable"))

    async def warm(self) -> None:
        with contextlib.suppress(self._httpx2.HTTPError, TimeoutError):
            async with asyncio.timeout(CONNECT_S):
                await self._client.head(self._url)

    async def aclose(self) -> None:
        await self._client.aclose()


def _closes_unsaid(headers: Mapping[str, str]) -> bool:
    """llama.cpp's server closes after each stream and does not say so beforehand: what is sent
    at once over that connection is lost."""
    return (
        headers.get("server") == "llama.cpp"
        and headers.get("content-type", "").partition(";")[0] == "text/event-stream"
    )


def _unreachable(url: str, error: Exception) -> BackendError:
    _note(url, error)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        msg = "its certificate is of no CA that is known here (SSL_CERT_FILE can name one)"
        return BackendError("connection", msg, sent=False)
    return BackendError("connection", f"it cannot be reached{_why(error)}", sent=False)


def _why(error: BaseException | None) -> str:
    """What the system said, below what the libraries made of it."""
    while error is not None:
        if isinstance(error, socket.gaierror):
            return ": the name of its host is not known"
        if isinstance(error, ConnectionRefusedError):
            return ": nothing listens there"
        error = error.__cause__ or error.__context__
    return ""


def _cut(url: str, error: Exception) -> BackendError:
    _note(url, error)
    return BackendError("connection", "the connection was cut")


def _note(url: str, error: Exception) -> None:
    # The host and the type alone: a url can hold a key, and some errors hold the request.
    log.info("%s: %s", urllib.parse.urlsplit(url).hostname, type(error).__name__)


def _too_late(timeout_s: float) -> BackendError:
    return BackendError("timeout", f"no answer within {timeout_s:.1f} s")
