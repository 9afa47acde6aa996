"""The JSON of a chat completion → an Answer, or BackendError ``bad_response``. Pure.

Whatever an upstream sends is taken for a stranger's: each field may be missing or of another
type.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from companion.backends.base import Answer, BackendError, Call, ToolSpec, Usage

CHARS_PER_TOKEN: Final = 4
"""For estimates only; what English text comes to with common tokenizers."""
TEXT_BYTES_MAX: Final = 1024
_MODEL_CHARS_MAX: Final = 64
_TOKENS_MAX: Final = 1_000_000_000
"""What no answer takes; a larger count is a lie that must not overflow anything."""


def read(body: bytes, specs: Sequence[ToolSpec], prompt_chars: int, model: str) -> Answer:
    """The answer in a completion's body. ``prompt_chars`` and ``model`` are what was sent, for
    upstreams that report neither tokens nor their model."""
    data = _loads(body)
    if not isinstance(data, dict):
        _bad("its answer is no JSON object")
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        _bad("its answer is empty (no choices)")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        _bad("its answer is empty (no message)")
    calls = _calls(message)
    say = _text(message)
    _finished(choice.get("finish_reason"), calls)
    if not calls and say is None:
        _bad("it said nothing")
    named = data.get("model")
    return Answer(
        calls=calls,
        say=say,
        more=_more(calls, say, specs),
        usage=_usage(data.get("usage"), prompt_chars, len(body)),
        model=_clean(named if isinstance(named, str) and named else model)[:_MODEL_CHARS_MAX],
    )


def _bad(msg: str) -> NoReturn:
    raise BackendError("bad_response", msg)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _loads(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        if body[:64].lstrip().startswith(b"<"):
            _bad("it sent HTML instead of JSON; is the url right?")
        _bad("it sent malformed JSON")


def _calls(message: Mapping[str, Any]) -> tuple[Call, ...]:
    raw = message.get("tool_calls") or []
    if not isinstance(raw, list):
        _bad("its tool calls are no list")
    calls = []
    for item in raw:
        function = item.get("function") if isinstance(item, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str):
            _bad("a tool call of it has no name")
        calls.append(Call(name, _arguments(function.get("arguments"), name)))
    return tuple(calls)


def _arguments(raw: Any, name: str) -> dict[str, Any]:
    # No arguments come as "", null or "{}"; some servers send an object instead of its text.
    if raw is None or raw == "":
        return {}
    try:
        args = json.loads(raw, parse_constant=_no_constant) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        _bad(f"its arguments of {name[:48]} are malformed JSON")
    if not isinstance(args, dict):
        _bad(f"its arguments of {name[:48]} are no object")
    return args


def _text(message: Mapping[str, Any]) -> str | None:
    content = message.get("content") or message.get("refusal")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        return None
    raw = _clean(content).strip().encode()
    if len(raw) > TEXT_BYTES_MAX:
        raw = raw[: TEXT_BYTES_MAX - 3].decode(errors="ignore").rstrip().encode() + "…".encode()
    return raw.decode() or None


def _clean(text: str) -> str:
    # A lone surrogate is legal in JSON's escapes and cannot be written as UTF-8.
    return text.encode(errors="replace").decode()


def _finished(reason: Any, calls: tuple[Call, ...]) -> None:
    if reason in ("stop", "tool_calls", "function_call"):
        return
    if reason == "length":
        # A text that was cut is still a text. Calls that were cut may lack their end.
        if calls:
            _bad("its calls were cut off at its token limit")
        return
    if reason == "content_filter":
        raise BackendError("refused", "its content filter refused")
    _bad(f"it ended in an unknown way ({str(reason)[:32]})")


def _more(calls: tuple[Call, ...], say: str | None, specs: Sequence[ToolSpec]) -> int:
    if not calls:
        return 0
    acting = {spec.name for spec in specs if spec.acts}
    if say is None and not any(call.tool in acting for call in calls):
        # It only looked something up and has not said what for: it wants the results.
        return 2
    return 1


def _usage(raw: Any, prompt_chars: int, body_bytes: int) -> Usage:
    if not isinstance(raw, dict) or not _count(raw.get("prompt_tokens")):
        return Usage(
            input=-(-prompt_chars // CHARS_PER_TOKEN),
            output=-(-body_bytes // CHARS_PER_TOKEN),
            estimated=True,
        )
    into = raw.get("prompt_tokens_details")
    out = raw.get("completion_tokens_details")
    cached = _count(into.get("cached_tokens")) if isinstance(into, dict) else 0
    return Usage(
        input=_count(raw.get("prompt_tokens")),
        output=_count(raw.get("completion_tokens")),
        # The second name is DeepSeek's.
        cached=cached or _count(raw.get("prompt_cache_hit_tokens")),
        reasoning=_count(out.get("reasoning_tokens")) if isinstance(out, dict) else 0,
    )


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(value, 0), _TOKENS_MAX)
