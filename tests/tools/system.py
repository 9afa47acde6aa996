"""A running companion as a user starts it, and a device of a few lines that stands in for a board.

The tests of the command line need replies of every kind at once, refusals and failures among them;
the real firmware is driven in tests/e2e.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

from tools.client import Client
from tools.state import Home

GANGLION = [sys.executable, "-m", "tools.cli"]


def wait_for(what: Callable[[], object], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Does the process run? A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descendants(pid: int) -> set[int]:
    """All processes below ``pid`` now, by /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
        except (OSError, IndexError):
            continue
    found = {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found - {pid}


def ganglion(
    *arguments: str, home: Path, stdin: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """``ganglion …`` to its end."""
    return subprocess.run(
        [*GANGLION, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(home, **env),
    )


def environment(home: Path, **more: str) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("GANGLION_HOME")}
    return {**env, "GANGLION_HOME": str(home), **more}


class Serving:
    """``ganglion serve`` in a process; ``output`` is all it has written."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.log = home / "serve.out"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*GANGLION, "serve", *arguments],
                stdout=output,
                stderr=output,
                env=environment(home, PYTHONUNBUFFERED="1"),
            )
        wait_for(lambda: "Ctrl-C ends this" in self.output or self.process.poll() is not None)
        assert self.process.poll() is None, self.output
        self.running = Home(home).running()
        self.client = Client(self.running)

    @property
    def output(self) -> str:
        return self.log.read_text()

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


def row_of(serving: Serving, device: str) -> dict[str, Any]:
    """What the companion tells of ``device``; {} when it never heard of it."""
    return next((row for row in serving.client.devices() if row["device"] == device), {})


class Device:
    """Answers a say whose text is ``t`` by ``replies[t]``, and a do by its tool's receipt."""

    def __init__(self, serving: Serving, device: str, secret: str = "") -> None:
        self.id = device
        self.replies: dict[str, dict[str, Any] | None] = {}
        self.receipts: dict[str, dict[str, Any]] = {}
        self._ready = threading.Event()
        secret = secret or serving.client.register(device)["secret"]
        self.mqtt = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=device)
        self.mqtt.username_pw_set(device, secret)
        self.mqtt.on_connect = lambda *_: self._greet()
        self.mqtt.on_subscribe = lambda *_: self._ready.set()
        self.mqtt.on_message = lambda _c, _u, message: self._hear(message.topic, message.payload)
        self.mqtt.connect(serving.running.broker.host, serving.running.broker.port)
        self.mqtt.loop_start()
        assert self._ready.wait(5)
        wait_for(lambda: row_of(serving, device))

    def _up(self, leaf: str, message: dict[str, Any], retain: bool = False) -> None:
        self.mqtt.publish(f"gn/{self.id}/up/{leaf}", json.dumps(message), 1, retain)

    def _greet(self) -> None:
        self.mqtt.subscribe(f"gn/{self.id}/down/#", 1)
        self._up(
            "status",
            {"online": True, "boot": 3, "fw": "0.1.0", "board": "esp32", "tools": "a8Kd0f",
             "heap": 41234, "up": 12, "clock": True, "safe": False, "reset": "power_on"},
            retain=True,
        )  # fmt: skip
        light = {"pin": 5, "dir": "out", "level": 1}
        self._up("state", {"v": 1, "points": {"kitchen light": light}}, retain=True)

    def _hear(self, topic: str, payload: bytes) -> None:
        message = json.loads(payload)
        if topic.endswith("/say"):
            reply = self.replies.get(message["text"], {"text": "yes", "by": "chip"})
            if reply is not None:
                self._up("reply", {"id": message["id"], **reply})
        elif topic.endswith("/do"):
            self._up("done", {"id": message["id"], "receipt": self.receipts[message["tool"]]})

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()
