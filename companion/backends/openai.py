"""Any server that speaks OpenAI's chat completions.

The ``openai`` SDK says what goes over the wire (the tests hold each body to its types) and is not
loaded: on its way a request took 1.4 ms of CPU with 2 tools and 3.9 with 50, which is 0.13 and 0.15
here, and 15 MB.
"""

import asyncio
import contextlib
import json
import logging
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from companion.backends import completion, http, prompt
from companion.backends.base import Answer, BackendError, Card, Request
from companion.backends.completion import Sent
from companion.backends.fit import fit, fits
from companion.backends.profile import PLAIN, Quirks
from companion.backends.retryafter import seconds_of
from companion.backends.stream import Deltas, Events

log = logging.getLogger(__name__)

_BOUNDS: Final = ("max_tokens", "max_completion_tokens")
_DETAIL_S: Final = 0.5


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
        quirks: Quirks = PLAIN,
        timeout_s: float = 60.0,
        extra: Mapping[str, Any] | None = None,
        stream: bool = False,
    ) -> None:
        """``url`` is the base, up to, not including, ``/chat/completions``. ``extra``: further
        fields of the request's body, which win over all others; a bound on the tokens of an answer
        among them becomes the card's. Raises ValueError for a url that is none."""
        extra = {**quirks.extra, **(extra or {})}
        bound = next((extra[name] for name in _BOUNDS if isinstance(extra.get(name), int)), None)
        self.card = card if bound is None else replace(card, output_tokens=bound)
        self._quirks = quirks
        self._timeout_s = timeout_s
        self._head = prompt.encode(_fields(self.card, quirks, stream, extra))[:-1]
        # Not the key itself: this object can be printed.
        self._tells_key: Callable[[str], bool] = lambda text: bool(key) and str(key) in text
        self._key_is_sound = key is None or (key.isascii() and key.isprintable())
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if stream else "application/json",
            # An answer is a few hundred bytes, and a stream is to come token by token.
            "accept-encoding": "identity",
            "user-agent": "ganglion",
        }
        if key is not None and self._key_is_sound:
            headers["authorization"] = f"Bearer {key}"
        self._http = http.client(_endpoint(url), headers, local=card.local)

    def __repr__(self) -> str:
        return f"OpenAIBackend({self.card.name!r}, model={self.card.model!r})"

    async def answer(self, request: Request) -> Answer:
        began = time.monotonic()
        left_s = min(request.deadline - began, self._timeout_s)
        if left_s <= 0:
            raise BackendError("timeout", "there was no time left")
        if not self._key_is_sound:
            raise BackendError("auth", "its key has characters that no key has")
        body, sent = self._body(request)
        first_ms = None
        async with self._http.post(body, left_s) as reply:
            if not 200 <= reply.status < 300:
                raise await self._refusal(reply)
            if "event-stream" in reply.headers.get("content-type", ""):
                data, first = await _streamed(reply)
                first_ms = None if first is None else round((first - began) * 1000)
            else:
                data = completion.loads(await http.whole(reply))
        answer = completion.read(data, request.tools, sent, self._quirks)
        return answer if first_ms is None else replace(answer, first_ms=first_ms)

    async def warm(self) -> None:
        """Open a connection before the first request wants one. Never raises."""
        await self._http.warm()

    async def aclose(self) -> None:
        await self._http.aclose()

    def _body(self, request: Request) -> tuple[bytes, Sent]:
        card = self.card
        parts = prompt.assemble(request, self._quirks.call_extra)
        if card.context_tokens:
            budget_tokens = card.context_tokens - card.output_tokens
            if not fits(parts.size, budget_tokens):
                request = fit(request, budget_tokens)
                parts = prompt.assemble(request, self._quirks.call_extra)
        # The messages last: what stands before them is the same in each request.
        tools = (b',"tools":[', parts.tools, b"]") if parts.tools else ()
        body = b"".join((self._head, *tools, b',"messages":', parts.messages, b"}"))
        # The size that was reserved for, so that no answer comes to more than that.
        return body, Sent(parts.size, card.output_tokens, card.model)

    async def _refusal(self, reply: http.Reply) -> BackendError:
        code, msg = completion.by_status(reply.status)
        retry_after_s = seconds_of(reply.headers.get("retry-after"))
        # What the upstream says helps whoever set it up. Some echo the key: not then.
        text = await _detail(reply)
        if text and reply.status not in (401, 403) and not self._tells_key(text):
            log.info("%s answered %d: %.200s", self.card.name, reply.status, json.dumps(text))
        return BackendError(code, f"{msg} ({reply.status})", retry_after_s)


def _endpoint(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts._replace(path=parts.path.rstrip("/") + "/chat/completions").geturl()


def _fields(card: Card, quirks: Quirks, stream: bool, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What each body has, whatever is asked."""
    fields: dict[str, Any] = {"model": card.model}
    if not any(name in extra for name in _BOUNDS):
        fields[quirks.max_tokens] = card.output_tokens
    if stream:
        fields["stream"] = True
        if quirks.stream_usage == "option":
            fields["stream_options"] = {"include_usage": True}
    return {**{k: v for k, v in fields.items() if k not in quirks.forbidden}, **extra}


async def _streamed(reply: http.Reply) -> tuple[dict[str, Any], float | None]:
    """The completion, and when its first token came (monotonic seconds)."""
    events, deltas, first = Events(), Deltas(), None
    async for piece in reply.chunks:
        for data in events.feed(piece):
            deltas.add(data)
        if first is None and deltas.begun:
            first = time.monotonic()
        if deltas.done:
            await http.drain(reply)
            break
    for data in events.end():
        deltas.add(data)
    return deltas.whole(), first


async def _detail(reply: http.Reply) -> str:
    """What an error's body says, "" where it says nothing that is known. Whatever becomes of the
    body, the status has said enough."""
    error: Any = None
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_DETAIL_S):
            error = completion.loads(await http.whole(reply)).get("error")
    said = error.get("message") if isinstance(error, dict) else error
    return said if isinstance(said, str) else ""
