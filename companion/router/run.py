"""A plan under one deadline: attempt, hedge, fall back; a valid answer or an honest refusal.

Attempts share the time that the device gave. One that takes longer than it nearly always does
gets company: the next is started beside it, and the first valid answer wins. A backend in the
house is kept time for, so that the last word is its, as far as there is time at all.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from companion.backends import prompt
from companion.backends.base import Answer, Backend, BackendError, Card, Declined, Request
from companion.meter.purse import Known
from companion.ops.traces import NO_SPAN
from companion.ops.traces import Span as Trace
from companion.router.crew import Crew
from companion.router.decide import Signal, Step, Verdict
from companion.router.gate import Gate
from companion.router.outcome import (
    Accept,
    Answered,
    Needs,
    NoAnswer,
    Outcome,
    Repeated,
    Rest,
    no_answer_text,
    why,
)
from companion.router.parts import Parts, Span, problem
from companion.router.tab import Most, Tab, most_of
from companion.router.words import beside, left_alone, with_budget

SHARE_OF_REST: Final = 0.6
"""Of the time left, what one attempt may take while another could follow."""
KEEP_SHARE_MAX: Final = 0.7
"""Of the time left, what is kept at most for a backend in the house that comes later."""
MARGIN_SHARE: Final = 0.1
MARGIN_MIN_S: Final = 0.5
"""Kept back of a deadline for the way to the device: the larger of 10 % and 500 ms."""
ATTEMPT_MIN_S: Final = 0.05
"""With less left than this an attempt is not begun."""
BESIDE: Final = 2
"""Attempts at a time."""


def deadline_of(now: float, ask_ms: int) -> float:
    """When an answer must be ready, for an ask that allows ``ask_ms`` from ``now`` (monotonic
    seconds). The margin never takes more than half."""
    whole = ask_ms / 1000
    margin = min(max(whole * MARGIN_SHARE, MARGIN_MIN_S), whole / 2)
    return now + whole - margin


def attempt_s(left_s: float, others_follow: bool, keep_s: float = 0.0) -> float:
    """How long one attempt may take: its share, less what is kept for one in the house."""
    if not others_follow:
        return left_s
    return min(left_s * SHARE_OF_REST, left_s - min(keep_s, left_s * KEEP_SHARE_MAX))


@dataclass(slots=True, eq=False)
class _Running:
    """An attempt under way: at first it may wait for its reservation."""

    step: Step
    backend: Backend
    limit_at: float
    """Until then while others follow."""
    most: Most
    gate: "asyncio.Task[str | Known] | None" = None
    task: "asyncio.Task[Answer] | None" = None
    asked_at: float = 0.0
    expected_s: float = 0.0
    span: Span | None = None
    trace: Trace = NO_SPAN

    @property
    def waits_on(self) -> "asyncio.Task[Any]":
        task = self.task or self.gate
        assert task is not None
        return task


class Course:
    """One plan being carried out."""

    def __init__(
        self,
        parts: Parts,
        rest: Rest,
        signal: Signal,
        request: Request,
        accept: Accept,
        tab: Tab,
        turned: str,
    ) -> None:
        """``turned``: the sentence that says which budget has turned the plan away from backends
        with a price, "" when none has."""
        self._parts = parts
        self._rest = rest
        self._crew: Crew = rest.crew
        self._signal = signal
        self._request = request
        self._accept = accept
        self._tab = tab
        self._gate = Gate(parts, request, tab, turned)
        self._deadline = request.deadline
        self._keep_most_s = (request.deadline - time.monotonic()) * KEEP_SHARE_MAX
        self._queue = deque(rest.plan.steps[rest.at :])
        self._running: list[_Running] = []
        self._attempts = list(rest.attempts)
        self._out: dict[str, str] = {}
        self._size: prompt.Size | None = None

    async def go(self) -> Outcome:
        """Never raises but for cancellation."""
        self._crew.hold()
        try:
            return await self._go()
        finally:
            for running in list(self._running):
                self._give_up(running, BackendError("canceled", "another was first"))
            self._crew.release()

    async def _go(self) -> Outcome:
        while True:
            now = time.monotonic()
            self._expire(now)
            while self._wants_another(now):
                if self._queue[0].missing:
                    return Needs(self._queue[0].missing)
                self._begin_next(now)
            if not self._running:
                return self._nobody()
            tasks = {running.waits_on: running for running in self._running}
            timeout = max(self._wake_at() - time.monotonic(), 0)
            done, _ = await asyncio.wait(
                tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            # In the order of the plan, should several have come at once.
            for running in [r for r in self._running if r.waits_on in done]:
                if running.task is not None:
                    outcome = self._ended(running, running.task)
                else:
                    assert running.gate is not None
                    outcome = self._passed(running, running.gate)
                if outcome is not None:
                    return outcome

    # -- who is next, and when

    def _wants_another(self, now: float) -> bool:
        """Whether a further attempt is to begin: nobody is at it, or who is takes unusually
        long."""
        if not self._queue or self._deadline - now < ATTEMPT_MIN_S:
            return False
        if not self._running:
            return True
        return (
            self._crew.config.hedge
            and len(self._running) < BESIDE
            and not self._queue[0].missing
            and all(r.asked_at and now >= r.asked_at + r.expected_s for r in self._running)
        )

    def _begin_next(self, now: float) -> None:
        """The next of the plan; the one in the house when there is just time for it. That one
        then has all the time there is: who follows does so only when it fails."""
        left_s = self._deadline - now
        house = self._house()
        if house is not None and left_s <= house[1]:
            self._queue.remove(house[0])
            self._begin(house[0], now, left_s, 0.0)
            return
        step = self._queue.popleft()
        house = self._house()
        keep_s = 0.0 if house is None else house[1]
        self._begin(step, now, attempt_s(left_s, bool(self._queue), keep_s), keep_s)

    def _house(self) -> tuple[Step, float] | None:
        """The first of those that follow that needs neither money nor the world outside, and how
        long it takes. None, too, where that is longer than could ever be kept for it."""
        for step in self._queue:
            card = self._crew.by_name[step.name].card
            if card.local and card.prices is None:
                expected_s = self._expected_s(step.name)
                return (step, expected_s) if expected_s <= self._keep_most_s else None
        return None

    def _expected_s(self, name: str) -> float:
        card = self._crew.by_name[name].card
        return self._parts.health.p95_ms(card, self._parts.clock())[0] / 1000

    def _wake_at(self) -> float:
        at = self._deadline
        for running in self._running:
            if self._queue and running.asked_at:
                at = min(at, running.limit_at)
                if self._crew.config.hedge and len(self._running) < BESIDE:
                    at = min(at, running.asked_at + running.expected_s)
        return at

    def _expire(self, now: float) -> None:
        """Give up what has had its time."""
        for running in list(self._running):
            if running.asked_at and self._queue:
                over = now >= running.limit_at
            else:
                over = now >= self._deadline
            if not over:
                continue
            error = BackendError("timeout", f"no answer within {now - running.asked_at:.1f} s")
            if running.asked_at:
                self._attempts.append(problem(running.step.name, error))
            self._give_up(running, error)

    # -- one attempt

    def _begin(self, step: Step, now: float, limit_s: float, keep_s: float) -> None:
        backend = self._crew.by_name[step.name]
        card = backend.card
        left_s = self._deadline - now
        closed = self._parts.health.breaker(step.name).why(self._parts.clock())
        if closed:
            self._out[step.name] = closed
            return
        most = Most()
        if card.prices is not None:
            most = most_of(card, self._measured().bound_tokens, round(left_s * 1000))
            barred = self._gate.bars(most)
            if barred:
                self._out[step.name] = barred
                return
        running = _Running(step, backend, now + limit_s, most)
        self._running.append(running)
        if self._gate.stands(card):
            until = self._deadline - max(keep_s, ATTEMPT_MIN_S)
            gate = self._gate.passes(card, most, until, self._is_least(most, left_s))
            running.gate = asyncio.ensure_future(gate)
        else:
            self._ask(running)

    def _is_least(self, most: Most, left_s: float) -> bool:
        """Whether nobody of the plan could come to less."""
        for step in self._rest.plan.steps:
            card = self._crew.by_name[step.name].card
            if card.prices is not None:
                other = most_of(card, self._measured().bound_tokens, round(left_s * 1000))
                if other.nano < most.nano or other.tokens < most.tokens:
                    return False
        return True

    def _measured(self) -> prompt.Size:
        if self._size is None:
            self._size = prompt.measure(self._request)
        return self._size

    def _passed(self, running: _Running, gate: "asyncio.Task[str | Known]") -> Outcome | None:
        """The gate has opened, or not."""
        name = running.step.name
        try:
            said = gate.result()
        except (Exception, asyncio.CancelledError) as error:
            said = problem(name, RuntimeError(f"its gate: {error!r}")).msg
        if isinstance(said, Known):
            if said.payload:
                return Repeated(said.payload)
            return NoAnswer(
                "This was answered over an hour ago, and is not repeated; say it again."
            )
        if said:
            self._running.remove(running)
            self._out[name] = said
        else:
            self._ask(running)
        return None

    def _ask(self, running: _Running) -> None:
        parts, card = self._parts, running.backend.card
        if not parts.health.breaker(card.name).take(parts.clock()):
            self._running.remove(running)
            self._out[card.name] = parts.health.breaker(card.name).why(parts.clock())
            return
        running.asked_at = time.monotonic()
        if self._queue and running.gate is not None:
            # Its share begins when it is asked, not when its budget was.
            left_s = self._deadline - running.asked_at
            running.limit_at = max(running.limit_at, running.asked_at + left_s * SHARE_OF_REST)
        running.expected_s = self._expected_s(card.name)
        self._tab.asked_at = self._tab.asked_at or running.asked_at
        self._tab.begin(running, card, running.most)
        running.span = None if parts.energy is None else parts.energy.begin(card)
        running.trace = self._tab.trace.attempt(card.name, card.tier, card.model)
        self._crew.hold()
        running.task = asyncio.ensure_future(running.backend.answer(self._request))
        running.task.add_done_callback(self._released)

    def _released(self, task: "asyncio.Task[Answer]") -> None:
        if not task.cancelled():
            task.exception()  # Known by now, or of no interest.
        self._crew.release()

    # -- how it ended

    def _ended(self, running: _Running, task: "asyncio.Task[Answer]") -> Outcome | None:
        self._running.remove(running)
        error: Exception
        if task.cancelled():
            error = BackendError("internal", "it gave up by itself")
        elif (raised := task.exception()) is None:
            return self._judged(running, task.result())
        elif isinstance(raised, Exception):
            error = raised
        else:
            raise raised
        self._measure_energy(running, 0)
        self._tab.failed(running, error)
        self._note(running, error)
        attempt = problem(running.step.name, error)
        self._attempts.append(attempt)
        self._over(running, attempt.code)
        return None

    def _judged(self, running: _Running, answer: Answer) -> Outcome | None:
        backend, card = running.backend, running.backend.card
        parts, now = self._parts, self._parts.clock()
        ms = (time.monotonic() - running.asked_at) * 1000
        self._tab.answered(running, card, answer, round(ms))
        self._measure_energy(running, answer.usage.input + answer.usage.output)
        parts.health.took(card.name, ms, now)
        if not self._signal.wants_text:
            # A routine's text is for a display or a speaker, which it has no place in.
            answer = with_budget(answer, card, self._gate.turned)
        try:
            payload = self._accept(backend, answer)
        except Exception as error:
            attempt = problem(card.name, error)
            parts.health.failed(card.name, now, attempt.code, "its answers cannot be used")
            self._attempts.append(attempt)
            self._over(running, attempt.code)
            self._prefer_better(card)
            return None
        parts.health.succeeded(card.name, now)
        self._over(running, "")
        more = [
            beside(other.step.name, time.monotonic() - other.asked_at, other.most.nano > 0)
            for other in self._running
            if other.task is not None
        ]
        more += left_alone(self._rest.plan.verdicts, lambda name: parts.health.breaker(name).msg)
        for other in list(self._running):
            self._give_up(other, BackendError("canceled", "another was first"))
        attempts = tuple(self._attempts)
        reason = why(running.step.reason, attempts, more)
        if self._gate.turned:
            reason = f"{reason}; {self._gate.turned}"
        return Answered(backend, answer, payload, attempts, self._tab.bill(running), reason)

    def _prefer_better(self, card: Card) -> None:
        """What one could not do, no lesser one is asked for while a better one waits."""
        if self._signal.policy not in ("auto", "private"):
            return
        quality = {step.name: self._crew.by_name[step.name].card.quality for step in self._queue}
        self._queue = deque(
            [step for step in self._queue if quality[step.name] > card.quality]
            + [step for step in self._queue if quality[step.name] <= card.quality]
        )

    def _give_up(self, running: _Running, error: BackendError) -> None:
        """Nobody waits for it any more. Its task may resist: a device waits, so nobody waits
        for that."""
        self._running.remove(running)
        running.waits_on.cancel()
        if running.task is None:
            return
        self._tab.lost(running)
        self._measure_energy(running, 0)
        self._note(running, error)
        self._over(running, error.code)

    def _note(self, running: _Running, error: Exception) -> None:
        """What an attempt without an answer says about the backend's health."""
        name, now = running.step.name, self._parts.clock()
        code = error.code if isinstance(error, BackendError) else "internal"
        if isinstance(error, Declined):
            code = "declined"
        took_s = time.monotonic() - running.asked_at
        slow = took_s >= running.expected_s
        if code in ("timeout", "canceled") and slow:
            # At least so long. Without these only its quick answers would be remembered.
            self._parts.health.took(name, took_s * 1000, now)
        msg = error.msg if isinstance(error, BackendError) else "it failed"
        if code == "timeout" and not slow:
            code = "canceled"  # It was given less time than it needs.
        elif code == "canceled" and slow:
            # Another was asked beside it, and answered. Were that no failure, one that hangs
            # would be asked, and paid for, for ever.
            code, msg = "timeout", f"no answer within {took_s:.1f} s"
        retry_after_s = error.retry_after_s if isinstance(error, BackendError) else None
        self._parts.health.failed(name, now, code, msg, retry_after_s)

    def _over(self, running: _Running, error: str) -> None:
        """For those who watch; ``error`` "" for an answer that was used."""
        self._parts.counted(running.step.name, error or "answered")
        running.trace.end(error)

    def _measure_energy(self, running: _Running, tokens: int) -> None:
        if running.span is not None:
            self._tab.used(*running.span.end(tokens))
            running.span = None

    def _nobody(self) -> NoAnswer:
        plan = self._rest.plan
        verdicts = [
            Verdict(v.name, False, self._out[v.name]) if v.name in self._out else v
            for v in plan.verdicts
        ]
        attempts = tuple(self._attempts)
        text = no_answer_text(self._signal, verdicts, attempts, self._crew.models)
        return NoAnswer(text, attempts, self._tab.bill())
