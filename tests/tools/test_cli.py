"""The command line as a user meets it: real processes, exit codes, and words that help."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tools.system import Device, Serving, alive, descendants, ganglion, wait_for
from tools.state import Broker, Home, Running


@pytest.fixture
def home(serving: Serving) -> Path:
    return serving.home


def fails(result: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    assert result.returncode == status, result
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert result.stdout == ""


# -- serve ---------------------------------------------------------------------------------


def test_serve_says_where_it_is_and_who_may_read_it(home: Path, serving: Serving) -> None:
    run = home / "run.json"
    facts = json.loads(run.read_text())
    assert facts["pid"] == serving.process.pid
    assert set(facts) >= {"url", "token", "broker"} and set(facts["broker"]) >= {"host", "port"}
    assert facts["url"] in serving.output and str(facts["broker"]["port"]) in serving.output
    assert facts["token"] not in serving.output
    assert stat.S_IMODE(run.stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "companion.db").stat().st_mode) == 0o600


def test_a_second_serve_on_the_same_home_is_refused(home: Path, serving: Serving) -> None:
    fails(ganglion("serve", home=home), 1, "already runs", f"pid {serving.process.pid}", "--home")
    assert (home / "run.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    serving = Serving(tmp_path)
    children = descendants(serving.process.pid)
    assert children  # mosquitto
    assert serving.stop(number) == 0
    assert not any(map(alive, children))
    assert not (tmp_path / "run.json").exists()


def test_nohup_is_respected(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # children inherit it
    try:
        serving = Serving(tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    serving.process.send_signal(signal.SIGHUP)
    assert serving.client.health()["ok"]
    assert serving.stop(signal.SIGTERM) == 0


def test_what_a_killed_serve_left_is_replaced(tmp_path: Path) -> None:
    first = Serving(tmp_path)
    children = descendants(first.process.pid)
    first.process.kill()
    first.process.wait()
    assert (tmp_path / "run.json").exists()
    wait_for(lambda: not any(map(alive, children)))
    fails(ganglion("devices", home=tmp_path), 1, "not running", "ganglion serve")
    second = Serving(tmp_path)
    assert second.running.broker.port == first.running.broker.port
    assert second.stop() == 0


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        fails(ganglion("serve", "--port", port, home=tmp_path), 1, port, f"pid {os.getpid()}")
        result = ganglion("serve", "--http-port", port, home=tmp_path)
    assert result.returncode == 1 and port in result.stderr and "--http-port" in result.stderr
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--broker", "http://x"], "mqtt://"),
        (["--broker", "mqtt://x", "--port", "1"], "--port"),
        (["--ca", "x.pem"], "--broker"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--port", "70000"], "65535"),
        (["--broker", "mqtts://localhost", "--ca", "missing.pem"], "missing.pem"),
    ],
)
def test_wrong_arguments_of_serve(tmp_path: Path, arguments: list[str], word: str) -> None:
    fails(ganglion("serve", *arguments, home=tmp_path), 2, word)


def test_the_homes_own_configuration_is_used(tmp_path: Path) -> None:
    (tmp_path / "ganglion.toml").write_text("[router]\norder = ['nobody']\n")
    fails(ganglion("serve", home=tmp_path), 2, "ganglion.toml, line 2", "nobody", "commands")


def test_serve_without_its_broker_says_so_and_keeps_trying(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    serving = Serving(tmp_path, "--broker", f"mqtt://me:geheim@127.0.0.1:{port}")
    assert "NOT CONNECTED" in serving.output and str(port) in serving.output
    assert "geheim" not in serving.output
    fails(ganglion("say", "kitchen", "hi", home=tmp_path), 1, str(port))
    assert serving.stop() == 0


# -- devices, say, do ----------------------------------------------------------------------


def test_devices(home: Path, device: Device) -> None:
    table = ganglion("devices", home=home).stdout
    assert "kitchen" in table and "kitchen light=on" in table and "esp32" in table
    rows = json.loads(ganglion("devices", "--json", home=home).stdout)
    assert next(row for row in rows if row["device"] == "kitchen")["online"] is True


def test_senders_of_events(home: Path) -> None:
    made = ganglion("sender", "bell", "--device", "kitchen", "--event", "doorbell", home=home)
    shown = dict(line.split() for line in made.stdout.splitlines())
    assert made.returncode == 0 and shown["user"] == "@bell" and len(shown["secret"]) == 32
    assert shown["topic"] == "gn/kitchen/down/event/doorbell"
    again = ganglion("sender", "bell", home=home)
    fails(again, 1, "bell", "known")
    renewed = json.loads(ganglion("sender", "--json", "--renew", "bell", home=home).stdout)
    assert renewed["topics"] == ["gn/+/down/event/+"] and renewed["secret"] != shown["secret"]
    assert ganglion("sender", home=home).stdout == "bell: gn/+/down/event/+\n"
    fails(ganglion("sender", "Bell", home=home), 1, "Bell", "a-z")
    fails(ganglion("sender", "x", "--event", "a/b", home=home), 1, "a/b")
    fails(ganglion("sender", "--remove", home=home), 2, "NAME")
    assert ganglion("sender", "--remove", "bell", home=home).returncode == 0
    fails(ganglion("sender", "--remove", "bell", home=home), 1, "bell")
    assert json.loads(ganglion("sender", "--json", home=home).stdout) == []


def test_say_answered(home: Path, device: Device) -> None:
    device.replies["turn on pin 5"] = {
        "text": "pin 5 is on.",
        "calls": [["gpio_write", {"pin": 5, "value": 1}, {"level": 1}]],
        "by": "chip",
    }
    shown = ganglion("say", "kitchen", "turn", "on", "pin", "5", home=home)
    assert shown.returncode == 0 and shown.stderr == ""
    for part in ("pin 5 is on.", "gpio_write", "pin=5 value=1", "level=1", "edge/chip", "free"):
        assert part in shown.stdout
    assert "\x1b" not in shown.stdout  # not a terminal: no colours
    turn = json.loads(ganglion("say", "--json", "kitchen", "turn on pin 5", home=home).stdout)
    assert turn["calls"] == [
        {"tool": "gpio_write", "args": {"pin": 5, "value": 1}, "receipt": {"level": 1}}
    ]
    assert turn["answered"] is True and turn["usd"] == 0


def test_a_failed_call_looks_different(home: Path, device: Device) -> None:
    receipt = {"level": 0, "err": "mismatch", "msg": "pin 5 reads off: check the wiring"}
    device.replies["stuck"] = {
        "text": "pin 5 reads off: check the wiring.",
        "calls": [["gpio_write", {"pin": 5, "value": 1}, receipt]],
        "by": "chip",
    }
    shown = ganglion("say", "kitchen", "stuck", home=home, PYTHONIOENCODING="utf-8").stdout
    assert "✗" in shown and "✓" not in shown and "mismatch" in shown
    ascii_ = ganglion("say", "kitchen", "stuck", home=home, PYTHONIOENCODING="ascii").stdout
    assert "FAILED" in ascii_ and ascii_.isascii()


def test_say_not_answered(home: Path, device: Device) -> None:
    device.replies["gibberish"] = {"text": "nobody knows what to do", "err": "no_answer"}
    shown = ganglion("say", "kitchen", "gibberish", home=home)
    assert shown.returncode == 1
    assert "nobody knows what to do" in shown.stdout and "no_answer" in shown.stdout


def test_a_device_cannot_steer_the_terminal(home: Path, device: Device) -> None:
    device.replies["evil"] = {"text": "hi\x1b]0;owned\x07\x1b[2J", "by": "chip"}
    shown = ganglion("say", "kitchen", "evil", home=home, PYTHONIOENCODING="utf-8")
    assert "\x1b" not in shown.stdout and "\x07" not in shown.stdout


def test_do(home: Path, device: Device) -> None:
    device.receipts["gpio_read"] = {"level": 1}
    shown = ganglion("do", "kitchen", "gpio_read", '{"pin": 5}', home=home)
    assert shown.returncode == 0 and "level=1" in shown.stdout
    result = json.loads(ganglion("do", "--json", "kitchen", "gpio_read", home=home).stdout)
    assert result["receipt"] == {"level": 1} and result["id"]
    device.receipts["nonsense"] = {"err": "unknown_tool", "msg": "no such tool"}
    shown = ganglion("do", "kitchen", "nonsense", home=home)
    assert shown.returncode == 1 and "unknown_tool" in shown.stdout


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"pin": }', ["character 9", "^"]),
        ("[1]", ["a list", "object"]),
        ("5", ["a number"]),
        ("pin=5", ["character 1", """'{"pin": 5"""]),
        ("[" * 100_000, ["not JSON"]),
    ],
)
def test_bad_json(home: Path, device: Device, text: str, words: list[str]) -> None:
    result = ganglion("do", "kitchen", "gpio_read", text, home=home)
    if text.startswith("[["):
        words = ["nested"] if "nested" in result.stderr else words
    fails(result, 2, *words)


