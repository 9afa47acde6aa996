"""Streams of completions: put together as the SDK does it, and what servers do otherwise."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from companion.backends import stream as stream_module
from companion.backends.base import BackendError, Call, Card
from companion.backends.openai import OpenAIBackend
from companion.backends.profile import Quirks
from companion.backends.stream import Deltas, Events
from tests.companion.conftest import until
from tests.companion.scripted_upstream import USAGE, ScriptedUpstream, chunk, chunks, completion
from tests.companion.test_openai import request

CALLS = [("gpio_write", {"pin": "lamp", "level": 1}), ("gpio_read", {"pin": 5})]


def data(*pieces: bytes) -> list[bytes]:
    events = Events()
    return [*(d for piece in pieces for d in events.feed(piece)), *events.end()]


def put_together(*parts: Any) -> dict[str, Any]:
    deltas = Deltas()
    for part in parts:
        deltas.add(part if isinstance(part, bytes) else json.dumps(part).encode())
    return deltas.whole()


def called(*calls: dict[str, Any]) -> list[tuple[str, str]]:
    """The calls that come of these deltas."""
    parts = [chunk({"tool_calls": [call]}) for call in calls]
    message = put_together(*parts, chunk({}, "tool_calls"))["choices"][0]["message"]
    return [(c["function"]["name"], c["function"]["arguments"]) for c in message["tool_calls"]]


def part(index: Any = None, id_: Any = None, name: Any = None, arguments: Any = None) -> Any:
    call: dict[str, Any] = {"function": {}}
    for where, key, value in (
        (call, "index", index),
        (call, "id", id_),
        (call["function"], "name", name),
        (call["function"], "arguments", arguments),
    ):
        if value is not None:
            where[key] = value
    return call


# -- events


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b": ping\n\ndata: a\n: ping\n\n", [b"a"]),
        (b"event: chunk\nid: 7\nretry: 10\ndata: a\n\n", [b"a"]),
        (b"data: {\ndata: }\n\n", [b"{\n}"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data: a\n\ndata: b\n", [b"a", b"b"]),
        (b"\n\n\n", []),
        (b"database: a\n\n", []),
        (b"", []),
    ],
)
def test_events_are_those_of_the_standard(raw: bytes, expected: list[bytes]) -> None:
    assert data(raw) == expected
    assert data(*(bytes([b]) for b in raw)) == expected


@given(st.lists(st.sampled_from([b"data: x", b"data:y", b":c", b"\n", b"\r\n", b"\r"])), st.data())
def test_where_the_bytes_are_cut_does_not_matter(tokens: list[bytes], draw: st.DataObject) -> None:
    raw = b"".join(tokens)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(raw)))))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert data(*pieces) == data(raw)


def test_a_stream_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "BYTES_MAX", 1000)
    with pytest.raises(BackendError, match="over 8 MiB"):
        data(*[b": nothing to see\n"] * 100)
    monkeypatch.setattr(stream_module, "_KEPT_CHARS_MAX", 1000)
    with pytest.raises(BackendError, match="over 1 MiB"):
        put_together(*[chunk({"content": "x" * 100})] * 11)
    with pytest.raises(BackendError, match="over 1 MiB"):
        put_together(*[chunk({"tool_calls": [part(0, "a", "f", "x" * 100)]})] * 11)
    with pytest.raises(BackendError, match="64 calls"):
        called(*(part(n, f"id{n}", "f", "{}") for n in range(65)))


# -- deltas


@pytest.mark.parametrize(
    "parts",
    [
        chunks("Hello, it is on."),
        chunks(None, CALLS),
        chunks("Cosy!", CALLS),
        chunks("x", (), None),
    ],
    ids=["text", "calls", "both", "no usage"],
)
def test_it_comes_to_what_the_sdk_makes_of_it(parts: list[Any]) -> None:
    sdk: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for each in parts[:-1]:
        sdk.handle_chunk(ChatCompletionChunk.model_validate(each))
    expected = sdk.get_final_completion().model_dump()["choices"][0]
    whole = put_together(*parts[:-1], b"[DONE]")
    message, wanted = whole["choices"][0]["message"], expected["message"]
    assert whole["choices"][0]["finish_reason"] == expected["finish_reason"]
    assert (message["content"] or "") == (wanted["content"] or "")
    mine = [(c["id"], c["function"]) for c in message.get("tool_calls", [])]
    theirs = [
        (c["id"], {key: c["function"][key] for key in ("name", "arguments")})
        for c in wanted["tool_calls"] or []
    ]
    assert mine == theirs
    assert whole.get("usage") == sdk.get_final_completion().model_dump(exclude_unset=True).get(
        "usage"
    )


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param(
            [part(0, "a", "f", ""), part(1, "b", "g", "{"), part(0, None, None, "{}"),
             part(1, None, None, "}")],
            [("f", "{}"), ("g", "{}")],
            id="mixed",
        ),
        pytest.param(
            [part(None, "a", "f", "{}"), part(None, "b", "f", '{"x":1}')],
            [("f", "{}"), ("f", '{"x":1}')],
            id="no index, whole calls",
        ),
        pytest.param(
            [part(None, "a", "f", "{"), part(None, None, None, "}"), part(None, "b", "g", "{}")],
            [("f", "{}"), ("g", "{}")],
            id="no index, in pieces",
        ),
        pytest.param(
            [part(None, "a", "f", "{"), part(None, "a", None, "}")],
            [("f", "{}")],
            id="no index, the id again",
        ),
        pytest.param(
            [part(None, None, "f", "{}"), part(None, None, "f", "{}")],
            [("f", "{}"), ("f", "{}")],
            id="neither index nor id",
        ),
        pytest.param(
            [part(0, "a", "f", "{}"), part(0, "b", "g", "{}")],
            [("f", "{}"), ("g", "{}")],
            id="each with index 0",
        ),
        pytest.param(
            [part(0, "a", "f", "{"), part(0, "a", "f", "}")], [("f", "{}")], id="its name again"
        ),
        pytest.param(
            [part(0, "", "f", "{"), part(0, "", None, "}")], [("f", "{}")], id="an empty id"
        ),
        pytest.param(
            [part(0, "a", "gpio_"), part(0, None, "write", "{}")],
            [("gpio_write", "{}")],
            id="a name in pieces",
        ),
        pytest.param([part(0, "a", "f", {"x": 1})], [("f", '{"x": 1}')], id="an object"),
        pytest.param([part(1, "a", "f", "{}")], [("f", "{}")], id="counted from 1"),
    ],
)  # fmt: skip
def test_calls_find_their_pieces(deltas: list[Any], expected: list[tuple[str, str]]) -> None:
    assert called(*deltas) == expected


@pytest.mark.parametrize(
    ("parts", "code", "words"),
    [
        ([chunk({"content": "Hel"})], "bad_response", "finish reason"),
        ([chunk({"content": "Hel"}), b"[DONE]"], "bad_response", "finish reason"),
        ([b"[DONE]"], "bad_response", "finish reason"),
        ([], "bad_response", "finish reason"),
        ([b"nothing"], "bad_response", "malformed"),
        ([b"[1]"], "bad_response", "no JSON object"),
        ([chunk({"content": "x"}), {"error": {"code": 429}}], "rate_limit", "429"),
        ([{"error": {"code": "429"}}], "rate_limit", "429"),
        ([{"error": {"type": "rate_limit_error"}}], "rate_limit", "limit"),
        ([{"error": {"code": 502, "message": "secret"}}], "server", "502"),
        ([{"error": {"code": True, "message": "secret"}}], "server", "error"),
        ([{"error": "secret"}], "server", "error"),
        ([{**chunk({}), "error": {"message": "secret"}}], "server", "error"),
    ],
)
def test_what_streams_do_wrong(parts: list[Any], code: str, words: str) -> None:
    with pytest.raises(BackendError) as caught:
        put_together(*parts)
    assert caught.value.code == code
    assert words in caught.value.msg and "secret" not in caught.value.msg


def test_what_is_of_another_type_is_passed_over() -> None:
    odd: list[Any] = [None, 7, "x", [], {}, [7], [None], [{}], [{"function": 7}]]
    parts = [{"choices": choices} for choices in odd[:7]]
    parts += [chunk(delta) for delta in odd[:4]]
    parts += [chunk({"content": content}) for content in odd[3:7]]
    parts += [chunk({"tool_calls": calls}) for calls in odd[:7]]
    whole = put_together(*parts, b" ", chunk({"content": "Hello."}, "stop"))
    assert whole["choices"][0]["message"]["content"].endswith("Hello.")
    assert "tool_calls" not in whole["choices"][0]["message"]


def test_the_last_count_of_tokens_holds() -> None:
    counts = [{**chunk({"content": "x"}), "usage": {"prompt_tokens": n}} for n in (1, 2)]
    whole = put_together(*counts, {**chunk({}, "stop"), "usage": None})
    assert whole["usage"] == {"prompt_tokens": 2}


# -- through the backend


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as u:
        yield u


@pytest_asyncio.fixture
async def backend(upstream: ScriptedUpstream) -> AsyncIterator[OpenAIBackend]:
    b = OpenAIBackend(Card("cloud", model="small"), upstream.url, stream=True)
    yield b
    await b.aclose()


async def test_a_streamed_answer_is_the_answer(
    upstream: ScriptedUpstream, backend: OpenAIBackend
) -> None:
    upstream.script([{"text": "Cosy!", "calls": CALLS}] * 2)
    answer = await backend.answer(request())
    assert (answer.calls, answer.say) == (tuple(Call(*call) for call in CALLS), "Cosy!")
    u = answer.usage
    assert (u.input, u.output, u.cached, u.reasoning, u.estimated) == (100, 20, 64, 8, False)
    body = upstream.requests[0]
    assert body["stream"] is True and body["stream_options"] == {"include_usage": True}
    whole = OpenAIBackend(Card("cloud", model="small"), upstream.url)
    assert (await whole.answer(request())).calls == answer.calls
    assert "stream" not in upstream.requests[1]
    await whole.aclose()


@pytest.mark.parametrize("how", ["always", "never"])
async def test_usage_is_asked_for_only_where_that_is_known(
    upstream: ScriptedUpstream, how: Any
) -> None:
    quirks = Quirks(stream_usage=how)
    backend = OpenAIBackend(Card("c", model="m"), upstream.url, quirks=quirks, stream=True)
    upstream.script([{"text": "Hello.", "usage": USAGE if how == "always" else None}])
    answer = await backend.answer(request())
    assert "stream_options" not in upstream.requests[0]
    assert answer.usage.estimated == (how == "never") and answer.usage.output > 0
    await backend.aclose()


async def test_the_first_token_is_timed(upstream: ScriptedUpstream, backend: OpenAIBackend) -> None:
    first, *rest = chunks("Hello.")
    thought = chunk({"reasoning_content": "Hm."})
    upstream.script(
        [{"stream": [first, 0.15, rest[0], 0.3, *rest[1:]]}, {"stream": [thought, 0.3, *rest]}]
    )
    began = time.monotonic()
    answer = await backend.answer(request())
    took_ms = (time.monotonic() - began) * 1000
    assert answer.say == "Hello." and answer.first_ms is not None
    assert 140 <= answer.first_ms < took_ms - 100
    # What a model thinks is a token, and no text.
    began = time.monotonic()
    answer = await backend.answer(request())
    took_ms = (time.monotonic() - began) * 1000
    assert answer.say == "Hello." and answer.first_ms is not None
    assert answer.first_ms < took_ms - 100


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ({"stream": chunks("Hello.")[:3]}, "bad_response"),
        ({"stream": chunks("Hello.")[:3], "cut": True}, "connection"),
        ({"stream": [b"data: {\n\n"]}, "bad_response"),
        ({"stream": [b"<html>"], "content_type": "text/html"}, "bad_response"),
        ({"status": 429, "stream": [{"error": {"message": "later"}}]}, "rate_limit"),
        ({"stream": [chunk({"content": "x"}), {"error": {"code": 503}}]}, "server"),
        ({"calls": CALLS, "finish_reason": "length"}, "bad_response"),
        ({"text": "x", "finish_reason": "content_filter"}, "refused"),
    ],
)
async def test_a_stream_that_fails(
    upstream: ScriptedUpstream, backend: OpenAIBackend, behaviour: dict[str, Any], code: str
) -> None:
    upstream.script([behaviour])
    with pytest.raises(BackendError) as caught:
        await backend.answer(request())
    assert caught.value.code == code


async def test_a_server_that_does_not_stream_is_understood(
    upstream: ScriptedUpstream, backend: OpenAIBackend
) -> None:
    upstream.script([{"body": completion("Hello.")}])
    answer = await backend.answer(request())
    assert (answer.say, answer.first_ms) == ("Hello.", None)


async def test_after_done_nothing_is_waited_for_and_the_connection_stays(
    upstream: ScriptedUpstream, backend: OpenAIBackend
) -> None:
    upstream.script([{"stream": [*chunks("One."), 0.02]}, {"stream": [*chunks("Two."), 30]}])
    ports = set()
    original = upstream._serve

    def serve(handler: Any) -> None:
        ports.add(handler.client_address)
        original(handler)

    upstream._serve = serve  # type: ignore[method-assign]
    for say in ("One.", "Two."):
        answer = await asyncio.wait_for(backend.answer(request()), 2)
        assert answer.say == say
    assert len(ports) == 1


async def test_cancelling_ends_the_stream_at_once(
    upstream: ScriptedUpstream, backend: OpenAIBackend
) -> None:
    endless = [chunk({"content": "x"}), 0.01] * 3000
    upstream.script([{"stream": endless}, {"text": "Hello."}])
    task = asyncio.create_task(backend.answer(request()))
    await until("the request", lambda: upstream.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(upstream.gone.wait, 2), "the server was left streaming"
    assert (await backend.answer(request())).say == "Hello."
