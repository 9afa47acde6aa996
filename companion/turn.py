"""An ask → an answer, once per id.

The hot path (a fast backend answers) runs in place, from the bytes that came to the bytes that
go, without a task or a timer. A model's answer runs in a task of its own, which a cancel ends
and of which there are only so many at a time.
"""

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from companion import wire
from companion.backends.base import Answer, Backend, Message, Request, newest_text
from companion.context import Contexts
from companion.fleet import Fleet
from companion.link import LinkFull
from companion.meter import cost_nano_usd
from companion.router import (
    Accept,
    Answered,
    Invalid,
    Needs,
    NoAnswer,
    Outcome,
    Rest,
    Router,
    Signal,
    deadline_of,
)
from companion.store import Row
from companion.toolset import Toolset

log = logging.getLogger(__name__)

CONCURRENT_MAX: Final = 64
ANSWERS_KEPT: Final = 4096
ANSWERS_KEPT_BYTES: Final = 2 * 1024 * 1024
BUSY_MS: Final = 1000

Publish = Callable[[str, bytes], None]


class Watch(Protocol):
    """Somebody who follows a turn that he began."""

    def asked(self, device: str, turn: str, size: int) -> None:
        """``size`` bytes, topic and payload, went up in this turn."""
        ...

    def answered(self, device: str, turn: str, size: int) -> None:
        """``size`` bytes went down."""
        ...

    def recorded(self, row: Row) -> None:
        """An ask of the turn came to its end here."""
        ...


@dataclass(slots=True)
class _Open:
    """An ask under way: what is needed to answer and to record it."""

    device: str
    ask: wire.Ask
    turn: str
    size: int
    began: float
    signal: Signal
    watch: Watch | None
    task: asyncio.Task[None] | None = None


