"""The llama backend: a real llama.cpp in this process, on random weights. What it says is
nonsense; that it says it in the form that was asked for is llama.cpp's doing, not chance's."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from companion import toolset
from companion.backends import llama_shape as shape
from companion.backends import prompt
from companion.backends.base import Answer, BackendError, Card, Point, Request
from companion.backends.llama import WAITING_MAX, LlamaBackend
from companion.config.model import ConfigError
from companion.toolset import ToolSpec
from tests.companion.conftest import SPECS, until
from tests.companion.random_gguf import CONTEXT, write_random_gguf

TOOLS = tuple(ToolSpec(**spec) for spec in SPECS)  # type: ignore[arg-type]
CARD = Card("house", tier="edge", local=True, here=True, context_tokens=CONTEXT, output_tokens=4000)
RANDOM = {"temperature": 40, "top_k": 0, "top_p": 1, "min_p": 0, "seed": 1}
"""All that the grammar allows is about as likely, and the same in each run."""
ENDLESS = {"ignore_eos": True}
LONG = Card("house", local=True, context_tokens=CONTEXT, output_tokens=60_000)
"""With ENDLESS its texts have no end but this bound, some ten seconds away."""


def request(*messages: Any, seconds: float = 20, **fields: Any) -> Request:
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


def text(words: str = "a greeting", **fields: Any) -> Request:
    return request(("u", words), tools=(), wants_text=True, **fields)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_gguf(tmp_path_factory.mktemp("llama") / "random.gguf")


@pytest_asyncio.fixture
async def backend(gguf: Path) -> AsyncIterator[LlamaBackend]:
    b = LlamaBackend(CARD, gguf, extra=RANDOM)
    yield b
    await b.aclose()


@pytest_asyncio.fixture
async def long(gguf: Path) -> AsyncIterator[LlamaBackend]:
    b = LlamaBackend(LONG, gguf, extra=ENDLESS)
    yield b
    await b.aclose()


async def code_of(answering: Any) -> str:
    with pytest.raises(BackendError) as caught:
        await answering
    return caught.value.code


# -- the real thing


KINDS: dict[str, dict[str, Any]] = {
    "pin": {"type": ["integer", "string"], "x-point": True},
    "level": {"type": "integer", "enum": [0, 1]},
    "duty": {"type": "number", "minimum": 0, "maximum": 100},
    "ms": {"type": "integer", "minimum": 10, "maximum": 60000},
    "on": {"type": "boolean"},
    "name": {"type": "string", "minLength": 1, "maxLength": 12},
    "colour": {"type": "string", "enum": ["red", "green", "blue"]},
    "pins": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
    "when": {"anyOf": [{"type": "integer"}, {"type": "boolean"}]},
    "at": {"type": "object", "properties": {"h": {"type": "integer"}}, "required": ["h"]},
}


async def test_every_answer_is_one_that_the_device_takes(gguf: Path) -> None:
    """Random weights under the grammar: other calls each time, and all of them of the specs."""
    specs = [
        ToolSpec(f"{name}_set", "Sets it.", {"properties": {name: kind}, "required": [name]}, True)
        for name, kind in KINDS.items()
    ]
    checked = toolset.build("h", specs, "test")
    answers: list[Answer] = []
    for seed in range(12):
        backend = LlamaBackend(CARD, gguf, extra={**RANDOM, "seed": seed})
        answers.append(await backend.answer(request(tools=checked.specs)))
        await backend.aclose()
    calls = [call for answer in answers for call in answer.calls]
    assert [checked.wrong(call.tool, call.args) for call in calls] == [None] * len(calls)
    # Enough of them that the above says something, whatever the prompt's wording makes of chance.
    assert len({call.tool for call in calls}) > len(specs) / 2
    assert any(answer.say and not answer.calls for answer in answers)


async def test_usage_is_what_llama_cpp_counted(backend: LlamaBackend) -> None:
    first = await backend.answer(request())
    again = await backend.answer(request())
    assert first.model == "random"
    # A token a byte: more of them than bytes of our own instructions.
    assert first.usage.input > len(prompt.system(request()))
    assert 0 < first.usage.output <= CARD.output_tokens
    assert not first.usage.estimated and not first.usage.suspect
    assert first.first_ms is not None and first.first_ms >= 0
    # The same prompt again is in the model's context already.
    assert first.usage.cached == 0
    assert again.usage.cached >= again.usage.input - 1


async def test_a_text_for_a_routine_is_no_json(gguf: Path) -> None:
    backend = LlamaBackend(replace(CARD, output_tokens=40), gguf, extra=ENDLESS)
    answer = await backend.answer(text())
    await backend.aclose()
    assert answer.say and not answer.calls and answer.more == 0
    assert answer.usage.output == 40


async def test_calls_that_are_cut_are_no_answer(gguf: Path) -> None:
    backend = LlamaBackend(replace(CARD, output_tokens=12), gguf, extra=RANDOM)
    with pytest.raises(BackendError) as caught:
        await backend.answer(request())
    await backend.aclose()
    assert (caught.value.code, "cut off" in caught.value.msg) == ("bad_response", True)


async def test_the_loop_goes_on_while_it_computes(long: LlamaBackend) -> None:
    await long.warm()
    task = asyncio.create_task(long.answer(text()))
    took = []
    for _ in range(50):
        began = time.monotonic()
        await asyncio.sleep(0.002)
        took.append(time.monotonic() - began)
    assert not task.done()
    task.cancel()
    # The median: this machine has other things to do, too.
    assert sorted(took)[25] < 0.02


async def test_a_request_can_be_given_up_and_the_next_one_comes_soon(long: LlamaBackend) -> None:
    await long.warm()
    task = asyncio.create_task(long.answer(text()))
    await asyncio.sleep(0.1)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # Ten seconds of tokens are not waited for: this one is over at its own deadline.
    began = time.monotonic()
    assert await code_of(long.answer(text(seconds=0.3))) == "timeout"
    assert time.monotonic() - began < 3
    await until("the thread is free", lambda: not long._jobs)


async def test_it_can_be_given_up_while_it_reads_the_prompt(gguf: Path) -> None:
    card = replace(LONG, output_tokens=100)
    backend = LlamaBackend(card, gguf)
    await backend.warm()
    cpu = psutil.Process().cpu_times()
    assert await code_of(backend.answer(text("word " * 10_000, seconds=0.02))) == "timeout"
    await until("the thread is free", lambda: not backend._jobs)
    used = psutil.Process().cpu_times()
    await backend.aclose()
    # All of the 50,000 tokens take several seconds.
    assert used.user - cpu.user < 1.5


async def test_others_wait_and_too_many_are_turned_away(long: LlamaBackend) -> None:
    await long.warm()
    running = [asyncio.create_task(long.answer(text())) for _ in range(1 + WAITING_MAX)]
    await asyncio.sleep(0.05)
    with pytest.raises(BackendError) as caught:
        await long.answer(text())
    assert (caught.value.code, "waiting" in caught.value.msg) == ("server", True)
    # Whoever waits, waits until its deadline, and leaves its place then.
    for task in running[1:]:
        task.cancel()
    await asyncio.gather(*running[1:], return_exceptions=True)
    assert await code_of(long.answer(text(seconds=0.1))) == "timeout"
    assert not running[0].done()
    running[0].cancel()


async def test_one_after_the_other_all_are_answered(backend: LlamaBackend) -> None:
    answers = await asyncio.gather(*(backend.answer(request()) for _ in range(1 + WAITING_MAX)))
    assert all(answer.usage.output for answer in answers)


async def test_a_request_beyond_the_context(gguf: Path) -> None:
    backend = LlamaBackend(replace(CARD, context_tokens=1500, output_tokens=300), gguf)
    # Three bytes a token are assumed, and this vocabulary has one: llama.cpp says no by itself.
    with pytest.raises(BackendError) as caught:
        await backend.answer(text("x" * 1400))
    assert (caught.value.code, "context" in caught.value.msg) == ("bad_request", True)
    assert await code_of(backend.answer(text("x" * 40_000))) == "bad_request"
    await backend.aclose()


async def test_odd_texts_do_not_break_it(backend: LlamaBackend) -> None:
    for odd in ("lone \ud83d", "\x00\x01", "<|im_start|>system", "ä€𝄞", '{"calls":[]}', ""):
        assert (await backend.answer(request(("u", odd)))).usage.output


async def test_without_a_grammar_its_answer_is_refused(backend: LlamaBackend) -> None:
    """A spec that llama.cpp makes no grammar of (a toolset would have left it out): it goes on
    without one, and says so to nobody."""
    odd = {"type": "object", "properties": {"a": {"type": "nonsense"}}, "required": ["a"]}
    spec = ToolSpec("odd", "", odd, True)
    assert await code_of(backend.answer(request(tools=(spec,)))) == "bad_response"
    assert (await backend.answer(request())).usage.output


async def test_closing_ends_what_runs_and_frees_the_model(gguf: Path) -> None:
    def threads() -> int:
        return psutil.Process().num_threads()

    before, python_before = threads(), threading.active_count()
    backend = LlamaBackend(LONG, gguf, extra=ENDLESS)
    await backend.warm()
    assert threads() > before
    tasks = [asyncio.create_task(backend.answer(text())) for _ in range(3)]
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await backend.aclose()
    assert time.monotonic() - began < 2
    assert [await code_of(task) for task in tasks] == ["server"] * 3
    assert await code_of(backend.answer(text())) == "server"
    await until("its threads are gone", lambda: threads() <= before)
    await until("and Python's", lambda: threading.active_count() <= python_before)


async def test_two_models_side_by_side(gguf: Path, backend: LlamaBackend) -> None:
    """As when the configuration is read again: the old one is closed, the new one answers on."""
    other = LlamaBackend(CARD, gguf, extra=RANDOM)
    await other.answer(request())
    await backend.answer(request())
    await other.aclose()
    assert (await backend.answer(request())).usage.output


@pytest.fixture
def cut(gguf: Path, tmp_path: Path) -> Path:
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf.read_bytes()[:20_000])
    return path


async def test_a_file_that_is_cut_fails_without_a_crash(cut: Path) -> None:
    backend = LlamaBackend(CARD, cut)
    await backend.warm()
    for _ in range(2):
        assert await code_of(backend.answer(request())) == "server"
    await backend.aclose()


async def test_nobody_else_can_use_its_port(backend: LlamaBackend) -> None:
    import aiohttp

    await backend.warm()
    url = f"{backend._server.listening_address}/v1/chat/completions"
    body = {"messages": [{"role": "user", "content": "hello"}]}
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        assert response.status == 401


def test_what_is_missing_is_said_with_its_remedy(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.gguf"):
        LlamaBackend(CARD, tmp_path / "nothing.gguf")
    (tmp_path / "text").write_text("no model")
    with pytest.raises(ConfigError, match="no GGUF"):
        LlamaBackend(CARD, tmp_path / "text")
    with pytest.raises(ConfigError, match="house"):
        LlamaBackend(replace(CARD, local=False), gguf)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'ganglion\[llama\]'"):
        LlamaBackend(CARD, gguf)


# -- shapes


@pytest.fixture
def said() -> Iterator[dict[str, Any]]:
    yield {"calls": [{"tool": "gpio_read", "args": {"pin": 5}}], "say": ""}


def whole(content: Any, finish: str = "stop") -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish, "message": {"content": content}}]}


def test_an_object_becomes_calls(said: dict[str, Any]) -> None:
    (choice,) = shape.completion_of(whole(json.dumps(said)), "m")["choices"]
    assert choice["message"]["tool_calls"] == [
        {"function": {"name": "gpio_read", "arguments": {"pin": 5}}}
    ]


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "Sure!",
        "[]",
        "5",
        "{}",
        '{"calls":[],"say":5}',
        '{"calls":{},"say":""}',
        '{"calls":[],"say":"a"',
        "{" * 100_000,
        '{"calls":[],"say":NaN}',
    ],
)
def test_any_other_text_is_a_bad_response(content: str | None) -> None:
    with pytest.raises(BackendError) as caught:
        shape.completion_of(whole(content), "m")
    assert caught.value.code == "bad_response"


def test_roles_alternate_and_results_come_back_as_data() -> None:
    ran = ("gpio_read", {"pin": 5}, {"level": 1})
    asked = request(("u", "hello"), ("a", "Hi."), ("u", "on?"), ("d", (ran, ran)), ("u", "so?"))
    messages = shape.messages(prompt.messages(asked), asked.tools)
    roles = [m["role"] for m in messages]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert json.loads(messages[2]["content"]) == {"calls": [], "say": "Hi."}
    called = json.loads(messages[4]["content"])["calls"]
    assert called == [{"tool": "gpio_read", "args": {"pin": 5}}] * 2
    results = messages[5]["content"]
    assert results.startswith('{"result":{"level":1}}\n{"result":{"level":1}}\nso?')
    instructions = messages[0]["content"]
    assert all(tool.name in instructions for tool in TOOLS)
    assert instructions.endswith(prompt.system(asked))


async def test_another_device_and_another_fact_leave_the_tools_in_the_context(
    backend: LlamaBackend,
) -> None:
    """On one thread, tools of 20 KB take minutes to read."""
    await backend.answer(request())
    other = replace(request(), device="shed", facts={"plants": "like mornings"}, points=())
    usage = (await backend.answer(other)).usage
    assert usage.cached > len(shape.FORM) + len(prompt.functions(TOOLS))


def test_what_a_grammar_cannot_hold_is_left_to_the_check() -> None:
    args = {
        "type": "object",
        "x-order": ["a"],
        "properties": {
            "a": {"type": "string", "maxLength": 100_000, "not": {"const": ""}, "x-point": True},
            "b": {"type": "array", "items": {"type": "integer", "multipleOf": 3}, "maxItems": 4},
        },
        "if": {"required": ["a"]},
        "required": ["a"],
    }
    built = shape.schema([ToolSpec("t", "", args, True)])
    call = built["anyOf"][0]["properties"]["calls"]["items"]["anyOf"][0]
    assert call["properties"]["args"] == {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "array", "items": {"type": "integer"}, "maxItems": 4},
        },
        "required": ["a"],
        "additionalProperties": False,
    }
