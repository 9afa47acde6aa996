"""The JSON of a chat completion → an Answer, or BackendError. Pure.

Whatever an upstream sends is taken for a stranger's: each field may be missing or of another
type, and no number of it is believed past what can be true.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from companion.backends.base import Answer, BackendError, Call, ToolSpec, Usage
from companion.backends.profile import PLAIN, Quirks
from companion.backends.prompt import BYTES_PER_TOKEN, Size

TEXT_BYTES_MAX: Final = 1024
_MODEL_CHARS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Sent:
    """What an answer is held to: the prompt's size, the most tokens that were asked for, and the
    model, for upstreams that do not name theirs."""

    size: Size
    output_tokens: int
    model: str


def read(
    data: Mapping[str, Any], specs: Sequence[ToolSpec], sent: Sent, quirks: Quirks = PLAIN
) -> Answer:
    """The answer in a completion. Raises BackendError ``bad_response`` or ``refused``, or with
    the code that fits when it is an error in spite of its status."""
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise_error(data)
        _bad("its answer is empty (no choices)")
    message = choice.get("message")
    if not isinstance(message, dict):
        raise_error(choice)
        _bad("its answer is empty (no message)")
    raise_error(choice)
    calls = _calls(message)
    say = _say(message)
    _finished(choice.get("finish_reason"), calls)
    if not calls and say is None:
        _bad("it said nothing")
    named = data.get("model")
    return Answer(
        calls=calls,
        say=say,
        more=_more(calls, say, specs),
        usage=_usage(data, message, sent, quirks),
        model=_clean(named if isinstance(named, str) and named else sent.model)[:_MODEL_CHARS_MAX],
    )


def loads(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises BackendError ``bad_response``."""
    try:
        data = _decode(body.decode("utf-8-sig", "surrogatepass"))
    except (ValueError, RecursionError):
        if body[:64].lstrip().startswith(b"<"):
            _bad("it sent HTML instead of JSON; is the url right?")
        _bad("it sent malformed JSON")
    if not isinstance(data, dict):
        _bad("its answer is no JSON object")
    return data


def by_status(status: int) -> tuple[str, str]:
    """A BackendError's code and words for an HTTP status that is no success."""
    if status in (401, 403):
        return "auth", "it refuses the key"
    if status == 402:
        return "auth", "its account has no credit left"
    if status == 404:
        return "not_found", "it knows no such model or path"
    if status in (408, 504):
        return "server", "it took too long by its own clock"
    if status == 429:
        return "rate_limit", "its rate limit is reached"
    if status >= 500:
        return "server", "it failed"
    if 300 <= status < 400:
        return "bad_request", "it redirects elsewhere, which is not followed; is the url right?"
    return "bad_request", "it refuses the request"


def raise_error(data: Mapping[str, Any]) -> None:
    """Raise BackendError where this holds an error object; some servers send one with status 200,
    in a choice or in the middle of a stream."""
    error = data.get("error")
    if not error:
        return
    told = [error.get("code"), error.get("type")] if isinstance(error, dict) else []
    for code in map(str, told):
        if code.isascii() and code.isdigit() and 400 <= int(code) < 600:
            known, words = by_status(int(code))
            raise BackendError(known, f"{words} ({code})")
        if "rate_limit" in code:
            raise BackendError("rate_limit", "its rate limit is reached")
    raise BackendError("server", "it reports an error in its answer")


def text_of(content: Any) -> str:
    """The text in a message's or a delta's content: a string, or a list of parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _bad(msg: str) -> NoReturn:
    raise BackendError("bad_response", msg)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# One for all: json.loads with an argument makes a new one each time.
_decode = json.JSONDecoder(parse_constant=_no_constant).decode


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
        args = _decode(raw) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        _bad(f"its arguments of {name[:48]} are malformed JSON")
    if not isinstance(args, dict):
        _bad(f"its arguments of {name[:48]} are no object")
    return args


def _say(message: Mapping[str, Any]) -> str | None:
    text = text_of(message.get("content")) or text_of(message.get("refusal"))
    raw = _clean(text).strip().encode()
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
    if reason is None:
        _bad("it ended without a finish reason")
    _bad(f"it ended in an unknown way ({str(reason)[:32]})")


def _more(calls: tuple[Call, ...], say: str | None, specs: Sequence[ToolSpec]) -> int:
    if not calls:
        return 0
    acting = {spec.name for spec in specs if spec.acts}
    if say is None and not any(call.tool in acting for call in calls):
        # It only looked something up and has not said what for: it wants the results.
        return 2
    return 1


# -- usage


def _usage(
    data: Mapping[str, Any], message: Mapping[str, Any], sent: Sent, quirks: Quirks
) -> Usage:
    """What it reports, held to what can be true: no more input than ``Size.bound_tokens``, no
    more output than was asked for, and no part larger than its whole."""
    usage = next((u for p in quirks.usage_at if isinstance(u := _at(data, data, p), dict)), {})
    read_in, read_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    cached = _first(data, usage, quirks.cached_at)
    reasoning = _first(data, usage, quirks.reasoning_at)
    if read_out and quirks.reasoning_apart:
        read_out += reasoning
    if read_in and quirks.rest_is_output:
        read_out = max(read_out, _count(usage.get("total_tokens")) - read_in)
    written = _first(data, usage, quirks.cache_written_at)
    input_ = min(read_in or sent.size.tokens, sent.size.bound_tokens)
    # What was thought and is not shown is not in the guess.
    output = min(read_out or _tokens(message), sent.output_tokens)
    held_cached = min(cached, input_)
    held_written = min(written, input_ - held_cached)
    held_reasoning = min(reasoning, output)
    return Usage(
        input=input_,
        output=output,
        cached=held_cached,
        reasoning=held_reasoning,
        estimated=not (read_in and read_out),
        cache_written=held_written,
        suspect=any(
            said > held
            for said, held in (
                (read_in, input_),
                (read_out, output),
                (cached, held_cached),
                (written, held_written),
                (reasoning, held_reasoning),
            )
        ),
    )


def _tokens(message: Mapping[str, Any]) -> int:
    return -(-len(json.dumps(message)) // BYTES_PER_TOKEN)


def _first(data: Mapping[str, Any], usage: Mapping[str, Any], paths: Sequence[str]) -> int:
    """The first count that is there."""
    for path in paths:
        value = _at(data, usage, path)
        if isinstance(value, int):
            return _count(value)
    return 0


def _at(data: Mapping[str, Any], usage: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path (``profile.Quirks``); a number is a place in a list."""
    node: Any = data if path.startswith("/") else usage
    for key in path.removeprefix("/").split("."):
        if isinstance(node, dict):
            node = node.get(key)
        elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return max(value, 0)
