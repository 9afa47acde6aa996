"""A few real calls to one backend, and what worked: a line each, with the cure where it did not.

It costs what such calls cost: four short answers at most. Nothing here is shown that a key or a
person's sentence could be in.
"""

import dataclasses
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from companion.backends.base import Answer, Backend, BackendError, Request, Usage
from companion.backends.make import Parts, make, plan
from companion.config import BackendConfig
from companion.meter import cost_nano_usd, usd
from companion.toolset import ToolSpec, compile_args

_LIGHT: Final = ToolSpec(
    "set_light",
    "Switch the light.",
    {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
    True,
)
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"room": {"type": "string"}, "lamps": {"type": "integer"}},
    "required": ["room", "lamps"],
    "additionalProperties": False,
}
_TIME_MAX_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """``ok`` None: nothing to pass or fail, only to know."""

    what: str
    ok: bool | None
    detail: str
    cure: str = ""


async def check(
    config: BackendConfig, key: str | None, *, folder: Path | None = None, today: date
) -> AsyncIterator[Finding]:
    """What works of a backend, as it is found out. Raises ConfigError where it cannot be made;
    what an upstream does wrong is a finding."""
    parts = plan(config, folder=folder, today=today)
    if parts.kind != "llama":
        found = await _reach(parts)
        yield found
        if not found.ok:
            return
    backend = make(config, key, folder=folder, today=today)
    spent = 0
    try:
        try:
            answer, ms = await _ask(backend, config, "Answer with the one word: ready")
        except BackendError as error:
            if error.code == "auth":
                yield Finding("key", False, error.msg, _cure(error, config, parts))
            else:
                yield Finding("text", False, error.msg, _cure(error, config, parts))
            return
        yield Finding("key", True, "accepted" if key else "none wanted")
        yield Finding("text", True, f"{ms} ms" + (f", by {answer.model}" if answer.model else ""))
        yield _usage("usage", answer.usage)
        spent += _nano(parts, answer, ms)
        if parts.card.tools:
            async for found, nano in _tools(backend, config, parts):
                spent += nano
                yield found
        if parts.kind != "llama":
            async for found, nano in _stream(config, key, parts, folder, today):
                spent += nano
                yield found
        if parts.json_schema and parts.kind == "openai":
            async for found, nano in _json(config, key, parts, folder, today):
                spent += nano
                yield found
    finally:
        await backend.aclose()
    yield _cost(parts, spent)


async def _reach(parts: Parts) -> Finding:
    """Without the key: whether anybody is there, and which HTTP they speak."""
    import httpx2

    started = time.monotonic()
    try:
        async with httpx2.AsyncClient(
            http2=True, trust_env=not parts.card.local, follow_redirects=False, timeout=10
        ) as client:
            response = await client.get(parts.url.rstrip("/") + "/models")
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        cure = "Start it, or correct its url." if parts.card.local else "Is there a network?"
        why = type(error).__name__
        return Finding("reachable", False, f"no answer from {parts.url} ({why})", cure)
    ms = round((time.monotonic() - started) * 1000)
    return Finding("reachable", True, f"{response.http_version}, {ms} ms")


async def _tools(
    backend: Backend, config: BackendConfig, parts: Parts
) -> AsyncIterator[tuple[Finding, int]]:
    try:
        answer, ms = await _ask(backend, config, "Switch the light on.", (_LIGHT,))
    except BackendError as error:
        yield Finding("tool call", False, error.msg, _cure(error, config, parts)), 0
        return
    nano = _nano(parts, answer, ms)
    yield _tool_call(answer, ms), nano


def _tool_call(answer: Answer, ms: int) -> Finding:
    cure = "Choose a model that calls tools; a local server may want to be told (docs/backends.md)."
    if not answer.calls:
        return Finding("tool call", False, "it called no tool", cure)
    call = answer.calls[0]
    if call.tool != _LIGHT.name:
        return Finding("tool call", False, "it called a tool that there is not", cure)
    wrong = compile_args(_LIGHT.args)(call.args)
    if wrong is not None:
        return Finding("tool call", False, f"its arguments do not fit: {wrong}", cure)
    return Finding("tool call", True, f"valid, {ms} ms")


