"""The ``commands`` backend: a request → calls, in microseconds, with no model and no cost."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from companion.backends.base import Answer, Call, Card, Declined, Point, Request, ToolSpec
from companion.backends.commands.grammar import Grammar
from companion.backends.commands.lexicon import Lexicon
from companion.toolset import Toolset, build

_Names = tuple[tuple[tuple[str, int, str], ...], tuple[str, ...]]
_K = TypeVar("_K")
_V = TypeVar("_V")

_DEVICES = 2048
"""Lexicons and toolsets kept: more devices than one companion is meant for."""
_SENTENCES = 1024
"""Results kept. People and automations say the same few things again."""


class CommandsBackend:
    """Understands a fixed range of English sentences about one device; see ``docs/commands.md``.

    What it understands depends on the text, the names and directions of the points, the groups,
    the tool specs and the stored facts, on nothing else, so results are kept. It never raises
    anything but Declined.
    """

    card: Final = Card(
        "commands", tier="edge", needs_context=False, local=True, quality=100, typical_ms=1
    )

    def __init__(self) -> None:
        self._grammars: _Recent[_Names, Grammar] = _Recent(_DEVICES)
        self._toolsets: _Recent[tuple[str, ...], Toolset] = _Recent(64)
        # By identity, with the object itself so that its address cannot be used again.
        self._by_points: _Recent[int, tuple[Sequence[Point], Sequence[str], Grammar]]
        self._by_points = _Recent(_DEVICES)
        self._by_tools: _Recent[int, tuple[Sequence[ToolSpec], Toolset]] = _Recent(_DEVICES)
        self._results: _Recent[tuple[str, int, int], _Result] = _Recent(_SENTENCES)

    async def answer(self, request: Request) -> Answer:
        """As ``answer_now``."""
        return self.answer_now(request)

    def answer_now(self, request: Request) -> Answer:
        """The calls that the newest text asks for; receipts speak for themselves, so there is
        neither text nor a further round. Raises Declined."""
        if not request.text:
            raise Declined("there is no request in it")
        grammar = self._grammar(request.points, request.groups)
        tools = self._toolset(request.tools)
        key = (request.text, id(grammar), id(tools))
        # Facts change what "forget …" means; they are rarely sent to a backend like this one.
        kept = None if request.facts else self._results.get(key)
        if kept is not None and kept.grammar is grammar and kept.tools is tools:
            return kept.answer_or_raise()
        result = _Result(grammar, tools)
        try:
            calls = grammar.parse(request.text, request.facts, tools.checks.keys())
            for call in calls:
                wrong = tools.wrong(call.tool, call.args)
                inner = call.args.get("tool")
                if wrong is None and inner is not None:  # what a schedule or a rule runs
                    wrong = tools.wrong(inner, call.args.get("args"))
                if wrong is not None:
                    raise Declined(f"this device takes no such call: {wrong}")
            result.calls = calls
        except Declined as declined:
            result.reason = declined.reason
        if not request.facts:
            self._results.put(key, result)
        return result.answer_or_raise()

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _grammar(self, points: Sequence[Point], groups: tuple[str, ...]) -> Grammar:
        seen = self._by_points.get(id(points))
        if seen is not None and seen[0] is points and seen[1] == groups:
            return seen[2]
        # Levels change all the time and mean nothing here.
        key = (tuple((p.name, p.pin, p.dir) for p in points), groups)
        grammar = self._grammars.get(key)
        if grammar is None:
            grammar = Grammar(Lexicon(points, groups))
            self._grammars.put(key, grammar)
        self._by_points.put(id(points), (points, groups, grammar))
        return grammar

    def _toolset(self, specs: Sequence[ToolSpec]) -> Toolset:
        seen = self._by_tools.get(id(specs))
        if seen is not None and seen[0] is specs:
            return seen[1]
        key = tuple(f"{s.name} {s.acts} {s.args}" for s in specs)
        tools = self._toolsets.get(key)
        if tools is None:
            tools = build("", specs, self.card.name)
            self._toolsets.put(key, tools)
        self._by_tools.put(id(specs), (specs, tools))
        return tools


class _Result:
    """What came of a sentence: calls or a reason. Holds grammar and tools, whose addresses are
    its key."""

    __slots__ = ("calls", "grammar", "reason", "tools")

    def __init__(self, grammar: Grammar, tools: Toolset) -> None:
        self.grammar = grammar
        self.tools = tools
        self.calls: tuple[Call, ...] = ()
        self.reason = ""

    def answer_or_raise(self) -> Answer:
        if self.reason:
            raise Declined(self.reason)
        # Arguments are dicts: each answer gets its own, so that no caller changes another's.
        return Answer(calls=tuple(Call(c.tool, dict(c.args)) for c in self.calls))


class _Recent(Generic[_K, _V]):
    """The most recently used entries, ``size`` at most."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[_K, _V] = OrderedDict()

    def get(self, key: _K) -> _V | None:
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: _K, value: _V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
