"""A whole system of real processes: mosquitto, `ganglion serve`, virtual boards, and a tap."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import paho.mqtt.client as mqtt

from tools.broker import EmbeddedBroker
from tools.paths import ROOT
from tools.vboard.control import SyncBoardControl

T = TypeVar("T")

GANGLION = [sys.executable, "-m", "tools.cli"]


def wait_for(what: str, probe: Callable[[], T | None], seconds: float = 20.0) -> T:
    """The first true value of `probe`, or a failure that says what did not come."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = probe()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come within {seconds:g} s")


class Process:
    """A child with its output in a file, ended by its own pid."""

    def __init__(self, name: str, command: list[str], folder: Path, env: dict[str, str]):
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=ROOT,
                env={**os.environ, **env},
            )

    def kill(self) -> None:
        """What `kill -9` does."""
        self.child.kill()
        self.child.wait()

    def stop(self) -> int:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
            try:
                return self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not end on SIGINT:\n{self.text()}") from None
        return self.child.returncode

    def text(self) -> str:
        return self.log.read_text(errors="replace")


class Tap:
    """An MQTT client with the service's rights: sees everything, may say anything."""

    def __init__(self, host: str, port: int, user: str, secret: str):
        self.messages: list[tuple[str, bytes]] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, user)
        self._client.username_pw_set(user, secret)
        self._client.on_message = lambda _c, _u, m: self.messages.append((m.topic, m.payload))
        self._client.on_connect = lambda c, *_: c.subscribe("gn/#", 1)
        subscribed: list[int] = []
        self._client.on_subscribe = lambda *_: subscribed.append(1)
        self._client.connect(host, port)
        self._client.loop_start()
        wait_for("the tap's subscription", lambda: subscribed)

    def send(self, topic: str, message: dict[str, Any] | bytes, retain: bool = False) -> None:
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._client.publish(topic, payload, 1, retain).wait_for_publish(5)

    def of(self, leaf: str) -> list[dict[str, Any]]:
        """The messages seen on topics that end in `leaf`, oldest first."""
        return [json.loads(p) for t, p in list(self.messages) if t.endswith("/" + leaf) and p]

    def wait(self, leaf: str, seconds: float = 10, **want: Any) -> dict[str, Any]:
        """The first message on `leaf` with these fields."""

        def probe() -> dict[str, Any] | None:
            for m in self.of(leaf):
                if all(m.get(k) == v for k, v in want.items()):
                    return m
            return None

        return wait_for(f"{leaf} {want}", probe, seconds)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class System:
    """Broker and companion as separate processes; boards on demand."""

    def __init__(self, home: Path, toml: str = ""):
        self.home = home
        self.env = {"GANGLION_HOME": str(home), "NO_COLOR": "1", "TERM": "dumb"}
        self.broker = EmbeddedBroker(home / "broker")
        self.broker.start()
        user, secret = self.broker.add_service("tap")
        self.tap = Tap("127.0.0.1", self.broker.port, user, secret)
        self._service = self.broker.add_service("companion")
        self._toml = home / "ganglion.toml"
        self._toml.write_text(toml)
        self.secrets: dict[str, str] = {}
        self._processes: list[Process] = []
        self.companion = self.start_companion()

    def start_companion(self) -> Process:
        user, secret = self._service
        command = [
            *GANGLION,
            "serve",
            "--broker",
            f"mqtt://{user}:{secret}@127.0.0.1:{self.broker.port}",
            "--config",
            str(self._toml),
        ]
        process = Process("companion", command, self.home, self.env)
        self._processes.append(process)
        self.companion = process
        run = self.home / "run.json"

        def ready() -> bool:
            if process.child.poll() is not None:
                raise AssertionError(f"the companion ended:\n{process.text()}")
            if not run.exists() or json.loads(run.read_text())["pid"] != process.child.pid:
                return False
            self._run = json.loads(run.read_text())
            return self.http("GET", "/healthz")[0] == 200

        wait_for("the companion", ready)
        return process

    def board(self, device: str = "demo", **options: str) -> Board:
        if device not in self.secrets:
            self.secrets[device] = self.broker.add(device)
        return Board(self, device, self.secrets[device], options)

    def http(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._run["url"] + path,
            data,
            {"Authorization": f"Bearer {self._run['token']}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as e:
            return e.code, json.load(e)
        except OSError:
            return 0, None

    def say(self, text: str, device: str = "demo") -> dict[str, Any]:
        status, turn = self.http("POST", f"/devices/{device}/say", {"text": text})
        assert isinstance(turn, dict), status
        return turn

    def do(self, tool: str, args: dict[str, Any], device: str = "demo") -> dict[str, Any]:
        status, done = self.http("POST", f"/devices/{device}/do", {"tool": tool, "args": args})
        assert isinstance(done, dict), status
        return done

    def run(self, *args: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        """`ganglion …` as a user types it."""
        done = subprocess.run(
            [*GANGLION, *args],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env={**os.environ, **self.env},
            stdin=subprocess.DEVNULL,
        )
        assert expect is None or done.returncode == expect, done.stdout + done.stderr
        return done

    def add_process(self, process: Process) -> Process:
        self._processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self._processes):
            process.stop()
        self.tap.close()
        self.broker.stop()


class Board:
    """One virtual board, as the process a user starts."""

    def __init__(self, system: System, device: str, secret: str, options: dict[str, str]):
        self.device = device
        self.system = system
        self._n = 0
        command = [
            *GANGLION,
            "board",
            "--device",
            device,
            "--broker",
            f"mqtt://127.0.0.1:{system.broker.port}",
            "--secret",
            secret,
        ]
        for name, value in options.items():
            command += [f"--{name}", value]
        self.process = system.add_process(
            Process(f"board-{device}", command, system.home, system.env)
        )
        self.folder = system.home / "boards" / device
        self.control = wait_for("the control socket", self._control)
        self.boot = self.online()

    def _control(self) -> SyncBoardControl | None:
        if self.process.child.poll() is not None:
            raise AssertionError(f"the board ended:\n{self.process.text()}")
        try:
            return SyncBoardControl.of(self.folder)
        except OSError:
            return None

    def online(self, after: int = 0, seconds: float = 30) -> int:
        """Wait until it is online, and knows the time, in a boot later than `after`; that boot."""

        def probe() -> int | None:
            for s in reversed(self.system.tap.of("status")):
                if s["boot"] > after:
                    return s["boot"] if s["online"] and s["clock"] else None
            return None

        try:
            self.boot = wait_for(f"boot > {after} of {self.device}", probe, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.process.text()[-3000:]}") from None
        return self.boot

    def level(self, pin: int) -> int:
        return int(self.control.call("pads")["pads"][str(pin)]["level"])

    def command(self, cid: str, life_s: int = 30, **fields: Any) -> dict[str, Any]:
        """A say or do as a requester writes it."""
        return {"id": cid, "boot": self.boot, "exp": int(time.time()) + life_s, **fields}

    def do(self, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        """Publish a `do` with an id of its own and wait for its receipt."""
        self._n += 1
        message = self.command(f"rig-{self._n}", tool=tool, args=args)
        self.system.tap.send(f"gn/{self.device}/down/do", message)
        return dict(self.system.tap.wait("done", id=message["id"])["receipt"])
