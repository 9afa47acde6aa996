"""The two ends of the jumper, and what is waited for at them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tools.hil.board import Board
from tools.hil.wire import Heard

_LOOK_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Span:
    """When something was done, seen from here: not before ``from_s``, not after ``to_s``
    (`time.monotonic`). Between the two lies a round trip."""

    from_s: float
    to_s: float

    def since(self, other: Span) -> Span:
        """How long after ``other``: at least ``from_s`` seconds, at most ``to_s``."""
        return Span(self.from_s - other.to_s, self.to_s - other.from_s)


class Jumper:
    """GPIO ``from_pin``, which tests drive, is wired to ``to_pin``, which they read."""

    def __init__(self, board: Board, from_pin: int, to_pin: int) -> None:
        self.board = board
        self.from_pin = from_pin
        self.to_pin = to_pin

    def drive(self, level: int) -> Span:
        """Set the near end; when that was. Refused where the guard forbids it."""
        began_s = time.monotonic()
        self.board.do("gpio_write", pin=self.from_pin, value=level)
        return Span(began_s, time.monotonic())

    def reads(self) -> int:
        """The level at the far end."""
        return self.board.level(self.to_pin)

    def becomes(self, level: int, seconds: float) -> Span:
        """Look at the far end until it reads so; when it began to. AssertionError."""
        return changed(lambda: self.reads() == level, f"pin {self.to_pin} to read {level}", seconds)

    def ready(self) -> None:
        """Nothing has the two pins, the near end is low, and the wire is there."""
        self.board.ask("counter_stop", pin=self.to_pin)
        self.board.ask("pwm_stop", pin=self.from_pin)
        for level in (1, 0):
            self.drive(level)
            seen = self.reads()
            assert seen == level, (
                f"pin {self.from_pin} is {level} and pin {self.to_pin} reads {seen}: look at the "
                "jumper, and at [jumper] in bench.toml"
            )

    def fresh(self) -> None:
        """The same after a new start. Where nearly every tool was used since the last one, there
        may be no memory to check a routine (docs/limits.md)."""
        self.board.reset()
        self.ready()


def changed(look: Callable[[], bool], what: str, seconds: float) -> Span:
    """When ``look`` began to be true. AssertionError where it did not within ``seconds``."""
    began_s = before_s = time.monotonic()
    while True:
        asked_s = time.monotonic()
        if look():
            return Span(before_s, time.monotonic())
        before_s = asked_s
        assert asked_s - began_s < seconds, f"waited {seconds:g} s for {what}"
        time.sleep(_LOOK_S)


def happened(
    board: Board, n: int, seconds: float, since_s: float, kind: str = "fired", **fields: Any
) -> list[Heard]:
    """The first ``n`` such events since then, each once. AssertionError says what came."""
    until = time.monotonic() + seconds
    while True:
        found = board.events(kind, since_s, **fields)
        if len(found) >= n:
            return found[:n]
        if time.monotonic() > until:
            came = [h.body for h in board.wire.of("event", since_s)]
            raise AssertionError(
                f"{len(found)} of {n} events {kind} {fields} within {seconds:g} s; came: {came}"
            )
        time.sleep(_LOOK_S)


def teach(board: Board, program: dict[str, Any]) -> dict[str, Any]:
    """Define a routine and say yes to it; what the check told."""
    told = board.do("routine_define", program=program)
    if not told.get("stored"):
        board.do("routine_approve", token=told["token"])
    return told


def console(board: Board, command: str, what: str, seconds: float = 10) -> str:
    """What follows ``what`` on a line that the console prints at ``command``. It needs no network.
    TimeoutError shows what was printed."""
    position = board.line.position
    board.line.type(f"{command}\r")
    until = time.monotonic() + seconds
    while True:
        # That line may still be on its way when its beginning is there.
        line, ended, _ = board.line.since(position).partition(what)[2].partition("\n")
        if ended:
            return line.strip()
        board.line.wait(what, until - time.monotonic(), position)
        time.sleep(_LOOK_S)
