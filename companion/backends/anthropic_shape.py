"""Between the shapes of a chat completion and those of Anthropic's Messages API. Pure.

A request goes out as ``prompt`` writes it, translated; an answer is translated into a completion
and read as any other, so that what is believed of it, and what is not, is decided in one place.
Shapes: https://platform.claude.com/docs/en/api/messages, .../build-with-claude/streaming,
.../build-with-claude/prompt-caching and .../build-with-claude/handling-stop-reasons.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from companion.backends import completion
from companion.backends.base import Answer, BackendError, ToolSpec

EPHEMERAL: Final = {"type": "ephemeral"}
_CUT: Final = "(What was said before is not kept.)"

_FINISHES: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
"""What is left out is none of a plain answer: ``pause_turn`` comes of tools on their side."""

_ERRORS: Final[Mapping[str, tuple[str, str]]] = {
    "authentication_error": ("auth", "it refuses the key"),
    "permission_error": ("auth", "it refuses the key"),
    "billing_error": ("auth", "its account cannot pay"),
    "not_found_error": ("not_found", "it knows no such model or path"),
    "rate_limit_error": ("rate_limit", "its rate limit is reached"),
    "overloaded_error": ("server", "it is overloaded"),
    "api_error": ("server", "it failed"),
    "timeout_error": ("timeout", "it took too long for itself"),
}


# -- what is sent


def body(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    model: str,
    max_tokens: int,
) -> dict[str, Any]:
    """The body of a request, from the messages and tools of a chat completion.

    What is the same from ask to ask ends at a ``cache_control`` each: tools, instructions, and the
    conversation before its newest message.
    """
    system = [m["content"] for m in messages if m["role"] == "system"]
    talk = _talk([m for m in messages if m["role"] != "system"])
    result: dict[str, Any] = {
        "model": model,
        "max_tokens": max_tokens,
        "system": [
            {"type": "text", "text": "\n".join(system), "cache_control": EPHEMERAL},
        ],
        "messages": talk,
    }
    if tools:
        result["tools"] = [_tool(tool["function"]) for tool in tools]
        result["tools"][-1]["cache_control"] = EPHEMERAL
    if len(talk) > 1:
        talk[-2]["content"][-1]["cache_control"] = EPHEMERAL
    return result


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": function["name"],
        "description": function["description"],
        "input_schema": function["parameters"],
    }


def _talk(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages of blocks whose roles alternate, from a user's on: results of tools are a user's
    to them."""
    result: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message)
        if not blocks:
            continue
        if not result and role == "assistant":
            result.append({"role": "user", "content": [{"type": "text", "text": _CUT}]})
        if result and result[-1]["role"] == role:
            result[-1]["content"] += blocks
        else:
            result.append({"role": role, "content": blocks})
    return result


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if message["role"] == "tool":
        id_ = message["tool_call_id"]
        return [{"type": "tool_result", "tool_use_id": id_, "content": content}]
    # An empty text is refused.
    blocks = [{"type": "text", "text": content}] if content and content.strip() else []
    for call in message.get("tool_calls") or ():
        function = call["function"]
        blocks.append(
            {
                "type": "tool_use",
                "id": call["id"],
                "name": function["name"],
                "input": json.loads(function["arguments"]),
            }
        )
    return blocks


# -- what comes back


def parse(raw: bytes) -> dict[str, Any]:
    """The message in the body of an answer. Raises BackendError."""
    message = completion.loads(raw)
    if message.get("type") == "error":
        raise_error(message)
    return message


def read(message: Mapping[str, Any], specs: Sequence[ToolSpec], sent: completion.Sent) -> Answer:
    """The answer in a message, as of a completion that says the same. Raises BackendError
    ``bad_response`` or ``refused``.

    The bound of the input's tokens has room for the instructions that Anthropic itself puts before
    tools (160 to 530 tokens by its page on the pricing of tools): it counts a token a byte, of
    which our own instructions have a thousand.
    """
    return completion.read(completion_of(message), specs, sent)