def test_unknown_device_lists_the_known(home: Path, device: Device) -> None:
    fails(ganglion("say", "cellar", "hi", home=home), 1, "cellar", "kitchen")
    fails(ganglion("do", "cellar", "x", home=home), 1, "cellar", "kitchen")
    fails(ganglion("say", "Garage!", "hi", home=home), 1, "device id")


@pytest.mark.parametrize("text, word", [("", "empty"), (" ", "empty"), ("ä" * 513, "1026 bytes")])
def test_texts_that_cannot_be_said(home: Path, device: Device, text: str, word: str) -> None:
    fails(ganglion("say", "kitchen", text, home=home), 2, word)


def test_nothing_runs(tmp_path: Path) -> None:
    for arguments in (["devices"], ["say", "a", "b"], ["do", "a", "b"], ["board"]):
        fails(ganglion(*arguments, home=tmp_path), 1, "not running", "ganglion serve")
    assert not list(tmp_path.iterdir())  # asking made nothing


def test_a_state_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fails(ganglion("serve", home=tmp_path / "file"), 1, "state folder", "--home")
    (tmp_path / "home" / "serve.lock").mkdir(parents=True)
    fails(ganglion("serve", home=tmp_path / "home"), 1, "state folder", "--home")


def test_a_damaged_run_file(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    fails(ganglion("devices", home=tmp_path), 1, "damaged", "run.json")


def test_something_else_listens_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    running = Running(f"http://127.0.0.1:{port}", "t", os.getpid(), Broker("127.0.0.1", 1))
    Home(tmp_path).announce(running)
    fails(ganglion("devices", home=tmp_path), 1, str(port), "ganglion serve")


def test_debug_shows_where(tmp_path: Path) -> None:
    result = ganglion("--debug", "devices", home=tmp_path)
    assert result.returncode == 1 and "Traceback" in result.stderr


def test_a_closed_pipe_is_no_error(home: Path, device: Device) -> None:
    command = f"{sys.executable} -m tools.cli devices | true"
    env = {**os.environ, "GANGLION_HOME": str(home)}
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=env)
    assert result.stderr == ""


def test_help_is_quick() -> None:
    """What takes long to import is imported by the command that needs it."""
    heavy = ("fastapi", "pydantic", "prompt_toolkit", "uvicorn", "paho", "openai", "rich")
    program = f"import sys, tools.cli; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"
    best_s = min(_timed_help() for _ in range(3))
    assert best_s < 1.0


def _timed_help() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "tools.cli", "--help"], check=True, capture_output=True)
    return time.monotonic() - began