async def _stream(
    config: BackendConfig, key: str | None, parts: Parts, folder: Path | None, today: date
) -> AsyncIterator[tuple[Finding, int]]:
    streaming = make(dataclasses.replace(config, stream=True), key, folder=folder, today=today)
    try:
        answer, ms = await _ask(streaming, config, "Count from one to ten, in words.")
    except BackendError as error:
        cure = "Leave out stream = true for it."
        yield Finding("streaming", False, error.msg, cure), 0
        return
    finally:
        await streaming.aclose()
    first = "" if answer.first_ms is None else f"first token after {answer.first_ms} ms, "
    yield Finding("streaming", True, f"{first}all after {ms} ms"), _nano(parts, answer, ms)
    yield _usage("usage in a stream", answer.usage), 0


async def _json(
    config: BackendConfig, key: str | None, parts: Parts, folder: Path | None, today: date
) -> AsyncIterator[tuple[Finding, int]]:
    form = {"name": "lamps", "strict": True, "schema": _SCHEMA}
    wanted = {"response_format": {"type": "json_schema", "json_schema": form}}
    extra = {**config.extra, **wanted}
    backend = make(dataclasses.replace(config, extra=extra), key, folder=folder, today=today)
    try:
        answer, ms = await _ask(backend, config, "The kitchen has three lamps. As JSON.")
    except BackendError as error:
        yield Finding("JSON by schema", False, error.msg, "Nothing of ours needs it."), 0
        return
    finally:
        await backend.aclose()
    nano = _nano(parts, answer, ms)
    try:
        wrong = compile_args(_SCHEMA)(json.loads(answer.say or ""))
    except ValueError:
        wrong = "it is no JSON"
    if wrong is None:
        yield Finding("JSON by schema", True, f"valid, {ms} ms"), nano
    else:
        yield Finding("JSON by schema", False, wrong, "Nothing of ours needs it."), nano


async def _ask(
    backend: Backend, config: BackendConfig, text: str, tools: tuple[ToolSpec, ...] = ()
) -> tuple[Answer, int]:
    """The answer and how many milliseconds it took. Raises BackendError."""
    started = time.monotonic()
    request = Request(
        device="check",
        turn_id="check",
        text=text,
        messages=(("u", text),),
        tools=tools,
        points=(),
        facts={},
        deadline=started + min(config.timeout_s, _TIME_MAX_S),
        now=time.time(),
        wants_text=not tools,
    )
    answer = await backend.answer(request)
    return answer, round((time.monotonic() - started) * 1000)


def _usage(what: str, usage: Usage) -> Finding:
    if usage.estimated:
        cure = "Costs of this backend are guesses from lengths; budgets count them as such."
        return Finding(what, False, "not reported", cure)
    detail = (
        f"in {usage.input} ({usage.cached} cached), "
        f"out {usage.output} ({usage.reasoning} reasoning)"
    )
    if usage.suspect:
        cure = "It reports more than can be true. Is it what it says it is?"
        return Finding(what, False, detail, cure)
    return Finding(what, True, detail)


def _nano(parts: Parts, answer: Answer, ms: int) -> int:
    usage = answer.usage
    return cost_nano_usd(
        parts.card.prices,
        usage.input,
        usage.output,
        usage.cached,
        cache_written_tokens=usage.cache_written,
        busy_ms=ms,
    )


def _cost(parts: Parts, nano: int) -> Finding:
    prices = parts.card.prices
    if prices is None:
        return Finding("cost", None, "free")
    by = f" ({prices.version})" if prices.version else ""
    return Finding("cost", None, f"{usd(nano):.6f} USD for these calls{by}")


def _cure(error: BackendError, config: BackendConfig, parts: Parts) -> str:
    if error.code == "auth":
        where = config.key_env or config.key_file or config.key_keyring
        return f"Renew the key in {where}." if where else "It wants a key: say key_env or key_file."
    if error.code == "rate_limit":
        wait = error.retry_after_s
        return f"Try again in {wait:.0f} s." if wait else "Try again later, or raise the limit."
    if "token limit" in error.msg:
        return f"Say more output_tokens than {parts.card.output_tokens}, or choose another model."
    return {
        "not_found": f"Does it have a model {parts.card.model!r}, and is {parts.url} right?",
        "bad_request": "Run it again with --debug: the log says what it refuses.",
        "bad_response": "Is this url that of chat completions?",
        "timeout": "Raise timeout_s, or choose a smaller model.",
        "connection": "Is it up, and is its url right?",
        "refused": "Its filter is strict; try another model.",
    }.get(error.code, "Try again; if it stays so, its provider has trouble.")
