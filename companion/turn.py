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
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, cast

from companion import wire, wire_out
from companion.accept import acceptor, text_acceptor
from companion.asked import Open, Watch, answer_row, beside_rows, unanswered_row
from companion.backends.base import Message, Request, newest_text
from companion.config.model import Policy
from companion.context import Contexts
from companion.fleet import Device, Fleet
from companion.link import LinkFull
from companion.ops.traces import NO_TRACER, Tracer, end_ask
from companion.router import (
    FREE,
    Accept,
    Answered,
    Bill,
    Needs,
    NoAnswer,
    Outcome,
    Repeated,
    Rest,
    Router,
    Signal,
    Tab,
    deadline_of,
)
from companion.router.sizes import Sizes
from companion.store import Row
from companion.toolset import Toolset

log = logging.getLogger(__name__)

CONCURRENT_MAX: Final = 64
ANSWERS_KEPT: Final = 1024
ANSWERS_KEPT_BYTES: Final = 2 * 1024 * 1024
BUSY_MS: Final = 1000
SETTLE_S: Final = 0.25
"""How long an answer waits for its cost to be counted. Then it goes, and that goes on."""

Publish = Callable[[str, bytes], None]


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


def _unknown(now: float) -> str:
    return ""


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
    tracer: Tracer = NO_TRACER
    local_time: Callable[[float], str] = _unknown
    """Unix seconds → what the house's clock shows, for models; "": nothing is told."""
    watches: dict[tuple[str, str], Watch] = field(default_factory=dict)
    """Who follows which (device, turn)."""
    _open: dict[tuple[str, str], Open] = field(default_factory=dict)
    _answers: _Answers = field(default_factory=_Answers)
    _complaints: dict[str, float] = field(default_factory=dict)
    _sizes: Sizes = field(default_factory=Sizes)
    _settling: set[asyncio.Task[None]] = field(default_factory=set)
    _slow: bool = False
    """The last settling took too long, and that was told."""

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
            self._send(device, turn, wire_out.encode_time(ask.id, int(self.clock())), watch)
            return
        known = self._answers.get(key)
        if known is not None:
            self._send(device, turn, known, watch)
            return
        if key in self._open:
            return
        entry = Open(device, ask, turn, size, began, _NO_TEXT, watch)
        if ask.want == "text":
            self._begin_text(device, ask, entry)
            return
        toolset = self.fleet.toolset(device, ask.tools)
        if toolset is None:
            self._send(device, turn, wire_out.encode_resend(ask.id, ("tools",)), watch)
            return
        self._begin(device, ask, toolset, entry)

    def on_cancel(self, device: str, payload: bytes) -> None:
        """A device gave an ask up. Never raises."""
        try:
            ask_id = wire.parse(wire.Cancel, payload).id
        except wire.WireError as error:
            self._complain(device, error)
            return
        entry = self._open.get((device, ask_id))
        if entry is None or entry.ended:
            return
        bill = FREE if entry.tab is None else entry.tab.bill()
        if entry.task is not None:
            entry.task.cancel()
        del self._open[(device, ask_id)]
        self._remember(entry)
        payload = wire_out.encode_err(ask_id, "canceled", "the device gave this ask up")
        row = unanswered_row(entry, bill, self._sizes, self.clock(), "canceled", "canceled")
        # From here on for its doubles, whatever the counting takes.
        self._answers.put((device, ask_id), payload)
        if bill.claimed:
            self._spawn(self._settle_and_finish(entry, bill, payload, row))
        else:
            self._finish(entry, payload, row, bill)

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
        await asyncio.gather(*tasks, *self._settling, return_exceptions=True)

    # -- the way of one ask

    def _begin(self, device: str, ask: wire.Ask, toolset: Toolset, entry: Open) -> None:
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
        known = self.fleet.get(device)
        now = self.clock()
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
            now=now,
            local_time=self._local(now),
            persona=ask.persona,
        )
        entry.signal = self._signal(request, missing)
        self._route(entry, request, acceptor(ask.id, toolset))

    def _begin_text(self, device: str, ask: wire.Ask, entry: Open) -> None:
        """A routine wants a text. It has no conversation and no tools; what the device's points
        read is known here."""
        known = self.fleet.get(device)
        now = self.clock()
        request = Request(
            device=device,
            turn_id=entry.turn,
            text=newest_text(ask.new),
            messages=ask.new,
            tools=(),
            points=() if known is None else known.points,
            facts={},
            deadline=deadline_of(entry.began, ask.ms),
            now=now,
            local_time=self._local(now),
            persona=ask.persona,
            wants_text=True,
        )
        entry.signal = self._signal(request, ())
        self._route(entry, request, text_acceptor(ask.id))

    def _signal(self, request: Request, missing: tuple[str, ...]) -> Signal:
        """What the router decides by."""
        router = self.router
        policy = cast("Policy | None", wire.policy_of(request.turn_id))
        settings = router.settings(request.device, policy)
        # Without a model there is nothing that a prompt could be too long for.
        whole, least = self._sizes.rounded(request) if router.needs_context else (0, 0)
        return Signal(
            bool(request.text),
            missing,
            request.wants_text,
            settings.policy,
            settings.allow,
            settings.deny,
            settings.order,
            whole,
            least,
            router.spent(request.device),
        )

    def _local(self, now: float) -> str:
        # Only models are told.
        return self.local_time(now) if self.router.needs_context else ""

    def preview(self, device: Device, text: str, policy: Policy | None) -> tuple[Signal, Request]:
        """What an ask of ``device`` for ``text`` would be, as far as this companion can know:
        without what was said before."""
        toolset = self.fleet.toolset(device.id, device.tools or "")
        turn = f"{policy[0]}_explain" if policy else "explain"
        now = self.clock()
        request = Request(
            device=device.id,
            turn_id=turn,
            text=text,
            messages=(("u", text),),
            tools=() if toolset is None else toolset.specs,
            points=device.points,
            groups=device.groups,
            facts=next(reversed(device.facts.values()), {}),
            deadline=time.monotonic(),
            now=now,
            local_time=self._local(now),
        )
        return self._signal(request, ()), request

    def _route(self, entry: Open, request: Request, accept: Accept) -> None:
        """Ask the fast backends here and now, the others in a task."""
        device, ask, signal = entry.device, entry.ask, entry.signal
        entry.request = request
        entry.trace = self.tracer.ask(device, ask.id, entry.turn)
        outcome = self.router.run_now(self.router.plan(signal), signal, request, accept)
        if not isinstance(outcome, Rest):
            self._conclude(entry, outcome)
        elif len(self._open) >= self.concurrent_max:
            # Spread, or all who were turned away come back together.
            busy_ms = random.randint(BUSY_MS // 2, BUSY_MS * 2)
            self._send(device, entry.turn, wire_out.encode_busy(ask.id, busy_ms), entry.watch)
            entry.trace.end("busy")
        else:
            self._open[(device, ask.id)] = entry
            tab = entry.tab = Tab(ask.id, trace=entry.trace)
            coroutine = self._run(entry, tab, outcome, request, accept)
            entry.task = asyncio.get_running_loop().create_task(coroutine)

    async def _run(
        self, entry: Open, tab: Tab, rest: Rest, request: Request, accept: Accept
    ) -> None:
        key = (entry.device, entry.ask.id)
        try:
            outcome = await self.router.run(rest, entry.signal, request, accept, tab)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("answering %s failed", key)
            text = "Nobody could answer: a fault of the companion; see its log."
            outcome = NoAnswer(text, bill=tab.bill())
        if self._open.get(key) is not entry:
            return
        # A double that comes while this is counted must not begin anew, so it stays open.
        entry.ended = True
        if isinstance(outcome, Answered | NoAnswer) and outcome.bill.claimed:
            await self._settle(entry, outcome.bill, _payload(entry, outcome))
        self._open.pop(key, None)
        self._conclude(entry, outcome)

    def _conclude(self, entry: Open, outcome: Outcome) -> None:
        ask = entry.ask
        if isinstance(outcome, Answered):
            self._remember(entry)
            self._finish(
                entry,
                outcome.payload,
                answer_row(entry, outcome, self._sizes, self.clock()),
                outcome.bill,
            )
        elif isinstance(outcome, Needs):
            payload = wire_out.encode_resend(ask.id, outcome.missing)
            self._send(entry.device, entry.turn, payload, entry.watch)
            entry.trace.end("resend")
        elif isinstance(outcome, Repeated):
            # Whoever answered it first has the row, and the bill.
            self._remember(entry)
            self._answers.put((entry.device, ask.id), outcome.payload)
            self._send(entry.device, entry.turn, outcome.payload, entry.watch)
            entry.trace.end("repeated")
        else:
            self._remember(entry)
            row = unanswered_row(
                entry, outcome.bill, self._sizes, self.clock(), "no_answer", outcome.msg
            )
            self._finish(entry, _payload(entry, outcome), row, outcome.bill)

    async def _settle(self, entry: Open, bill: Bill, payload: bytes) -> None:
        """Count what it came to, before the answer is published, so that an ask that comes again
        is not paid for again. A device waits: not for long."""
        settle = self.router.settle(entry.device, entry.ask.id, bill, payload)
        task = self._spawn(settle)
        done, _ = await asyncio.wait({task}, timeout=SETTLE_S)
        if not (done or self._slow):
            log.warning("counting an ask of %s takes long; its answer goes first", entry.device)
        self._slow = not done

    async def _settle_and_finish(self, entry: Open, bill: Bill, payload: bytes, row: Row) -> None:
        await self._settle(entry, bill, payload)
        self._finish(entry, payload, row, bill)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    def _remember(self, entry: Open) -> None:
        """Keep the conversation, if any backend will want it."""
        ask = entry.ask
        if self.router.needs_context and ask.want is None:
            self.contexts.answered(
                entry.device, ask.speaker, entry.turn, ask.id, ask.ctx, ask.n, ask.new, entry.size
            )

    def _finish(self, entry: Open, payload: bytes, row: Row, bill: Bill) -> None:
        self._answers.put((entry.device, entry.ask.id), payload)
        self._send(entry.device, entry.turn, payload, entry.watch)
        # The answer's comes last, as whoever follows the turn wants it.
        for one in (*beside_rows(entry, bill, row.time), row) if bill.beside else (row,):
            self.record(one)
            if entry.watch is not None:
                entry.watch.recorded(one)
        end_ask(entry.trace, row)

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


def _payload(entry: Open, outcome: Answered | NoAnswer) -> bytes:
    if isinstance(outcome, Answered):
        return outcome.payload
    return wire_out.encode_err(entry.ask.id, "no_answer", outcome.msg)


_NO_TEXT: Final = Signal(False)
