"""The anthropic backend through its SDK, against a scripted upstream that replays documented
shapes of the Messages API."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from companion.backends import prompt
from companion.backends.anthropic import AnthropicBackend
from companion.backends.base import Answer, BackendError, Call, Card, Point, Request
from companion.toolset import ToolSpec
from tests.companion.conftest import SPECS, until
from tests.companion.scripted_upstream import ScriptedUpstream

KEY = "sk-ant-test-0123456789abcdef"
TOOLS = tuple(ToolSpec(**spec) for spec in SPECS)  # type: ignore[arg-type]
CARD = Card("claude", model="claude-test", output_tokens=300)
EPHEMERAL = {"type": "ephemeral"}
USAGE = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 188,
    "cache_read_input_tokens": 340,
    "output_tokens": 45,
}
WRITE = {
    "type": "tool_use",
    "id": "toolu_01A09q90qw90lq917835lq9",
    "name": "gpio_write",
    "input": {"pin": "lamp", "level": 1},
}


def message(
    *content: Any, stop: str | None = "end_turn", usage: Any = USAGE, **more: Any
) -> dict[str, Any]:
    """The body of a successful answer, as the reference shows it."""
    return {
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
        "type": "message",
        "role": "assistant",
        "model": "claude-test-20260101",
        "content": [{"type": "text", "text": c} if isinstance(c, str) else c for c in content],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
        **more,
    }


def error(kind: str, text: str = "as scripted") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}


def events(*parts: dict[str, Any]) -> list[Any]:
    """Server-sent events with their names, as the page on streaming shows them."""
    return [f"event: {p['type']}\ndata: {json.dumps(p)}\n\n".encode() for p in parts]


START = {
    "type": "message_start",
    "message": message(stop=None, usage={**USAGE, "output_tokens": 1}),
}
TEXT = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Co"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "sy!"}},
    {"type": "content_block_stop", "index": 0},
]
TOOL_START = {"type": "content_block_start", "index": 1, "content_block": {**WRITE, "input": {}}}
TOOL = [
    TOOL_START,
    *(
        {"type": "content_block_delta", "index": 1, "delta": {"type": kind, "partial_json": part}}
        for kind, part in (
            ("input_json_delta", ""),
            ("input_json_delta", '{"pin": "la'),
            ("input_json_delta", 'mp", "level": 1}'),
        )
    ),
    {"type": "content_block_stop", "index": 1},
]
STOP = {"type": "message_stop"}


def ending(reason: str | None) -> dict[str, Any]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 45}}


def request(*messages: Any, seconds: float = 10, **fields: Any) -> Request:
    return Request(
        device="kitchen",
        turn_id="t",
        text="",
        messages=messages or (("u", "turn on the lamp"),),
        tools=fields.pop("tools", TOOLS),
        points=(Point("lamp", 5, "out", 0),),
        facts={},
        deadline=time.monotonic() + seconds,
        now=0.0,
        **fields,
    )


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as u:
        yield u


@pytest_asyncio.fixture
async def backend(upstream: ScriptedUpstream) -> AsyncIterator[AnthropicBackend]:
    b = AnthropicBackend(CARD, key=KEY, url=upstream.url.removesuffix("/v1"))
    yield b
    await b.aclose()


@pytest_asyncio.fixture
async def streaming(upstream: ScriptedUpstream) -> AsyncIterator[AnthropicBackend]:
    b = AnthropicBackend(CARD, key=KEY, url=upstream.url.removesuffix("/v1"), stream=True)
    yield b
    await b.aclose()


async def test_tool_calls_and_usage(upstream: ScriptedUpstream, backend: AnthropicBackend) -> None:
    usage = {**USAGE, "output_tokens_details": {"thinking_tokens": 12}}
    thought = {"type": "thinking", "thinking": "A lamp.", "signature": "c2lnbmVk"}
    body = message(thought, "Cosy!", WRITE, WRITE, stop="tool_use", usage=usage)
    upstream.script([{"body": json.dumps(body)}])
    answer = await backend.answer(request())
    call = Call("gpio_write", {"pin": "lamp", "level": 1})
    assert (answer.calls, answer.say, answer.more) == ((call, call), "Cosy!", 1)
    assert answer.model == "claude-test-20260101"
    assert answer.first_ms is None
    u = answer.usage
    # All that was read, from wherever; of that what the cache had, and what it was given.
    assert (u.input, u.cached, u.cache_written) == (21 + 188 + 340, 340, 188)
    assert (u.output, u.reasoning) == (45, 12)
    assert not u.estimated and not u.suspect


async def test_what_is_sent(upstream: ScriptedUpstream, backend: AnthropicBackend) -> None:
    upstream.script([{"body": json.dumps(message("It is on."))}])
    ran = ("gpio_read", {"pin": 5}, {"level": 1})
    await backend.answer(request(("u", "hello"), ("a", "Hi."), ("u", "on?"), ("d", (ran, ran))))
    (body,) = upstream.requests
    assert (body["model"], body["max_tokens"]) == ("claude-test", 300)
    (system,) = body["system"]
    assert system["text"] == prompt.system(request())
    hello, hi, question, calls, results = body["messages"]
    roles = [m["role"] for m in (hello, hi, question, calls, results)]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    assert [c["type"] for c in calls["content"]] == ["tool_use", "tool_use"]
    assert calls["content"][0]["input"] == {"pin": 5}
    ids = [c["id"] for c in calls["content"]]
    assert [r["tool_use_id"] for r in results["content"]] == ids and len(set(ids)) == 2
    assert results["content"][0]["content"] == '{"level":1}'
    write = body["tools"][0]
    assert write["name"] == "gpio_write"
    assert write["input_schema"]["required"] == ["pin", "level"]
    assert "x-point" not in str(body["tools"])
    headers = upstream.headers[0]
    assert headers["anthropic-version"]
    assert [name for name, value in headers.items() if KEY in value] == ["authorization"]


async def test_what_stays_the_same_ends_at_a_cache_mark(
    upstream: ScriptedUpstream, backend: AnthropicBackend
) -> None:
    upstream.script([{"body": json.dumps(message("a"))}] * 2)
    await backend.answer(request(("u", "one")))
    await backend.answer(request(("u", "one"), ("a", "a"), ("u", "two")))
    first, second = upstream.requests
    for body in (first, second):
        marked = [tool for tool in body["tools"] if "cache_control" in tool]
        assert marked == [body["tools"][-1]]
        assert body["system"][-1]["cache_control"] == EPHEMERAL
        # Anthropic allows four.
        assert str(body).count("cache_control") == (2 if body is first else 3)
    assert second["messages"][-2]["content"][-1]["cache_control"] == EPHEMERAL
    assert (first["tools"], first["system"]) == (second["tools"], second["system"])


async def test_no_tools_and_no_beginning(
    upstream: ScriptedUpstream, backend: AnthropicBackend
) -> None:
    """A text for a routine; a conversation that was cut before an assistant's message."""
    upstream.script([{"body": json.dumps(message("a"))}] * 2)
    await backend.answer(request(("u", "a greeting"), tools=(), wants_text=True))
    await backend.answer(request(("a", "It is on."), ("a", " "), ("u", "off"), ("u", "now")))
    text, cut = upstream.requests
    assert "tools" not in text
    assert [m["role"] for m in cut["messages"]] == ["user", "assistant", "user"]
    assert [b["text"] for b in cut["messages"][1]["content"]] == ["It is on."]
    # Two in a row are one message, with the newest text last.
    assert cut["messages"][2]["content"][-1]["text"].startswith("now")


