"""Anthropic's Messages API, through the ``anthropic`` SDK.

The SDK is imported when the first such backend is made, not before: a companion without one must
not pay for it.
"""

import asyncio
import contextlib
import ipaddress
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

from companion.backends import anthropic_shape as shape
from companion.backends import completion, prompt
from companion.backends.base import Answer, BackendError, Card, Request
from companion.backends.fit import fit, fits
from companion.backends.retryafter import seconds_of
from companion.backends.stream import Events

if TYPE_CHECKING:
    import anthropic

log = logging.getLogger(__name__)

URL: Final = "https://api.anthropic.com"
CONNECT_S: Final = 5.0
KEEPALIVE_S: Final = 300.0
"""Idle connections stay this long: a TLS handshake costs more than a small model's answer."""
BODY_BYTES_MAX: Final = 1024 * 1024
_OURS: Final = frozenset({"model", "max_tokens", "system", "messages", "tools", "stream"})


class AnthropicBackend:
    """One model of Anthropic's, or of who speaks the same. ``answer`` raises BackendError with
    one of the codes ``auth``, ``not_found``, ``rate_limit``, ``bad_request``, ``server``,
    ``connection``, ``timeout``, ``bad_response``, ``refused``."""

    def __init__(
        self,
        card: Card,
        *,
        key: str,
        url: str | None = None,
        timeout_s: float = 60.0,
        extra: Mapping[str, Any] | None = None,
        stream: bool = False,
    ) -> None:
        """``url``: up to, not including, ``/v1/messages``; None: Anthropic's own. ``extra``:
        further fields of the request's body, as ``{"temperature": 0}``; ``max_tokens`` among them
        becomes the card's, and what the request is made of is left out."""
        import anthropic
        import httpx2

        # At its debug level the SDK logs requests whole, and with them what people said.
        logging.getLogger("anthropic").setLevel(logging.INFO)
        self._sdk = anthropic
        self._http = httpx2
        self._timeout_s = timeout_s
        extra = dict(extra or {})
        bound = extra.get("max_tokens")
        self.card = replace(card, output_tokens=bound) if isinstance(bound, int) else card
        self._extra = {k: v for k, v in extra.items() if k not in _OURS}
        self._stream = stream
        self._key = key
        self._url = url or URL
        self._connections = httpx2.AsyncClient(
            # HTTP/2 is agreed on in the TLS handshake.
            http2=self._url.startswith("https:"),
            limits=httpx2.Limits(
                max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEEPALIVE_S
            ),
            # The SDK's own client would follow, and take the key along.
            follow_redirects=False,
            # A proxy of the environment is honoured, but never on the way to this very machine.
            trust_env=not _on_loopback(self._url),
        )
        self._client = anthropic.AsyncAnthropic(
            api_key=key,
            base_url=self._url,
            # The router has one deadline for all attempts.
            max_retries=0,
            http_client=self._connections,
        )

    def __repr__(self) -> str:
        return f"AnthropicBackend({self.card.name!r}, model={self.card.model!r})"

    async def answer(self, request: Request) -> Answer:
        began = time.monotonic()
        left_s = min(request.deadline - began, self._timeout_s)
        if left_s <= 0:
            raise BackendError("timeout", "there was no time left")
        body, sent = self._body(request)
        try:
            # The client's time-outs are of a single read; an answer may come in drips.
            async with asyncio.timeout(left_s):
                message, first_s = await self._post(body, left_s)
        except TimeoutError:
            raise BackendError("timeout", f"no answer within {left_s:.1f} s") from None
        answer = shape.read(message, request.tools, sent)
        return replace(answer, first_ms=None if first_s is None else round((first_s - began) * 1e3))

    async def warm(self) -> None:
        """Open a connection before the first request wants one. Never raises."""
        with contextlib.suppress(self._http.HTTPError):
            await self._connections.head(self._url, timeout=CONNECT_S)

    async def aclose(self) -> None:
        await self._client.close()

    def _body(self, request: Request) -> tuple[dict[str, Any], completion.Sent]:
        card = self.card
        # As the router measured it when it reserved: what is settled is never more.
        size = prompt.measure(request)
        if card.context_tokens:
            budget_tokens = card.context_tokens - card.output_tokens
            if not fits(size, budget_tokens):
                request = fit(request, budget_tokens)
                size = prompt.measure(request)
        messages, tools = prompt.messages(request), prompt.tools(request.tools)
        body = shape.body(messages, tools, card.model, card.output_tokens)
        return body, completion.Sent(size, card.output_tokens, card.model)

    async def _post(
        self, body: dict[str, Any], left_s: float
    ) -> tuple[dict[str, Any], float | None]:
        """The message, and when it began (monotonic seconds) if it was streamed."""
        timeout = self._http.Timeout(left_s, connect=min(CONNECT_S, left_s))
        try:
            # Streaming the response gives the raw body, whatever its type, and bounds it.
            async with self._client.messages.with_streaming_response.create(
                **body, stream=self._stream, extra_body=self._extra, timeout=timeout
            ) as response:
                if self._stream:
                    return await _assembled(response)
                return shape.parse(await _whole(response)), None
        except self._sdk.APIError as error:
            self._raise(error, left_s)
        except self._http.TimeoutException:
            raise BackendError("timeout", f"no answer within {left_s:.1f} s") from None
        except self._http.HTTPError as error:
            log.info("%s: %s", self.card.name, type(error).__name__)
            raise BackendError("connection", "the connection was cut") from None

    def _raise(self, error: "anthropic.APIError", left_s: float) -> NoReturn:
        """From None each time: the SDK's errors carry the request, and its headers the key."""
        if isinstance(error, self._sdk.APITimeoutError):
            raise BackendError("timeout", f"no answer within {left_s:.1f} s") from None
        if isinstance(error, self._sdk.APIStatusError):
            self._log_detail(error)
            code, msg = completion.by_status(error.status_code)
            raise BackendError(
                code,
                f"{msg} ({error.status_code})",
                seconds_of(error.response.headers.get("retry-after")),
            ) from None
        if isinstance(error, self._sdk.APIConnectionError):
            raise BackendError("connection", "it cannot be reached") from None
        raise BackendError("bad_response", "its answer makes no sense to the SDK") from None

    def _log_detail(self, error: "anthropic.APIStatusError") -> None:
        # What the upstream says helps whoever set it up. Some echo the key: not then.
        body = error.body
        said = body.get("error") if isinstance(body, dict) else None
        text = str(said.get("message", "")) if isinstance(said, dict) else ""
        if text and error.status_code not in (401, 403) and self._key not in text:
            log.info("%s answered %d: %.200s", self.card.name, error.status_code, text)


async def _whole(response: Any) -> bytes:
    chunks, size = [], 0
    async for chunk in response.iter_bytes():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise BackendError("bad_response", "its answer is over 1 MiB")
        chunks.append(chunk)
    return b"".join(chunks)


async def _assembled(response: Any) -> tuple[dict[str, Any], float | None]:
    events, assembly, first_s, size = Events(), shape.Assembly(), None, 0
    async for chunk in response.iter_bytes():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise BackendError("bad_response", "its answer is over 1 MiB")
        for data in events.feed(chunk):
            assembly.add(data)
        if first_s is None and assembly.begun:
            first_s = time.monotonic()
        if assembly.ended:
            break
    return assembly.message(), first_s


def _on_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
