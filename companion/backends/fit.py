"""A request that is longer than a model can read → one that fits. Pure and deterministic.

A device has some fifty tools, 20 KB of JSON; a small model reads 4,096 tokens. It must still be
able to switch a pin.
"""

import re
from dataclasses import replace
from typing import Final

from companion.backends import prompt
from companion.backends.base import BackendError, Message, Request, ToolSpec

CORE: Final = ("gpio_", "point_")
"""Tools that begin so are what a device is for."""
BYTES_PER_TOKEN: Final = 3
"""Fewer than in estimates: JSON makes more tokens than prose, and a prompt too long is refused."""
_STEM_CHARS: Final = 5
_WORD: Final = re.compile(r"[^\W_]{3,}")


def fits(size: prompt.Size, budget_tokens: int) -> bool:
    """Whether a prompt of this size surely has no more tokens."""
    return size.bytes <= budget_tokens * BYTES_PER_TOKEN


def fit(request: Request, budget_tokens: int) -> Request:
    """The request itself where it fits into ``budget_tokens`` of prompt. Else with fewer tools
    (``fit_tools``); where not even the core ones find room, with the oldest turns of the
    conversation left out first, whole turns at a time, as few as need be. Raises BackendError
    ``bad_request`` when the newest message alone is too long, or leaves no room for any tool."""
    budget_bytes = budget_tokens * BYTES_PER_TOKEN
    if _fixed_bytes(request) + _bytes(request.tools) <= budget_bytes:
        return request
    core = _bytes([spec for spec in request.tools if _is_core(spec)])
    for shorter in _shortened(request):
        if _fixed_bytes(shorter) + core <= budget_bytes:
            break
    tools = fit_tools(shorter, budget_tokens)
    if _fixed_bytes(shorter) > budget_bytes or (request.tools and not tools):
        raise BackendError("bad_request", f"the request is longer than {budget_tokens} tokens")
    return replace(shorter, tools=tools)


def fit_tools(request: Request, budget_tokens: int) -> tuple[ToolSpec, ...]:
    """The tools that fit beside the rest of the request, in the device's order. They are taken
    in this order, and one that finds no room is passed over: the core ones; those called since the
    newest message; those that share most words with it, of the name (which count three times) and
    of the description; the others as the device gives them. Words are the same where their first
    five letters are."""
    room = budget_tokens * BYTES_PER_TOKEN - _fixed_bytes(request)
    newest = prompt.newest_user(request.messages)
    words = _stems(str(request.messages[newest][1])) if newest >= 0 else frozenset()
    called = _called(request.messages[newest + 1 :])

    def rank(spec: ToolSpec) -> tuple[bool, bool, int]:
        shared = 3 * len(words & _stems(spec.name)) + len(words & _stems(spec.desc))
        return not _is_core(spec), spec.name not in called, -shared

    chosen = set()
    for spec in sorted(request.tools, key=rank):
        size = _bytes([spec])
        if size <= room:
            room -= size
            chosen.add(spec.name)
    return tuple(spec for spec in request.tools if spec.name in chosen)


def _shortened(request: Request) -> list[Request]:
    """The request whole, then without its first turn, its first two, and so on."""
    conversation = request.messages
    starts = [at for at, message in enumerate(conversation) if message[0] == "u" and at > 0]
    return [request, *(replace(request, messages=conversation[at:]) for at in starts)]


def _fixed_bytes(request: Request) -> int:
    return prompt.measure(replace(request, tools=())).bytes


def _bytes(specs: list[ToolSpec] | tuple[ToolSpec, ...]) -> int:
    return sum(len(prompt.function(spec)) + 1 for spec in specs)


def _is_core(spec: ToolSpec) -> bool:
    return spec.name.startswith(CORE)


def _called(conversation: tuple[Message, ...]) -> frozenset[str]:
    return frozenset(ran[0] for message in conversation if message[0] == "d" for ran in message[1])


def _stems(text: str) -> frozenset[str]:
    return frozenset(word[:_STEM_CHARS] for word in _WORD.findall(text.casefold()))