async def test_extra_goes_along_and_cannot_change_the_request(upstream: ScriptedUpstream) -> None:
    upstream.script([{"body": json.dumps(message("a"))}])
    extra = {"temperature": 0, "max_tokens": 120, "model": "dear", "messages": []}
    backend = AnthropicBackend(CARD, key=KEY, url=upstream.url.removesuffix("/v1"), extra=extra)
    await backend.answer(request())
    await backend.aclose()
    (body,) = upstream.requests
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0, 120, "claude-test")
    assert body["messages"]
    # What an answer can cost at most is counted by the card.
    assert backend.card.output_tokens == 120


async def test_warming_never_raises(upstream: ScriptedUpstream, backend: AnthropicBackend) -> None:
    await backend.warm()
    assert upstream.requests == []
    nobody = AnthropicBackend(CARD, key=KEY, url="http://127.0.0.1:9")
    await nobody.warm()
    await nobody.aclose()


async def test_a_small_context_gets_fewer_tools(upstream: ScriptedUpstream) -> None:
    upstream.script([{"body": json.dumps(message("a"))}])
    many = tuple(ToolSpec(f"tool_{n}", "does things " * 20, {}, True) for n in range(40))
    card = Card("claude", model="claude-test", output_tokens=300, context_tokens=2000)
    backend = AnthropicBackend(card, key=KEY, url=upstream.url.removesuffix("/v1"))
    await backend.answer(request(tools=TOOLS + many))
    await backend.aclose()
    names = [tool["name"] for tool in upstream.requests[0]["tools"]]
    assert set(names) >= {"gpio_write", "gpio_read"} and 2 < len(names) < 20


