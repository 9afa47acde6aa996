"""About how long a prompt would be, cheaply: for plans and what-if, on the way of every ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from companion.backends import fit, prompt
from companion.backends.base import Message, Request, ToolSpec
from companion.router.decide import rounded

_KEPT: Final = 256
_MESSAGE_BYTES: Final = 32
"""Around each message, its role and quotes."""
_POINT_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class _Base:
    """The same instructions and tools for every ask with this toolset. It holds the specs, so
    that no others can come to have their id."""

    tools: Sequence[ToolSpec]
    whole: int
    least: int


class Sizes:
    """Keeps what does not change from ask to ask: the instructions and tools, in bytes."""

    def __init__(self) -> None:
        self._bases: dict[int, _Base] = {}

    def tokens(self, request: Request) -> int:
        """Tokens that a model would be sent, within a tenth or so of ``prompt.measure``."""
        return (self._base(request).whole + _rest(request)) // prompt.BYTES_PER_TOKEN

    def rounded(self, request: Request) -> tuple[int, int]:
        """``Signal.prompt_tokens`` and ``prompt_min_tokens``."""
        base = self._base(request)
        whole = (base.whole + _rest(request)) // prompt.BYTES_PER_TOKEN
        # Tools beyond the core ones and old turns can be left out (backends.fit).
        newest = request.messages[max(prompt.newest_user(request.messages), 0) :]
        least = base.least + _rest(request, newest)
        return rounded(whole), rounded(-(-least // fit.BYTES_PER_TOKEN))

    def _base(self, request: Request) -> _Base:
        key = id(request.tools)
        base = self._bases.get(key)
        if base is None:
            if len(self._bases) >= _KEPT:
                self._bases.clear()
            base = self._bases[key] = _measure(request)
        return base


def _measure(request: Request) -> _Base:
    def size(tools: tuple[ToolSpec, ...]) -> int:
        bare = Request(
            device="",
            turn_id="",
            text="",
            messages=(),
            tools=tools,
            points=(),
            facts={},
            deadline=0,
            now=0,
            wants_text=request.wants_text,
        )
        return prompt.measure(bare).bytes

    core = tuple(spec for spec in request.tools if spec.name.startswith(fit.CORE))
    return _Base(request.tools, size(request.tools), size(core))


def _rest(request: Request, messages: Sequence[Message] | None = None) -> int:
    """Bytes besides instructions and tools."""
    total = _POINT_BYTES * len(request.points)
    for message in request.messages if messages is None else messages:
        words = message[1]
        total += _MESSAGE_BYTES + (len(words) if isinstance(words, str) else len(str(words)))
    for key, value in request.facts.items():
        total += len(key) + len(value) + 6
    return total
