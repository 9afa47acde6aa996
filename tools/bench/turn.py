"""Say to reply, through broker, companion and a virtual board; bytes of a turn; boot time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tools import children
from tools.bench.report import Figures, median, percentile
from tools.client import Client
from tools.problem import Problem
from tools.state import Home
from tools.vboard.control import SyncBoardControl

TURNS = 300
BOOTS = 5
DEVICE = "demo"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Running:
    """A companion with its own broker, and one virtual board, as processes."""

    client: Client
    control: SyncBoardControl

    def boot(self) -> int:
        """Boot counter of the board, 0 while it is away."""
        for row in self.client.devices():
            if row["device"] == DEVICE and row["online"]:
                return int(row["boot"])
        return 0


def wait(probe: Callable[[], _T | None], what: str, seconds: float = 60) -> _T:
    """The first true value of `probe`; a Problem naming `what` otherwise."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = probe()
        if value:
            return value
        time.sleep(0.002)
    raise Problem(f"{what}: not within {seconds:g} s")


def _child(
    stack: ExitStack, home: Home, name: str, *options: str
) -> tuple[subprocess.Popen[bytes], Path]:
    """`ganglion NAME` until the stack ends, and where it writes."""
    path = home.folder / f"{name}.log"
    log = stack.enter_context(path.open("wb"))
    process = children.spawn(
        [sys.executable, "-m", "tools.cli", name, "--home", str(home.folder), *options],
        env=dict(os.environ),
        stdout=log,
        stderr=log,
    )
    stack.callback(children.stop, process, 5.0)
    return process, path


@contextmanager
def serving(home: Home, *options: str) -> Iterator[Client]:
    """`ganglion serve`, with a broker of its own, in ``home``; ended after."""
    with ExitStack() as stack:
        process, log = _child(stack, home, "serve", *options)

        def client() -> Client | None:
            if process.poll() is not None:
                raise Problem(log.read_text()[-2000:])
            try:
                c = Client(home.running())
                return c if c.health().get("broker") else None
            except Problem:
                return None

        yield wait(client, "the companion")


@contextmanager
def system(*board_options: str) -> Iterator[Running]:
    """Start `ganglion serve` and `ganglion board` in a temporary home; end them after."""
    with ExitStack() as stack:
        home = Home(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gn-bench-"))))
        companion = stack.enter_context(serving(home))
        board, log = _child(stack, home, "board", "--device", DEVICE, *board_options)

        def control() -> SyncBoardControl | None:
            if board.poll() is not None:
                raise Problem(log.read_text()[-2000:])
            try:
                return SyncBoardControl.of(home.board(DEVICE))
            except OSError:
                return None

        running = Running(companion, stack.enter_context(wait(control, "the board's socket")))
        wait(running.boot, "the board")
        yield running


def run(turns: int = TURNS, boots: int = BOOTS) -> Figures:
    """Latency percentiles in ms, bytes of the turn "turn on pin 5", boot time in ms."""
    figures: Figures = {}
    with system() as running:
        first = running.client.say(DEVICE, "turn on pin 5")
        figures["first_turn_bytes"] = first["bytes_up"] + first["bytes_down"]
        for _ in range(20):
            running.client.say(DEVICE, "turn off pin 5")
        took = []
        for n in range(turns):
            text = ("turn on pin 5", "could you switch pin 13 off please", "is pin 5 on?")[n % 3]
            turn = running.client.say(DEVICE, text)
            if not turn["answered"]:
                raise Problem(f"{text}: {turn}")
            took.append(float(turn["ms"]))
        figures["turn_p50_ms"] = percentile(took, 0.5)
        figures["turn_p95_ms"] = percentile(took, 0.95)
        figures["turn_p99_ms"] = percentile(took, 0.99)
        turn = running.client.say(DEVICE, "turn on pin 5")
        figures["bytes_up"] = turn["bytes_up"]
        figures["bytes_down"] = turn["bytes_down"]
        figures["turn_bytes"] = turn["bytes_up"] + turn["bytes_down"]
        boot_ms = []
        for _ in range(boots):
            boot = running.boot()
            running.control.call("power", on=False)
            began = time.perf_counter()
            running.control.call("power", on=True)
            wait(lambda b=boot: running.boot() > b, "the next boot")  # type: ignore[misc]
            boot_ms.append(1000 * (time.perf_counter() - began))
        figures["boot_ms"] = median(boot_ms)
    return figures