@pytest.mark.parametrize(
    ("stop", "content", "outcome"),
    [
        ("end_turn", ["Hello."], "Hello."),
        ("stop_sequence", ["Hello."], "Hello."),
        ("max_tokens", ["Hello, I am"], "Hello, I am"),
        ("model_context_window_exceeded", ["Hello, I am"], "Hello, I am"),
        ("max_tokens", ["Cosy!", WRITE], "bad_response"),
        ("refusal", [], "refused"),
        ("refusal", ["I would"], "refused"),
        ("pause_turn", ["Wait."], "bad_response"),
        ("tomorrow", ["Hello."], "bad_response"),
        (None, ["Hello."], "bad_response"),
        ("end_turn", [], "bad_response"),
        ("end_turn", [{"type": "thinking", "thinking": "Hm."}], "bad_response"),
        ("tool_use", [{**WRITE, "input": [1]}], "bad_response"),
        ("tool_use", [{**WRITE, "name": None}], "bad_response"),
        ("end_turn", [None, 5, {"type": "text"}, "Hello."], "Hello."),
    ],
)
async def test_how_it_may_stop(
    upstream: ScriptedUpstream,
    backend: AnthropicBackend,
    stop: str | None,
    content: list[Any],
    outcome: str,
) -> None:
    body = message(stop=stop)
    body["content"] = [{"type": "text", "text": c} if isinstance(c, str) else c for c in content]
    upstream.script([{"body": json.dumps(body)}])
    assert await _outcome(backend.answer(request())) == outcome


async def _outcome(answering: Any) -> str | None:
    try:
        answer: Answer = await answering
    except BackendError as error:
        return error.code
    return answer.say


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        ({"status": 400, "body": error("invalid_request_error")}, "bad_request", "400"),
        ({"status": 401, "body": error("authentication_error")}, "auth", "key (401)"),
        ({"status": 402, "body": error("billing_error")}, "auth", "402"),
        ({"status": 403, "body": error("permission_error")}, "auth", "key (403)"),
        ({"status": 404, "body": error("not_found_error")}, "not_found", "model or path"),
        ({"status": 413, "body": error("request_too_large")}, "bad_request", "413"),
        ({"status": 429, "body": error("rate_limit_error"), "retry_after_s": 7}, "rate_limit", "("),
        ({"status": 500, "body": error("api_error")}, "server", "500"),
        ({"status": 504, "body": error("timeout_error")}, "server", "504"),
        ({"status": 529, "body": error("overloaded_error")}, "server", "529"),
        ({"status": 200, "body": error("overloaded_error")}, "server", "overloaded"),
        ({"status": 200, "body": error("new_error")}, "server", "new_error"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:9/"}}, "bad_request", "302"),
        ({"cut": True, "body": json.dumps(message("x" * 500))}, "connection", "cut"),
        ({"hang_s": 0}, "connection", "reached"),
        ({"body": "<html>hello</html>", "content_type": "text/html"}, "bad_response", "HTML"),
        ({"body": ""}, "bad_response", "malformed"),
        ({"body": '{"content": [{'}, "bad_response", "malformed"),
        ({"body": "[" * 100_000}, "bad_response", "malformed"),
        ({"body": "[]"}, "bad_response", "no JSON object"),
        ({"body": "{}"}, "bad_response", "no content"),
        ({"body": '{"content": [{"type": "text", "text": NaN}]}'}, "bad_response", "malformed"),
        ({"body": b" " * (1024 * 1024 + 1)}, "bad_response", "1 MiB"),
    ],
    ids=lambda v: str(v)[:40],
)
async def test_what_upstreams_do_wrong_has_a_code_and_words(
    upstream: ScriptedUpstream,
    backend: AnthropicBackend,
    behaviour: dict[str, Any],
    code: str,
    words: str,
) -> None:
    upstream.script([behaviour])
    with pytest.raises(BackendError) as caught:
        await backend.answer(request())
    assert caught.value.code == code
    assert words in caught.value.msg
    assert caught.value.retry_after_s == (7 if "retry_after_s" in behaviour else None)
    # One attempt, and no redirect: retries belong to the router.
    assert len(upstream.requests) == 1


