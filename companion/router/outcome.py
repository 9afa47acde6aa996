"""What comes of asking, and the sentence for when nobody could answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from companion.backends.base import Answer, Backend, Card
from companion.router.decide import IF_THAT_FAILS, TOO_LITTLE, Plan, Signal, Verdict
from companion.wire_out import fit

if TYPE_CHECKING:
    from companion.router.crew import Crew

NO_ANSWER_BYTES: Final = 400
_REASON_BYTES: Final = 120
_WHY_BYTES: Final = 240


@dataclass(frozen=True, slots=True)
class Attempt:
    """A backend that was asked and did not answer. ``code`` is a BackendError's, "declined" or
    "invalid"."""

    name: str
    code: str
    msg: str


@dataclass(frozen=True, slots=True)
class Beside:
    """What an attempt cost that was not the answer: it failed, or came second."""

    card: Card
    nano: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class Bill:
    """What an ask has cost so far, all its attempts together."""

    nano: int = 0
    """Nano-dollars."""
    tokens: int = 0
    """Of backends with a price."""
    claimed: bool = False
    """Something is reserved for it: it must be settled."""
    estimated: bool = False
    """Some of it is the most that an attempt can have cost, since nobody told what it did."""
    asked_at: float = 0.0
    """``time.monotonic()`` of the first attempt at a model; 0: none was asked."""
    energy_mj: int = 0
    energy_how: str = ""
    beside: tuple[Beside, ...] = ()
    """The part of ``nano`` that is not the answer's."""


FREE: Final = Bill()


@dataclass(frozen=True, slots=True)
class Answered:
    """A valid answer, and its bytes for the device."""

    backend: Backend
    answer: Answer
    payload: bytes
    attempts: tuple[Attempt, ...] = ()
    """Those that were asked before and did not answer."""
    bill: Bill = FREE
    reason: str = ""
    """Why this backend, for people."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The next backend can only be asked with these parts of the context."""

    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nobody answered. ``msg`` is for a person: what was tried and what to do."""

    msg: str
    attempts: tuple[Attempt, ...] = ()
    bill: Bill = FREE


@dataclass(frozen=True, slots=True)
class Repeated:
    """This ask was answered before, here or by another companion, with these bytes."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a plan when the fast backends have been asked: goes to ``Router.run``."""

    plan: Plan
    at: int
    attempts: tuple[Attempt, ...]
    crew: "Crew"
    """The backends that the plan is about."""


Outcome: TypeAlias = Answered | Needs | NoAnswer | Repeated

Accept: TypeAlias = Callable[[Backend, Answer], bytes]
"""Checks an answer and writes it for the device. Raises Invalid."""


class Invalid(Exception):
    """An answer that the device could not use; the message says why."""


def why(reason: str, attempts: Sequence[Attempt], more: Sequence[str] = ()) -> str:
    """The reason of a plan's step when it has answered, what was tried before it, and what else
    is to be said."""
    reason = reason.removeprefix(IF_THAT_FAILS)
    tried = "".join(f"; {a.name} before: {a.msg}" for a in attempts if a.code != "declined")
    tried += "".join(f"; {said}" for said in more)
    return fit(reason + tried, _WHY_BYTES) if tried else reason


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
    elif any(v.reason.endswith(TOO_LITTLE) for v in verdicts if not v.chosen):
        todo = "Raise that budget (see docs/spending.md), wait for it to begin anew"
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
