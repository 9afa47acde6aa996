"""The demo as a user starts it: the real firmware on a virtual board. It leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tools.system import GANGLION, alive, descendants, environment, wait_for
from tests.tools.terminal import Terminal
from tools import children, ports
from tools.accounts import password_line


@pytest.fixture
def space(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which the demo's temporary folder is ours, and empty again at the end."""
    # As in /tmp, others may pass: the broker gives up root where it can. Short, for sockets.
    folder = Path(tempfile.mkdtemp(prefix="gn"))
    folder.chmod(0o711)
    more = {"TMPDIR": str(folder), "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    env = environment(tmp_path, **more)
    env.pop("SAY", None)
    env.pop("JSON", None)
    yield env
    left = list(folder.iterdir())
    shutil.rmtree(folder)
    assert not left


def demo(env: dict[str, str], *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GANGLION, "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={**env, **more},
    )


def all_end(pids: set[int]) -> None:
    wait_for(lambda: not any(map(alive, pids)))


# -- sentences -----------------------------------------------------------------------------


def test_sentences(space: dict[str, str]) -> None:
    shown = demo(space, SAY="turn on pin 5; is pin 5 on?;")
    assert shown.returncode == 0, shown
    for words in ("> turn on pin 5", "✓ gpio_write pin=5 value=1 → level=1", "> is pin 5 on?"):
        assert words in shown.stdout
    assert "ready after" in shown.stderr and "ready after" not in shown.stdout


def test_json_is_an_object_a_turn_and_nothing_else(space: dict[str, str]) -> None:
    shown = demo(space, SAY="turn on pin 5; florble the gnix; is pin 5 on?", JSON="1")
    assert shown.returncode == 1  # one was not answered
    turns: list[dict[str, Any]] = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [turn["say"] for turn in turns] == ["turn on pin 5", "florble the gnix", "is pin 5 on?"]
    keys = {"say", "reply", "calls", "backend", "tier", "ms", "usd", "tokens"}
    keys |= {"bytes_up", "bytes_down", "answered"}
    assert all(set(turn) >= keys for turn in turns)
    assert turns[0]["calls"] == [
        {"tool": "gpio_write", "args": {"pin": 5, "value": 1}, "receipt": {"level": 1}}
    ]
    assert [turn["answered"] for turn in turns] == [True, False, True]
    assert turns[1]["err"] == "no_answer" and turns[1]["reply"]
    assert turns[2]["calls"][0]["receipt"] == {"level": 1}


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--say", " ; "], "no sentence"),
        (["--say", "x" * 1025], "1025 bytes"),
        (["--device", "Not One"], "device id"),
        (["--broker", "http://x"], "mqtt://"),
    ],
)
def test_wrong_arguments(space: dict[str, str], arguments: list[str], word: str) -> None:
    shown = demo(space, *arguments)
    assert shown.returncode == 2 and word in shown.stderr and "Traceback" not in shown.stderr


