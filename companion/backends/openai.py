"""Any server that speaks OpenAI's chat completions, through the ``openai`` SDK.

The SDK is imported when the first such backend is made, not before: it costs 15 MB and 0.3 s
that a companion without models must not pay.
"""

import email.utils
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from companion.backends import completion, prompt
from companion.backends.base import Answer, BackendError, Card, Request

if TYPE_CHECKING:
    import openai

log = logging.getLogger(__name__)

CONNECT_S: Final = 5.0
KEEPALIVE_S: Final = 300.0
"""Idle connections stay this long (the SDK's own client closes after 5 s): a TLS handshake
costs more than a small model's answer."""
BODY_BYTES_MAX: Final = 1024 * 1024


class OpenAIBackend:
    """One model at one URL. ``answer`` raises BackendError with one of the codes ``auth``,
    ``not_found``, ``rate_limit``, ``bad_request``, ``server``, ``connection``, ``timeout``,
    ``bad_response``, ``refused``."""

    def __init__(
        self,
        card: Card,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 60.0,
        extra: Mapping[str, Any] | None = None,
        transport: Any = None,
    ) -> None:
        """``extra``: further fields of the request's body, as ``{"max_tokens": 300}``.
        ``transport``: an httpx2 transport to use instead of the network, for tests."""
        import httpx2
        import openai

        self._sdk = openai
        self._http = httpx2
        self.card = card
        self._timeout_s = timeout_s
        self._extra = dict(extra or {})
        # asyncio and uvloop set TCP_NODELAY on every socket, so the transport stays httpx2's
        # own, which also honours the proxy variables of the environment.
        http = httpx2.AsyncClient(
            limits=httpx2.Limits(
                max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEEPALIVE_S
            ),
            transport=transport,
        )
        self._client = openai.AsyncOpenAI(
            # The SDK wants one; a local server ignores it.
            api_key=key or "none",
            base_url=url,
            # The router has one deadline for all attempts.
            max_retries=0,
            http_client=http,
        )

    def __repr__(self) -> str:
        return f"OpenAIBackend({self.card.name!r}, model={self.card.model!r})"

    async def answer(self, request: Request) -> Answer:
        left_s = min(request.deadline - time.monotonic(), self._timeout_s)
        if left_s <= 0:
            raise BackendError("timeout", "there was no time left")
        messages = prompt.messages(request)
        body: dict[str, Any] = {"messages": messages, "model": self.card.model}
        if request.tools:
            body["tools"] = prompt.tools(request.tools)
        raw = await self._post(body, left_s)
        return completion.read(raw, request.tools, _chars(body), self.card.model)

    async def aclose(self) -> None:
        await self._client.close()

    async def _post(self, body: dict[str, Any], left_s: float) -> bytes:
        timeout = self._http.Timeout(left_s, connect=min(CONNECT_S, left_s))
        try:
            # Streaming the response gives the raw body, whatever its type, and bounds it.
            async with self._client.chat.completions.with_streaming_response.create(
                **body, extra_body=self._extra, timeout=timeout
            ) as response:
                chunks, size = [], 0
                async for chunk in response.iter_bytes():
                    size += len(chunk)
                    if size > BODY_BYTES_MAX:
                        raise BackendError("bad_response", "its answer is over 1 MiB")
                    chunks.append(chunk)
            return b"".join(chunks)
        except self._sdk.APIError as error:
            self._raise(error, left_s)
        except self._http.TimeoutException:
            raise BackendError("timeout", f"no answer within {left_s:.1f} s") from None
        except self._http.HTTPError as error:
            log.info("%s: %s", self.card.name, type(error).__name__)
            raise BackendError("connection", "the connection was cut") from None

    def _raise(self, error: "openai.APIError", left_s: float) -> NoReturn:
        """From None each time: the SDK's errors carry the request, and its headers the key."""
        if isinstance(error, self._sdk.APITimeoutError):
            raise BackendError("timeout", f"no answer within {left_s:.1f} s") from None
        if isinstance(error, self._sdk.APIStatusError):
            status = error.status_code
            self._log_detail(error)
            code, msg = _by_status(status)
            raise BackendError(code, f"{msg} ({status})", _retry_after(error)) from None
        if isinstance(error, self._sdk.APIConnectionError):
            raise BackendError("connection", "it cannot be reached") from None
        raise BackendError("bad_response", "its answer makes no sense to the SDK") from None

    def _log_detail(self, error: "openai.APIStatusError") -> None:
        # What the upstream says helps whoever set it up. Some echo the key: not then.
        body = error.body
        text = str(body.get("message", "")) if isinstance(body, dict) else ""
        key = self._client.api_key
        if text and error.status_code not in (401, 403) and key not in text:
            log.info("%s answered %d: %.200s", self.card.name, error.status_code, text)


def _by_status(status: int) -> tuple[str, str]:
    if status in (401, 403):
        return "auth", "it refuses the key"
    if status == 404:
        return "not_found", "it knows no such model or path"
    if status == 429:
        return "rate_limit", "its rate limit is reached"
    if status >= 500:
        return "server", "it failed"
    return "bad_request", "it refuses the request"


def _retry_after(error: "openai.APIStatusError") -> float | None:
    """Seconds, from ``Retry-After`` as seconds or as a date (RFC 9110, 10.2.3)."""
    raw = error.response.headers.get("retry-after")
    if raw is None:
        return None
    try:
        return max(float(raw), 0.0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(raw).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _chars(body: Mapping[str, Any]) -> int:
    return len(str(body["messages"])) + len(str(body.get("tools", "")))
