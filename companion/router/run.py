"""Who is asked, in which order and why; then asking them under one deadline.

``decide`` is pure: what is known of the ask and of the backends → a ``Plan`` with a verdict on
each. ``Router`` carries a plan out. Fast backends are called in place; the rest share what is
left of the time, so that one that hangs leaves some for the next.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from companion.backends.base import (
    Answer,
    Backend,
    BackendError,
    Declined,
    FastBackend,
    Request,
    Tier,
)
from companion.wire import fit

log = logging.getLogger(__name__)

SHARE_OF_REST: Final = 0.6
"""Of the time left, what one attempt may take while another could follow."""
MARGIN_SHARE: Final = 0.1
MARGIN_MIN_S: Final = 0.5
"""Kept back of a deadline for the way to the device: the larger of 10 % and 500 ms."""
ATTEMPT_MIN_S: Final = 0.05
"""With less left than this an attempt is not begun."""
NO_ANSWER_BYTES: Final = 400
_REASON_BYTES: Final = 120
_PAUSE_AUTH_S: Final = 60.0
_PAUSE_RATE_S: Final = 5.0
_PAUSE_MAX_S: Final = 3600.0


# -- the decision


@dataclass(frozen=True, slots=True)
class Signal:
    """What the decision knows of an ask."""

    has_text: bool
    """False in a round that only brings receipts."""
    missing: tuple[str, ...] = ()
    """Parts this companion does not hold: "ctx", "mem"."""
    wants_text: bool = False
    """True where only a text is wanted, and no calls."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the decision knows of a backend. ``unfit`` says why it cannot be asked now, "" when
    it can."""

    name: str
    tier: Tier
    needs_context: bool
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The backends in the order of the configured policy."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """Ask this backend; with ``missing`` the device must first send those parts whole."""

    name: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a backend is in the plan, or is not."""

    name: str
    chosen: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and a verdict on every candidate."""

    steps: tuple[Step, ...]
    verdicts: tuple[Verdict, ...]


def decide(signal: Signal, snapshot: Snapshot) -> Plan:
    """The ordered policy: everyone fit, in the configured order."""
    steps: list[Step] = []
    verdicts: list[Verdict] = []
    for candidate in snapshot.candidates:
        name = candidate.name
        if candidate.unfit:
            verdicts.append(Verdict(name, False, candidate.unfit))
        elif signal.wants_text and not candidate.needs_context:
            # "Turn on the light" would be a text to it that asks for a call.
            verdicts.append(Verdict(name, False, "it makes calls of sentences, not texts"))
        elif not signal.has_text and not candidate.needs_context:
            # Receipts mean something only to who knows what was asked for.
            verdicts.append(Verdict(name, False, "it takes sentences, not receipts"))
        elif candidate.needs_context and signal.missing:
            steps.append(Step(name, signal.missing))
            parts = " and ".join(_PARTS[part] for part in signal.missing)
            verdicts.append(Verdict(name, True, f"needs {parts} first"))
        else:
            steps.append(Step(name))
            reason = "first in the order" if len(steps) == 1 else f"after {steps[-2].name}"
            verdicts.append(Verdict(name, True, reason))
    return Plan(tuple(steps), tuple(verdicts))


_PARTS: Final[Mapping[str, str]] = {"ctx": "the conversation", "mem": "the facts"}


# -- what comes of it


@dataclass(frozen=True, slots=True)
class Attempt:
    """A backend that was asked and did not answer. ``code`` is a BackendError's, "declined" or
    "invalid"."""

    name: str
    code: str
    msg: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A valid answer, and its bytes for the device."""

    backend: Backend
    answer: Answer
    payload: bytes
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """The next backend can only be asked with these parts of the context."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nobody answered. ``msg`` is for a person: what was tried and what to do."""

    msg: str
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a plan when the fast backends have been asked: goes to ``Router.run``."""

    plan: Plan
    at: int
    attempts: tuple[Attempt, ...]


Outcome: TypeAlias = Answered | Needs | NoAnswer

Accept: TypeAlias = Callable[[Backend, Answer], bytes]
"""Checks an answer and writes it for the device. Raises Invalid."""


class Invalid(Exception):
    """An answer that the device could not use; the message says why."""


def deadline_of(now: float, ask_ms: int) -> float:
    """When an answer must be ready, for an ask that allows ``ask_ms`` from ``now`` (monotonic
    seconds). The margin never takes more than half."""
    whole = ask_ms / 1000
    margin = min(max(whole * MARGIN_SHARE, MARGIN_MIN_S), whole / 2)
    return now + whole - margin


def attempt_s(left_s: float, others_follow: bool) -> float:
    """How long one attempt may take."""
    return left_s * SHARE_OF_REST if others_follow else left_s


def no_answer_text(
    signal: Signal, verdicts: Sequence[Verdict], attempts: Sequence[Attempt], models: int
) -> str:
    """The sentence a person reads when nobody could answer: what was tried, why each failed,
    what to do. At most ``NO_ANSWER_BYTES`` bytes."""
    tried = {attempt.name for attempt in attempts}
    parts = [f"{a.name}: {a.msg}" for a in attempts]
    parts += [f"{v.name}: {v.reason}" for v in verdicts if not v.chosen and v.name not in tried]
    parts += [
        f"{v.name}: there was no time left to ask"
        for v in verdicts
        if v.chosen and v.name not in tried
    ]
    codes = {attempt.code for attempt in attempts}
    if models == 0:
        parts.append("no model is configured")
        todo = "Add one to ganglion.toml (see docs/backends.md)"
    elif "auth" in codes:
        todo = "Check that key in ganglion.toml (see docs/backends.md)"
    elif codes & {"connection", "not_found"}:
        todo = "Check its url and model in ganglion.toml"
    else:
        todo = "Try again in a moment"
    if signal.has_text:
        todo += " or say it as 'turn on pin 5'"
    room = NO_ANSWER_BYTES - len(todo.encode()) - len("Nobody could answer: . .")
    return f"Nobody could answer: {_joined(parts, room)}. {todo}."


def _joined(parts: Sequence[str], room_bytes: int) -> str:
    short = [fit(part.rstrip(".").strip(), _REASON_BYTES) for part in parts]
    whole = "; ".join(short)
    if len(whole.encode()) <= room_bytes:
        return whole
    # Equal shares, so that no long reason hides another's.
    share = max(room_bytes // max(len(short), 1) - 2, 16)
    return fit("; ".join(fit(part, share) for part in short), room_bytes)


# -- carrying it out


@dataclass(slots=True)
class _Pause:
    until: float
    reason: str


@dataclass(slots=True)
class Router:
    """Holds the backends in order and what is known of their health."""

    backends: Sequence[Backend]
    models: int = field(init=False)
    """How many of them read the conversation."""
    needs_context: bool = field(init=False)
    """Whether any does."""
    _by_name: dict[str, Backend] = field(init=False)
    _fast: dict[str, FastBackend] = field(init=False)
    _pauses: dict[str, _Pause] = field(init=False, default_factory=dict)
    _plans: dict[Signal, Plan] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.models = sum(b.card.needs_context for b in self.backends)
        self.needs_context = self.models > 0
        self._by_name = {b.card.name: b for b in self.backends}
        self._fast = {b.card.name: b for b in self.backends if isinstance(b, FastBackend)}
        if len(self._by_name) != len(self.backends):
            raise ValueError("two backends have the same name")

    def snapshot(self) -> Snapshot:
        """The backends as they are now."""
        now = time.monotonic()
        gone = [name for name, pause in self._pauses.items() if pause.until <= now]
        for name in gone:
            del self._pauses[name]
        return Snapshot(
            tuple(
                Candidate(
                    b.card.name,
                    b.card.tier,
                    b.card.needs_context,
                    self._pauses[b.card.name].reason if b.card.name in self._pauses else "",
                )
                for b in self.backends
            )
        )

    def plan(self, signal: Signal) -> Plan:
        """``decide`` on the present snapshot. While no backend is paused the snapshot does not
        change, so plans are kept."""
        if self._pauses:
            return decide(signal, self.snapshot())
        plan = self._plans.get(signal)
        if plan is None:
            plan = self._plans[signal] = decide(signal, self.snapshot())
        return plan

    def run_now(
        self, plan: Plan, signal: Signal, request: Request, accept: Accept
    ) -> Outcome | Rest:
        """Ask the fast backends at the head of the plan, in place. A Rest is for ``run``."""
        attempts: list[Attempt] = []
        for at, step in enumerate(plan.steps):
            if step.missing:
                return Needs(step.missing)
            fast = self._fast.get(step.name)
            if fast is None:
                return Rest(plan, at, tuple(attempts))
            backend = self._by_name[step.name]
            try:
                answer = fast.answer_now(request)
                return Answered(backend, answer, accept(backend, answer), tuple(attempts))
            except Exception as error:
                attempts.append(self._failed(step.name, error))
        return self._nobody(plan, signal, attempts)

    async def run(self, rest: Rest, signal: Signal, request: Request, accept: Accept) -> Outcome:
        """Ask the others, within ``request.deadline``. Never raises but for cancellation."""
        attempts = list(rest.attempts)
        steps = rest.plan.steps[rest.at :]
        for i, step in enumerate(steps):
            if step.missing:
                return Needs(step.missing)
            left_s = request.deadline - time.monotonic()
            if left_s < ATTEMPT_MIN_S:
                break
            backend = self._by_name[step.name]
            limit_s = attempt_s(left_s, i + 1 < len(steps))
            try:
                answer = await _within(limit_s, backend, request)
                return Answered(backend, answer, accept(backend, answer), tuple(attempts))
            except Exception as error:
                attempts.append(self._failed(step.name, error))
        return self._nobody(rest.plan, signal, attempts)

    def _nobody(self, plan: Plan, signal: Signal, attempts: list[Attempt]) -> NoAnswer:
        return NoAnswer(
            no_answer_text(signal, plan.verdicts, attempts, self.models), tuple(attempts)
        )

    def _failed(self, name: str, error: Exception) -> Attempt:
        if isinstance(error, Declined):
            return Attempt(name, "declined", error.reason)
        if isinstance(error, Invalid):
            log.info("%s gave an answer that cannot be used: %s", name, error)
            return Attempt(name, "invalid", f"its answer could not be used ({error})")
        if isinstance(error, BackendError):
            log.warning("%s: %s: %s", name, error.code, error.msg)
            self._maybe_pause(name, error)
            return Attempt(name, error.code, error.msg)
        log.error("%s failed by a fault of ours", name, exc_info=error)
        return Attempt(name, "internal", f"a fault of ours ({type(error).__name__})")

    def _maybe_pause(self, name: str, error: BackendError) -> None:
        # A refused key stays refused for a while and a rate limit names its time; asking again
        # at once would cost the device seconds each turn.
        if error.code == "auth":
            pause_s = _PAUSE_AUTH_S
        elif error.code == "rate_limit":
            pause_s = error.retry_after_s or _PAUSE_RATE_S
        else:
            return
        until = time.monotonic() + min(pause_s, _PAUSE_MAX_S)
        self._pauses[name] = _Pause(until, f"{error.msg}, left alone for {pause_s:.0f} s")

    async def aclose(self) -> None:
        """Close every backend."""
        for backend in self.backends:
            with contextlib.suppress(Exception):
                await backend.aclose()


async def _within(limit_s: float, backend: Backend, request: Request) -> Answer:
    """The answer, or BackendError "timeout" after the limit, even from a backend that resists
    cancellation: a device waits."""
    task = asyncio.ensure_future(backend.answer(request))
    try:
        done, _ = await asyncio.wait({task}, timeout=limit_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        task.add_done_callback(_ignore)
        raise BackendError("timeout", f"no answer within {limit_s:.1f} s")
    if task.cancelled():
        raise BackendError("internal", "it gave up by itself")
    return task.result()


def _ignore(task: "asyncio.Task[Answer]") -> None:
    if not task.cancelled():
        task.exception()