def test_a_broken_configuration_is_told(space: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "ganglion.toml"
    config.write_text("[limits]\nconcurrent_asks = 0\n")
    shown = demo(space, "--say", "hi", "--config", str(config))
    assert shown.returncode == 1 and "concurrent_asks" in shown.stderr
    assert "Traceback" not in shown.stderr


# -- a broker of one's own -----------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, mosquitto: list[str]) -> Iterator[dict[str, str]]:
    """A broker as a user might run it, by their own configuration: URLs by kind."""
    folder = tmp_path / "own"
    folder.mkdir()
    ports_ = [ports.free_port(), ports.free_port()]
    lines = ["user root", "allow_anonymous false", "password_file passwords"]
    lines += [f"listener {ports_[0]} 127.0.0.1"]
    if shutil.which("openssl"):
        made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        made += " -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key -out cert"
        subprocess.run(made.split(), cwd=folder, check=True, capture_output=True)
        lines += [f"listener {ports_[1]} 127.0.0.1", "certfile cert", "keyfile key"]
    (folder / "passwords").write_text(password_line("alice", "geheim") + "\n")
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    child = children.spawn([*mosquitto, "-c", "mosquitto.conf"], cwd=folder)
    wait_for(lambda: not ports.is_free(ports_[0]))
    yield {
        "plain": f"mqtt://alice:geheim@127.0.0.1:{ports_[0]}",
        "tls": f"mqtts://alice:geheim@localhost:{ports_[1]}",
        "ca": str(folder / "cert"),
    }
    children.stop(child)


def test_your_own_broker(space: dict[str, str], own: dict[str, str]) -> None:
    shown = demo(space, "--say", "turn on pin 5", "--broker", own["plain"])
    assert shown.returncode == 0, shown
    assert "'alice'" in shown.stderr and "geheim" not in shown.stderr
    assert "gpio_write" in shown.stdout


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_your_own_broker_with_tls(space: dict[str, str], own: dict[str, str]) -> None:
    shown = demo(space, "--say", "turn on pin 5", "--broker", own["tls"], "--ca", own["ca"])
    assert shown.returncode == 0, shown
    distrusted = demo(space, "--say", "turn on pin 5", "--broker", own["tls"])
    assert distrusted.returncode == 1 and "certificate" in distrusted.stderr


def test_your_own_broker_refuses(space: dict[str, str], own: dict[str, str]) -> None:
    shown = demo(space, "--say", "hi", "--broker", own["plain"].replace("geheim", "falsch"))
    assert shown.returncode == 1 and "uthori" in shown.stderr
    assert "falsch" not in shown.stderr


def test_no_broker_there(space: dict[str, str]) -> None:
    shown = demo(space, "--say", "hi", "--broker", "mqtt://me:geheim@127.0.0.1:1")
    assert shown.returncode == 1 and "127.0.0.1:1" in shown.stderr
    assert "geheim" not in shown.stderr and "Traceback" not in shown.stderr


# -- the ends ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number, after_s",
    [
        (signal.SIGINT, 0.2),
        (signal.SIGINT, 0.4),
        (signal.SIGINT, 1.2),
        (signal.SIGTERM, 0.7),
        (signal.SIGHUP, 0.9),
    ],
)
def test_a_signal_at_any_moment(
    space: dict[str, str], number: signal.Signals, after_s: float
) -> None:
    process = subprocess.Popen(
        [*GANGLION, "demo"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=space,
    )
    seen: set[int] = set()
    end = time.monotonic() + after_s
    while time.monotonic() < end:
        seen |= descendants(process.pid)
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=15)
    # On a busy machine Python itself may still be starting, and is ended; a shell shows the same.
    early = () if seen else (-number,)
    assert process.returncode in (128 + number, 0, *early), errors
    assert "Traceback" not in errors
    all_end(seen)


def test_killed_hard_its_children_end_and_the_next_demo_sweeps(space: dict[str, str]) -> None:
    process = subprocess.Popen([*GANGLION, "demo"], stdin=subprocess.PIPE, env=space)
    wait_for(lambda: len(descendants(process.pid)) >= 4)  # serve, mosquitto, board, MicroPython
    below = descendants(process.pid)
    process.kill()
    process.communicate()
    all_end(below)
    assert list(Path(space["TMPDIR"]).glob("ganglion-demo-*"))
    assert demo(space, "--say", "turn on pin 5").returncode == 0


def test_the_chat_on_a_terminal(space: dict[str, str]) -> None:
    terminal = Terminal([*GANGLION, "demo"], space)
    at = terminal.shows(">", after=terminal.shows("Ctrl-D ends"))
    below = descendants(terminal.pid)
    terminal.say("turn on pin 5")
    at = terminal.shows("✓ gpio_write", after=at)
    terminal.say("/hold 5 0")
    at = terminal.shows("shorted to 0", after=at)
    terminal.say("turn on pin 5")
    at = terminal.shows("✗ gpio_write", after=at)
    terminal.say("/pads")
    at = terminal.shows("latch", after=at)
    terminal.say("/reboot")
    at = terminal.shows("boot 2", after=at)
    terminal.say("/events")
    at = terminal.shows('reset="power_on"', after=terminal.shows(" boot ", after=at))
    at = terminal.shows(">", after=at)
    terminal.type("\x03")
    assert terminal.ends() == 0
    assert not any(map(alive, below))


@pytest.mark.parametrize("how", ["close", "SIGTERM"])
def test_the_terminal_goes_away(space: dict[str, str], how: str) -> None:
    terminal = Terminal([*GANGLION, "demo"], space)
    terminal.shows(">", after=terminal.shows("Ctrl-D ends"))
    below = descendants(terminal.pid)
    assert len(below) >= 4
    if how == "close":
        terminal.hang_up()
        os.waitpid(terminal.pid, 0)
    else:
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.ends() == 128 + signal.SIGTERM
        assert "Traceback" not in terminal.text
    all_end(below)


def test_a_part_that_dies_at_the_start_is_named(space: dict[str, str]) -> None:
    shown = demo(space, "--say", "hi", GANGLION_MICROPYTHON=f"{sys.executable} -c pass")
    assert shown.returncode == 1
    assert "GANGLION_MICROPYTHON" in shown.stderr and "Traceback" not in shown.stderr


def test_stopping_a_child_that_ignores_it() -> None:
    program = (
        "import signal,time; signal.signal(15, signal.SIG_IGN); print(flush=1); time.sleep(60)"
    )
    child = children.spawn([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline()
    assert children.stop(child, grace_s=0.2) == -signal.SIGKILL
    assert children.stop(child) == -signal.SIGKILL
