"""``ganglion board``: registering, the serial line, and the ends."""

from __future__ import annotations

import json
import os
import queue
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.system import (
    GANGLION,
    Serving,
    alive,
    descendants,
    environment,
    ganglion,
    row_of,
    wait_for,
)
from tests.tools.terminal import Terminal


class Process:
    """``ganglion board`` with its serial line on pipes."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.child = subprocess.Popen(
            [*GANGLION, "board", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(home),
        )
        self.text = ""
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self._lines.put(line.decode())

    def shows(self, words: str, timeout_s: float = 20.0) -> str:
        """The first line from now on with ``words`` in it."""
        while True:
            line = self._lines.get(timeout=timeout_s)
            self.text += line
            if words in line:
                return line

    def type(self, line: str) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()

    def stop(self, number: int = signal.SIGINT) -> int:
        if self.child.poll() is None:
            self.child.send_signal(number)
        return self.child.wait(10)


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gn"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def board(serving: Serving) -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def start(*arguments: str, home: Path = serving.home) -> Process:
        made.append(Process(home, *arguments))
        return made[-1]

    yield start
    for process in made:
        process.stop()


def online(serving: Serving, device: str) -> bool:
    row = row_of(serving, device)
    return bool(row.get("online") and row.get("clock"))


def test_a_board_registers_itself_and_talks(
    serving: Serving, board: Callable[..., Process]
) -> None:
    process = board("--device", "lamp")
    process.shows("Ctrl-C ends the board")
    process.shows("boot 1 of lamp")
    wait_for(lambda: online(serving, "lamp"))
    process.type("turn on pin 5")
    process.shows("Pin 5 is on.")
    shown = ganglion("say", "lamp", "is pin 5 on?", home=serving.home)
    assert shown.returncode == 0 and "level=1" in shown.stdout
    # The secret is ours alone, on the host as on the board's flash.
    kept = serving.home / "devices.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for path in (serving.home / "boards" / "lamp").iterdir():
        assert not path.stat().st_mode & 0o077, path
    below = descendants(process.child.pid)
    assert below
    again = ganglion("board", "--device", "lamp", home=serving.home)
    assert again.returncode == 1 and "runs already" in again.stderr
    assert process.stop(signal.SIGTERM) == 0
    assert not any(map(alive, below))
    wait_for(lambda: not online(serving, "lamp"))

    secret = json.loads(kept.read_text())["lamp"]
    second = board("--device", "lamp")
    second.shows("boot 2 of lamp")
    assert json.loads(kept.read_text())["lamp"] == secret  # it logs in with what it has


def test_a_terminal_is_a_serial_terminal(serving: Serving) -> None:
    """Keys go to the board one by one, which echoes them; the terminal's own mode comes back."""
    arguments = [*GANGLION, "board", "--device", "desk"]
    terminal = Terminal(arguments, environment(serving.home))
    at = terminal.shows("> ", 30)
    wait_for(lambda: online(serving, "desk"))
    assert not terminal.echoes()
    terminal.type("turn on pi")
    at = terminal.shows("turn on pi", after=at)
    terminal.type("m\x7fn 5\r")
    at = terminal.shows("Pin 5 is on.", after=at)
    assert terminal.text.count("turn on pi") == 1  # one echo
    terminal.type("\x03")
    assert terminal.ends() == 0


def test_its_serial_line_as_a_device(serving: Serving, board: Callable[..., Process]) -> None:
    process = board("--device", "shelf", "--pty")
    path = process.shows("its serial line is /").split()[-1]
    process.shows("what you want")
    line = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(line, b"status\r")
        shown = b""
        while b"shelf: ganglion" not in shown:
            assert select.select([line], [], [], 5)[0], shown
            shown += os.read(line, 4096)
        assert b"status\r\n" in shown and not shown.replace(b"\r\n", b"").count(b"\n")
    finally:
        os.close(line)


def test_a_lost_secret_is_renewed_on_demand(
    serving: Serving, board: Callable[..., Process]
) -> None:
    serving.client.register("garage")  # somebody else has this secret
    refused = ganglion("board", "--device", "garage", home=serving.home)
    assert refused.returncode == 1 and "--renew" in refused.stderr
    board("--device", "garage", "--renew").shows("boot 1 of garage")
    wait_for(lambda: online(serving, "garage"))


def test_a_board_on_any_broker(
    serving: Serving, board: Callable[..., Process], place: Path
) -> None:
    secret = serving.client.register("attic")["secret"]
    broker = serving.running.broker
    arguments = ["--broker", f"mqtt://{broker.host}:{broker.port}", "--secret", secret]
    board("--device", "attic", *arguments, home=place).shows("boot 1 of attic")
    wait_for(lambda: online(serving, "attic"))


@pytest.mark.parametrize(
    "arguments, word",
    [(["--device", "No!"], "device id"), (["--broker", "x"], "mqtt://")],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str], word: str) -> None:
    shown = ganglion("board", *arguments, home=tmp_path)
    assert shown.returncode == 2 and word in shown.stderr and "Traceback" not in shown.stderr
