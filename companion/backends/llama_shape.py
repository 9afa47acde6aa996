"""Between a chat completion with tools and a model that is held to one JSON object. Pure.

A small model seldom masters tool calls as its template wants them, and llama.cpp constrains them
only where that template is known to it. So tools, calls and results are plain JSON in plain
messages here, for any model and template alike, and each token is held to a JSON Schema of exactly
the calls that the device's specs allow.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from companion.backends import completion, prompt
from companion.backends.base import BackendError, ToolSpec
from companion.wire import CALLS_MAX

FORM: Final = """\
You answer with one JSON object and nothing else: {"calls":[{"tool":NAME,"args":{}}],"say":TEXT}.
"calls" are the tools that you call, in order; [] for none. "say" is your sentence; "" for none
beside calls. The results of your calls come back to you as JSON. The tools, each with its
description and the JSON Schema of its args:
"""
FORM_BYTES: Final = 640
"""What this shape adds to a prompt: ``FORM``, and the names around calls and results."""
SAY_CHARS_MAX: Final = 400
_LENGTH_MAX: Final = 500
"""Longer bounds on strings and lists are left to the check of the answer: in a grammar each
repetition costs."""
# What grammars are made of. Anything else of a schema is left to the check of the answer.
_KEPT: Final = frozenset(
    {
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "const",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "anyOf",
    }
)


# -- what is asked


def messages(
    whole: Sequence[Mapping[str, Any]], specs: tuple[ToolSpec, ...]
) -> list[dict[str, str]]:
    """The messages of a chat completion, as text alone, with the tools among the instructions.
    Roles alternate after the instructions: many templates refuse anything else."""
    result: list[dict[str, str]] = []
    for message in whole:
        role, text = _plain(message, bool(specs))
        if role == "system" and specs:
            # Before all else: 20 KB that must not be computed anew when a fact or a name changes,
            # or when another device asks.
            text = f"{FORM}{prompt.functions(specs).decode()}\n\n{text}"
        if result and result[-1]["role"] == role:
            result[-1]["content"] += "\n" + text
        else:
            result.append({"role": role, "content": text})
    return result


def _plain(message: Mapping[str, Any], formed: bool) -> tuple[str, str]:
    role, content = message["role"], message.get("content") or ""
    if role == "tool":
        return "user", f'{{"result":{content}}}'
    if role == "assistant" and formed:
        calls = [
            {"tool": call["function"]["name"], "args": json.loads(call["function"]["arguments"])}
            for call in message.get("tool_calls") or ()
        ]
        return role, prompt.encode({"calls": calls, "say": content}).decode()
    return role, content


def schema(specs: Sequence[ToolSpec]) -> dict[str, Any]:
    """Of every answer that makes sense: calls and perhaps a sentence, or a sentence alone."""
    call = {"anyOf": [_call(spec) for spec in specs]}
    calls = {"type": "array", "items": call, "minItems": 1, "maxItems": CALLS_MAX}
    none = {"type": "array", "items": call, "maxItems": 0}
    say = {"type": "string", "maxLength": SAY_CHARS_MAX}
    return {
        "anyOf": [
            _object({"calls": calls, "say": say}),
            _object({"calls": none, "say": {**say, "minLength": 1}}),
        ],
        # Of llguidance, where llama.cpp is built with it: no spaces that only cost tokens.
        "x-guidance": {"whitespace_flexible": False},
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _call(spec: ToolSpec) -> dict[str, Any]:
    args = _grammatical({"type": "object", "properties": {}, **spec.args})
    return _object({"tool": {"const": spec.name}, "args": args})


def _grammatical(node: Any) -> Any:
    """A schema without what grammars cannot hold; what it allows is never less."""
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key in _KEPT}
    for key in ("minLength", "maxLength", "minItems", "maxItems"):
        if isinstance(kept.get(key), int) and kept[key] > _LENGTH_MAX:
            del kept[key]
    if "anyOf" in kept:
        kept["anyOf"] = [_grammatical(child) for child in kept["anyOf"]]
    if "items" in kept:
        kept["items"] = _grammatical(kept["items"])
    if isinstance(kept.get("properties"), dict):
        kept["properties"] = {k: _grammatical(v) for k, v in kept["properties"].items()}
        # As the device does, which refuses what its schema does not name.
        kept["additionalProperties"] = node.get("additionalProperties") is True
    return kept


# -- what comes back


def completion_of(data: Mapping[str, Any], model: str) -> dict[str, Any]:
    """A completion whose text is such an object → the same with tool calls. Raises BackendError
    ``bad_response`` for any other text."""
    choice = data["choices"][0]
    if choice.get("finish_reason") == "length":
        raise BackendError("bad_response", "its answer was cut off at its token limit")
    found = completion.loads((choice["message"].get("content") or "").encode(errors="replace"))
    calls, say = found.get("calls"), found.get("say")
    if not isinstance(calls, list) or not isinstance(say, str):
        raise BackendError("bad_response", "its answer is of another form than it was asked for")
    functions = [
        {"name": call.get("tool"), "arguments": call.get("args")}
        for call in calls
        if isinstance(call, dict)
    ]
    message = {"content": say, "tool_calls": [{"function": function} for function in functions]}
    finish = "tool_calls" if calls else "stop"
    choices = [{"finish_reason": finish, "message": message}]
    return {"model": model, "choices": choices, "usage": data.get("usage")}