async def test_a_stream_says_the_same_as_a_message(
    upstream: ScriptedUpstream, backend: AnthropicBackend, streaming: AnthropicBackend
) -> None:
    whole = message("Cosy!", WRITE, stop="tool_use")
    parts = events(START, *TEXT, *TOOL, ending("tool_use"), STOP)
    # Cut in odd places, as networks do.
    joined = b"".join(parts)
    odd = [joined[at : at + 37] for at in range(0, len(joined), 37)]
    upstream.script([{"body": json.dumps(whole)}, {"stream": parts}, {"stream": odd}])
    answer = await backend.answer(request())
    assert upstream.requests[0].get("stream") in (None, False)
    for _ in range(2):
        streamed = await streaming.answer(request())
        assert upstream.requests[-1]["stream"] is True
        assert streamed.first_ms is not None and streamed.first_ms >= 0
        same = Answer(streamed.calls, streamed.say, streamed.more, streamed.usage, streamed.model)
        assert same == answer


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        # All is there but the end: a cut stream is a failure, whatever it said until then.
        (events(START, *TEXT, ending("end_turn")), "bad_response"),
        (events(START, *TEXT), "bad_response"),
        (events(START, *TEXT, *TOOL[:3]), "bad_response"),
        ([], "bad_response"),
        (events(START, *TEXT, STOP), "bad_response"),
        (events(START, *TOOL[:3], ending("tool_use"), STOP), "bad_response"),
        (events(START, *TOOL[1:], ending("tool_use"), STOP), "bad_response"),
        (events(START, *TEXT, ending("refusal"), STOP), "refused"),
        (events(START, error("overloaded_error")), "server"),
        (events(START, *TEXT, error("rate_limit_error")), "rate_limit"),
        ([b"data: {\n\n"], "bad_response"),
        ([b"data: 5\n\n"], "bad_response"),
        (events({"type": "content_block_start", "index": None}), "bad_response"),
        ([b": " + b"x" * (1024 * 1024) + b"\n\n"], "bad_response"),
    ],
    ids=range(14),
)
async def test_streams_that_go_wrong(
    upstream: ScriptedUpstream, streaming: AnthropicBackend, parts: list[Any], code: str
) -> None:
    upstream.script([{"stream": parts}])
    assert await _outcome(streaming.answer(request())) == code


async def test_statuses_are_the_same_to_who_wants_a_stream(
    upstream: ScriptedUpstream, streaming: AnthropicBackend
) -> None:
    limited = {"status": 429, "body": error("rate_limit_error"), "retry_after_s": 7}
    upstream.script([limited, {"status": 529, "body": error("overloaded_error")}])
    with pytest.raises(BackendError) as caught:
        await streaming.answer(request())
    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limit", 7)
    assert await _outcome(streaming.answer(request())) == "server"


async def test_a_connection_that_breaks_in_a_stream(
    upstream: ScriptedUpstream, streaming: AnthropicBackend
) -> None:
    upstream.script([{"stream": events(START, *TEXT), "cut": True}])
    assert await _outcome(streaming.answer(request())) in ("connection", "bad_response")