def completion_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """The chat completion that says the same as this message. Each field may be missing or of
    another type; without content it raises BackendError ``bad_response``."""
    blocks = message.get("content")
    if not isinstance(blocks, list):
        _bad("its answer is empty (no content)")
    texts: list[str] = []
    calls = []
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif kind == "tool_use":
            function = {"name": block.get("name"), "arguments": block.get("input")}
            calls.append({"id": "", "type": "function", "function": function})
    reason = message.get("stop_reason")
    finish = _FINISHES.get(reason, reason) if isinstance(reason, str) else None
    return {
        "model": message.get("model"),
        "choices": [
            {
                "finish_reason": finish,
                "message": {"content": "".join(texts), "tool_calls": calls},
            }
        ],
        "usage": _usage(message.get("usage")),
    }


def _usage(raw: Any) -> dict[str, Any] | None:
    """``input_tokens`` are those that the cache had nothing to do with; the others are apart."""
    if not isinstance(raw, dict):
        return None
    fresh, read, written = (
        _count(raw.get(key))
        for key in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    thought = _count(_at(raw, "output_tokens_details", "thinking_tokens"))
    return {
        "prompt_tokens": fresh + read + written,
        "completion_tokens": _count(raw.get("output_tokens")),
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def _at(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _count(value: Any) -> int:
    return max(value, 0) if isinstance(value, int) and not isinstance(value, bool) else 0


def raise_error(error_body: Any) -> NoReturn:
    """The BackendError for an error that came with status 200 or inside of a stream."""
    kind = _at(error_body, "error", "type")
    code, msg = _ERRORS.get(str(kind), ("server", f"it failed ({str(kind)[:32]})"))
    raise BackendError(code, msg)


def _bad(msg: str) -> NoReturn:
    raise BackendError("bad_response", msg)


# -- a stream


class Assembly:
    """Puts the events of a stream together into the message that would have come in one piece."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}
        self.begun = False
        """Whether something of the answer itself has come."""
        self.ended = False

    def add(self, data: bytes) -> None:
        """The data of one event. Raises BackendError for an error in it and for what makes no
        sense."""
        if self.ended:
            return
        event = completion.loads(data)
        kind = event.get("type")
        if kind == "message_start":
            message = event.get("message")
            self._message = dict(message) if isinstance(message, dict) else {}
        elif kind in ("content_block_start", "content_block_delta"):
            self.begun = True
            self._block(event)
        elif kind == "message_delta":
            self._end_of_message(event)
        elif kind == "message_stop":
            self.ended = True
        elif kind == "error":
            raise_error(event)
        # Others, as ping, are none of ours; new ones may come at any time (their versioning).

    def message(self) -> dict[str, Any]:
        """The message. Raises BackendError when the stream was cut before its end."""
        if not self.ended:
            _bad("its stream was cut before its end")
        for index, parts in self._inputs.items():
            text = "".join(parts)
            if text:
                # As text: the reader of the completion says what is wrong with it.
                self._blocks[index]["input"] = text
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        return {**self._message, "content": blocks}

    def _block(self, event: Mapping[str, Any]) -> None:
        index = event.get("index")
        if not isinstance(index, int):
            _bad("its stream has a block without an index")
        if event["type"] == "content_block_start":
            block = event.get("content_block")
            self._blocks[index] = dict(block) if isinstance(block, dict) else {}
            return
        block, delta = self._blocks.get(index), event.get("delta")
        if block is None or not isinstance(delta, dict):
            _bad("its stream goes on with a block that it never began")
        if isinstance(delta.get("text"), str):
            block["text"] = str(block.get("text") or "") + delta["text"]
        elif isinstance(delta.get("partial_json"), str):
            self._inputs.setdefault(index, []).append(delta["partial_json"])

    def _end_of_message(self, event: Mapping[str, Any]) -> None:
        delta, usage = event.get("delta"), event.get("usage")
        if isinstance(delta, dict):
            self._message.update(delta)
        if isinstance(usage, dict):
            # Cumulative; what it does not repeat was said at the start.
            said = self._message.get("usage")
            known = {k: v for k, v in usage.items() if v is not None}
            self._message["usage"] = {**(said if isinstance(said, dict) else {}), **known}
