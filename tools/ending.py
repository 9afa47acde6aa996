"""Orders to end (SIGTERM, SIGHUP) that unwind the program as Ctrl-C does."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


def orders() -> tuple[signal.Signals, ...]:
    """The signals that mean "end, in order". Not SIGHUP where that is ignored: that is what
    `nohup` does, for a program that shall outlive its terminal."""
    kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM,) if kept else (signal.SIGTERM, signal.SIGHUP)


class Ended(SystemExit):
    """The order came; its exit status is a shell's for that signal.

    A SystemExit, because event loops let that one through, and swallow other exceptions.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class Ending:
    """While entered, an order raises :class:`Ended` in the main thread, wherever that is.

    In a line editor that would leave the terminal in its raw mode: ``divert`` gets the exception
    then, and returns whether it has taken care of it.
    """

    def __init__(self) -> None:
        self.divert: Callable[[Ended], bool] = lambda _: False

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        def order(number: int, _: FrameType | None) -> None:
            ended = Ended(number)
            if not self.divert(ended):
                raise ended

        before = {number: signal.signal(number, order) for number in orders()}
        before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def no_more(self) -> None:
        """Ignore further orders, and Ctrl-C: while everything ends they would leave something."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