async def test_an_answer_in_drips_ends_at_the_deadline(
    upstream: ScriptedUpstream, streaming: AnthropicBackend
) -> None:
    drips = [part for event in events(START, *TEXT * 20) for part in (event, 0.05)]
    upstream.script([{"stream": drips}])
    began = time.monotonic()
    assert await _outcome(streaming.answer(request(seconds=0.4))) == "timeout"
    assert time.monotonic() - began < 3


async def test_a_hang_ends_at_the_deadline(
    upstream: ScriptedUpstream, backend: AnthropicBackend
) -> None:
    upstream.script([{"hang_s": 30}])
    assert await _outcome(backend.answer(request(seconds=0.3))) == "timeout"
    assert await _outcome(backend.answer(request(seconds=-1))) == "timeout"


async def test_cancelling_leaves_a_usable_client(
    upstream: ScriptedUpstream, backend: AnthropicBackend
) -> None:
    upstream.script([{"hang_s": 30}, {"body": json.dumps(message("Hello."))}])
    task = asyncio.create_task(backend.answer(request()))
    await until("the request", lambda: upstream.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await backend.answer(request())).say == "Hello."


@pytest.mark.parametrize("usage", [None, {}, [1], {"input_tokens": "many", "output_tokens": None}])
async def test_missing_usage_is_estimated_and_marked(
    upstream: ScriptedUpstream, backend: AnthropicBackend, usage: Any
) -> None:
    upstream.script([{"body": json.dumps(message("Hello.", usage=usage))}])
    found = (await backend.answer(request())).usage
    assert found.estimated and found.input > 100 and found.output > 0


@pytest.mark.parametrize(
    "lie",
    [
        {"input_tokens": 10**30},
        {"cache_read_input_tokens": 10**6},
        {"cache_creation_input_tokens": 10**6},
        {"output_tokens": 10**6},
    ],
)
async def test_a_lie_about_usage_is_held_to_what_can_be_true(
    upstream: ScriptedUpstream, backend: AnthropicBackend, lie: dict[str, Any]
) -> None:
    upstream.script([{"body": json.dumps(message("Hello.", usage={**USAGE, **lie}))}])
    u = (await backend.answer(request())).usage
    assert u.suspect
    assert u.input <= prompt.measure(request()).bound_tokens
    assert u.output <= CARD.output_tokens
    assert u.cached + u.cache_written <= u.input


async def test_the_instructions_that_anthropic_adds_for_tools_are_no_lie(
    upstream: ScriptedUpstream, backend: AnthropicBackend
) -> None:
    """530 tokens is the most that its documentation names for any model; the rest at three bytes
    a token, which is more than it takes."""
    sent = prompt.measure(request())
    usage = {"input_tokens": sent.bytes // 3 + 530, "output_tokens": 5}
    upstream.script([{"body": json.dumps(message("Hello.", usage=usage))}])
    u = (await backend.answer(request())).usage
    assert (u.input, u.suspect) == (usage["input_tokens"], False)


async def test_neither_key_nor_sentence_is_in_an_error_log_or_repr(
    upstream: ScriptedUpstream, backend: AnthropicBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = error("authentication_error", f"invalid x-api-key: {KEY}")
    upstream.script([{"status": status, "body": echo} for status in (400, 401, 429, 500)])
    said = [repr(backend)]
    for _ in range(4):
        with pytest.raises(BackendError) as caught:
            await backend.answer(request(("u", "my secret wish")))
        said += [str(caught.value), caught.value.msg]
    told = "".join(said) + caplog.text
    assert KEY not in told and "secret wish" not in told


async def test_a_proxy_is_asked_unless_the_url_is_this_machine(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scripted upstream stands in for the proxy: it sees the whole URL in the request."""
    monkeypatch.setenv("http_proxy", upstream.url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    upstream.script([{"body": json.dumps(message("proxied"))}])
    away = AnthropicBackend(CARD, key=KEY, url="http://models.invalid")
    assert (await away.answer(request())).say == "proxied"
    assert upstream.paths == ["http://models.invalid/v1/messages"]
    here = AnthropicBackend(CARD, key=KEY, url="http://127.0.0.1:9")
    assert await _outcome(here.answer(request())) == "connection"
    assert len(upstream.requests) == 1
    await away.aclose()
    await here.aclose()