class _Answers:
    """Final answers by (device, ask id), so that a doubled ask gets the same bytes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[str, str]) -> bytes | None:
        return self._kept.get(key)

    def put(self, key: tuple[str, str], payload: bytes) -> None:
        self._kept[key] = payload
        self._bytes += len(payload)
        while len(self._kept) > ANSWERS_KEPT or self._bytes > ANSWERS_KEPT_BYTES:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone)


@dataclass(slots=True)
class Turns:
    """Takes asks and cancels, publishes answers, records what they came to."""

    publish: Publish
    fleet: Fleet
    contexts: Contexts
    router: Router
    record: Callable[[Row], None]
    concurrent_max: int = CONCURRENT_MAX
    clock: Callable[[], float] = time.time
    watches: dict[tuple[str, str], Watch] = field(default_factory=dict)
    """Who follows which (device, turn)."""
    _open: dict[tuple[str, str], _Open] = field(default_factory=dict)
    _answers: _Answers = field(default_factory=_Answers)
    _complaints: dict[str, float] = field(default_factory=dict)

    # -- what arrives

    def on_ask(self, device: str, payload: bytes, topic_bytes: int) -> None:
        """An ask from a device. Never raises."""
        began = time.monotonic()
        try:
            ask = wire.parse(wire.Ask, payload)
        except wire.WireError as error:
            self._complain(device, error)
            return
        key = (device, ask.id)
        size = len(payload) + topic_bytes
        turn = wire.turn_of(ask.id)
        watch = self.watches.get((device, turn)) if self.watches else None
        if watch is not None:
            watch.asked(device, turn, size)
        if ask.want == "time":
            # Never from the cache: an old time would set the clock back.
            self._send(device, turn, wire.encode_time(ask.id, int(self.clock())), watch)
            return
        known = self._answers.get(key)
        if known is not None:
            self._send(device, turn, known, watch)
            return
        if key in self._open:
            return
        entry = _Open(device, ask, turn, size, began, _NO_TEXT, watch)
        if ask.want == "text":
            self._begin_text(device, ask, entry)
            return
        toolset = self.fleet.toolset(device, ask.tools)
        if toolset is None:
            self._send(device, turn, wire.encode_resend(ask.id, ("tools",)), watch)
            return
        self._begin(device, ask, toolset, entry)

    def on_cancel(self, device: str, payload: bytes) -> None:
        """A device gave an ask up. Never raises."""
        try:
            ask_id = wire.parse(wire.Cancel, payload).id
        except wire.WireError as error:
            self._complain(device, error)
            return
        entry = self._open.pop((device, ask_id), None)
        if entry is None:
            return
        if entry.task is not None:
            entry.task.cancel()
        self._remember(entry)
        payload = wire.encode_err(ask_id, "canceled", "the device gave this ask up")
        self._finish(entry, payload, self._row(entry, outcome="canceled", err="canceled"))

    @property
    def running(self) -> int:
        """Asks that wait for a model."""
        return len(self._open)

    async def aclose(self) -> None:
        """End what runs; the devices ask again elsewhere."""
        tasks = [entry.task for entry in self._open.values() if entry.task is not None]
        self._open.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- the way of one ask

    def _begin(self, device: str, ask: wire.Ask, toolset: Toolset, entry: _Open) -> None:
        text = newest_text(ask.new)
        if ask.facts is not None and ask.mem is not None:
            self.fleet.learn_facts(device, ask.mem, ask.facts)
        messages: tuple[Message, ...] = ask.new
        missing: tuple[str, ...] = ()
        facts = self.fleet.facts(device, ask.mem)
        if self.router.needs_context:
            prefix = self.contexts.lookup(device, ask.speaker, ask.ctx, ask.n)
            if prefix is None or facts is None:
                missing = (("ctx",) if prefix is None else ()) + (("mem",) if facts is None else ())
            if prefix:
                messages = prefix + messages
        entry.signal = Signal(bool(text), missing)
        known = self.fleet.get(device)
        request = Request(
            device=device,
            turn_id=entry.turn,
            text=text,
            messages=messages,
            tools=toolset.specs,
            points=() if known is None else known.points,
            groups=() if known is None else known.groups,
            facts=facts or {},
            deadline=deadline_of(entry.began, ask.ms),
            now=self.clock(),
            persona=ask.persona,
        )
        self._route(entry, request, acceptor(ask.id, toolset))

    def _begin_text(self, device: str, ask: wire.Ask, entry: _Open) -> None:
        """A routine wants a text. It has no conversation and no tools; what the device's points
        read is known here."""
        entry.signal = Signal(True, wants_text=True)
        known = self.fleet.get(device)
        request = Request(
            device=device,
            turn_id=entry.turn,
            text=newest_text(ask.new),
            messages=ask.new,
            tools=(),
            points=() if known is None else known.points,
            facts={},
            deadline=deadline_of(entry.began, ask.ms),
            now=self.clock(),
            persona=ask.persona,
            wants_text=True,
        )
        self._route(entry, request, text_acceptor(ask.id))

    def _route(self, entry: _Open, request: Request, accept: Accept) -> None:
        """Ask the fast backends here and now, the others in a task."""
        device, ask, signal = entry.device, entry.ask, entry.signal
        outcome = self.router.run_now(self.router.plan(signal), signal, request, accept)
        if not isinstance(outcome, Rest):
            self._conclude(entry, outcome)
        elif len(self._open) >= self.concurrent_max:
            # Spread, or all who were turned away come back together.
            busy_ms = random.randint(BUSY_MS // 2, BUSY_MS * 2)
            self._send(device, entry.turn, wire.encode_busy(ask.id, busy_ms), entry.watch)
        else:
            self._open[(device, ask.id)] = entry
            coroutine = self._run(entry, outcome, request, accept)
            entry.task = asyncio.get_running_loop().create_task(coroutine)

    async def _run(self, entry: _Open, rest: Rest, request: Request, accept: Accept) -> None:
        key = (entry.device, entry.ask.id)
        try:
            outcome = await self.router.run(rest, entry.signal, request, accept)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("answering %s failed", key)
            outcome = NoAnswer("Nobody could answer: a fault of the companion; see its log.")
        if self._open.pop(key, None) is not None:
            self._conclude(entry, outcome)

    def _conclude(self, entry: _Open, outcome: Outcome) -> None:
        ask = entry.ask
        if isinstance(outcome, Answered):
            self._remember(entry)
            self._finish(entry, outcome.payload, self._answer_row(entry, outcome))
        elif isinstance(outcome, Needs):
            payload = wire.encode_resend(ask.id, outcome.missing)
            self._send(entry.device, entry.turn, payload, entry.watch)
        else:
            payload = wire.encode_err(ask.id, "no_answer", outcome.msg)
            self._remember(entry)
            self._finish(entry, payload, self._row(entry, outcome="no_answer", err=outcome.msg))

    def _remember(self, entry: _Open) -> None:
        """Keep the conversation, if any backend will want it."""
        ask = entry.ask
        if self.router.needs_context and ask.want is None:
            self.contexts.answered(
                entry.device, ask.speaker, entry.turn, ask.id, ask.ctx, ask.n, ask.new, entry.size
            )

    def _finish(self, entry: _Open, payload: bytes, row: Row) -> None:
        self._answers.put((entry.device, entry.ask.id), payload)
        self._send(entry.device, entry.turn, payload, entry.watch)
        self.record(row)
        if entry.watch is not None:
            entry.watch.recorded(row)

    def _answer_row(self, entry: _Open, answered: Answered) -> Row:
        backend, answer = answered.backend, answered.answer
        usage = answer.usage
        return self._row(
            entry,
            backend=backend.card.name,
            tier=backend.card.tier,
            model=answer.model,
            tokens_in=usage.input,
            tokens_out=usage.output,
            tokens_cached=usage.cached,
            tokens_reasoning=usage.reasoning,
            estimated=int(usage.estimated),
            nano_usd=cost_nano_usd(backend.card.prices, usage.input, usage.output, usage.cached),
        )

    def _row(self, entry: _Open, **more: Any) -> Row:
        return Row(
            time=self.clock(),
            device=entry.device,
            ask=entry.ask.id,
            turn=entry.turn,
            speaker=entry.ask.speaker,
            ms=round((time.monotonic() - entry.began) * 1000),
            **more,
        )

    def _send(self, device: str, turn: str, payload: bytes, watch: Watch | None) -> None:
        topic = wire.down(device, "answer")
        try:
            self.publish(topic, payload)
        except LinkFull as error:
            # The device asks again with the same id and gets this answer from the cache.
            log.warning("an answer to %s waits: %s", device, error)
            return
        if watch is not None:
            watch.answered(device, turn, len(topic) + len(payload))

    def _complain(self, device: str, error: wire.WireError) -> None:
        # Once a minute and device: a broken one must not fill the log.
        now = time.monotonic()
        if now - self._complaints.get(device, -60.0) >= 60.0:
            if len(self._complaints) > 1000:
                self._complaints.clear()
            self._complaints[device] = now
            log.warning("%s sent what is no ask or cancel: %s: %s", device, error.code, error.msg)


_NO_TEXT: Final = Signal(False)


def acceptor(ask_id: str, toolset: Toolset) -> Accept:
    """The check that every answer passes before it leaves: its calls against the device's tool
    specs, its text and size against the wire."""

    def accept(backend: Backend, answer: Answer) -> bytes:
        calls, say = answer.calls, answer.say
        if len(calls) > wire.CALLS_MAX:
            raise Invalid(f"{len(calls)} calls; at most {wire.CALLS_MAX}")
        if not calls and not say:
            raise Invalid("it says and does nothing")
        if say is not None and len(say.encode(errors="replace")) > wire.TEXT_BYTES_MAX:
            raise Invalid(f"its text is over {wire.TEXT_BYTES_MAX} bytes")
        pairs = []
        for call in calls:
            reason = toolset.wrong(call.tool, call.args)
            if reason is not None:
                raise Invalid(reason)
            pairs.append((call.tool, call.args))
        by = f"{backend.card.tier}/{backend.card.name}"
        try:
            return wire.encode_answer(ask_id, by, pairs, say or None, answer.more)
        except wire.WireError as error:
            raise Invalid(error.msg) from None

    return accept


def text_acceptor(ask_id: str) -> Accept:
    """The check of an answer that is to be a text: a routine's actions are those that were
    checked when it was stored, so a call has no place in it."""

    def accept(backend: Backend, answer: Answer) -> bytes:
        if answer.calls:
            raise Invalid("it called tools where a text was asked for")
        if not answer.say or not answer.say.strip():
            raise Invalid("it says nothing")
        try:
            say = wire.fit(answer.say, wire.TEXT_BYTES_MAX)
            return wire.encode_answer(ask_id, f"{backend.card.tier}/{backend.card.name}", say=say)
        except wire.WireError as error:
            raise Invalid(error.msg) from None

    return accept
