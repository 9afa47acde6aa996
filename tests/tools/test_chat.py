"""The chat on a real pseudo-terminal and on a pipe, with a device of known replies."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.system import Device, Serving, environment
from tests.tools.terminal import Terminal

PROGRAM = """
import sys
from pathlib import Path
from tools.chat import Chat
from tools.client import Client
from tools.ending import Ending
from tools.state import Home
home, board = map(Path, sys.argv[1:])
client = Client(Home(home).running())
answered = Chat(client, "kitchen", board, home / "serve.out", Ending()).run()
print("ended", answered)
"""

ON = {
    "text": "pin 5 is on.",
    "calls": [["gpio_write", {"pin": 5, "value": 1}, {"level": 1}]],
    "by": "chip",
}
STUCK = {
    "text": "pin 5 reads off.",
    "calls": [["gpio_write", {"pin": 5}, {"level": 0, "err": "mismatch", "msg": "check the wire"}]],
    "by": "chip",
}


@pytest.fixture
def control(tmp_path: Path) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """A control socket that accepts everything, and what it was asked."""
    path, asked = tmp_path / "control.sock", list[dict[str, Any]]()
    pad = {"mode": "out", "latch": 1, "pull": None, "hold": None, "ext": None, "level": 1}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, connection.makefile("rw") as lines:
                    asked.append(json.loads(lines.readline()))
                    lines.write(json.dumps({"ok": True, "pads": {"5": pad}}) + "\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path, asked
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.fixture
def chat(
    serving: Serving, device: Device, control: tuple[Path, list[Any]], tmp_path: Path
) -> Callable[..., Terminal]:
    device.replies.update({"turn on pin 5": ON, "stuck": STUCK, "slow": None})

    def start(**env: str) -> Terminal:
        command = [sys.executable, "-c", PROGRAM, str(serving.home), str(control[0].parent)]
        more = {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **env}
        terminal = Terminal(command, environment(tmp_path, **more))
        at = terminal.shows("Ctrl-D ends")
        terminal.shows(">", after=at)
        return terminal

    return start


def test_a_turn_and_the_end(chat: Callable[..., Terminal], tmp_path: Path) -> None:
    terminal = chat()
    assert "turn on pin 5" in terminal.text  # worth trying
    at = len(terminal.text)
    terminal.say("turn on pin 5")
    for words in ("pin 5 is on.", "✓ gpio_write pin=5 value=1 → level=1", "edge/chip", "free"):
        at = terminal.shows(words, after=at)
    terminal.say("stuck")
    at = terminal.shows("✗ gpio_write pin=5 → mismatch: check the wire", after=at)
    terminal.shows(">", after=at)
    terminal.type("\x04")
    terminal.shows("ended True")
    assert terminal.ends() == 0
    assert "turn on pin 5" in (tmp_path / "chat_history").read_text()
    again = chat()
    again.type("\x1b[A\x1b[A\r")  # two up: what was said first
    again.shows(">", after=again.shows("free"))
    again.type("\x04")
    assert again.ends() == 0


def test_ctrl_c_drops_the_wait_then_the_line_then_the_chat(chat: Callable[..., Terminal]) -> None:
    terminal = chat()
    terminal.say("slow")
    at = terminal.shows("kitchen is on it")
    terminal.type("\x03")
    at = terminal.shows("stopped waiting", after=at)
    at = terminal.shows(">", after=at)
    terminal.type("half a sent")
    at = terminal.shows("sent", after=at)
    terminal.type("\x03")
    terminal.say("stuck")
    at = terminal.shows("pin 5 reads off.", after=at)
    terminal.shows(">", after=at)
    terminal.type("\x03")
    terminal.shows("ended True")
    assert terminal.ends() == 0


def test_commands(chat: Callable[..., Terminal], control: tuple[Path, list[Any]]) -> None:
    terminal, at = chat(), 0
    for line, words in (
        ("/help", "/hold PIN 0|1|free"),
        ("/points", "kitchen light"),
        ("/pads", "latch"),
        ("/hold 5 0", "pad 5 is shorted to 0"),
        ("/hold 5 free", "free again"),
        ("/hold five", "write it as"),
        ("/dance", "/help lists"),
        ("/events", "nothing yet"),
    ):
        terminal.say(line)
        at = terminal.shows(words, after=at)
    assert {"op": "hold", "pin": 5, "level": 0} in control[1]
    assert {"op": "hold", "pin": 5, "level": None} in control[1]
    terminal.say("/quit")
    assert terminal.ends() == 0


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_without_colours(chat: Callable[..., Terminal], env: dict[str, str]) -> None:
    terminal = chat(**env)
    at = len(terminal.text)
    terminal.say("stuck")
    terminal.shows(">", after=terminal.shows("free", after=at))
    assert b"\x1b[31m" not in terminal.raw
    if env.get("TERM") == "dumb":
        assert b"\x1b" not in terminal.raw
    terminal.type("\x04")
    assert terminal.ends() == 0


def test_on_a_pipe(
    serving: Serving, device: Device, control: tuple[Path, list[Any]], tmp_path: Path
) -> None:
    device.replies.update({"turn on pin 5": ON, "what": {"text": "no idea", "err": "no_answer"}})
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(serving.home), str(control[0].parent)],
        input="turn on pin 5\n\n/points\nwhat\n",
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(tmp_path, PYTHONIOENCODING="utf-8"),
    )
    assert shown.stderr == "" and "\x1b" not in shown.stdout
    for words in ("> turn on pin 5", "pin 5 is on.", "kitchen light", "no idea", "ended False"):
        assert words in shown.stdout
