"""``ganglion demo``: broker, companion and one virtual board as a user would start them, then a
chat or a list of sentences. Nothing is left when it ends, however it ends.

Both children are the same commands as in three terminals (`serve` and `board`), in a temporary
home. They are in sessions of their own, so Ctrl-C reaches only us and we end them in order; if we
are killed hard the kernel ends them (tools/children.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import children
from tools.client import Client, Refused, check_text
from tools.ending import Ending
from tools.problem import FAILED, Problem, Usage, shown
from tools.render import Paint, turn_lines
from tools.state import Home

_SERVE_S = 30.0
_BROKER_S = 1.0  # from the first failed try to connect, the next ones included
_BOARD_S = 60.0
_SAFE_MODE = "SAFE MODE"  # the firmware's word, on its serial line, after three failed boots
_PREFIX = "ganglion-demo-"


@dataclass(frozen=True)
class Options:
    """What the command line said; see ``ganglion demo --help``."""

    say: str = ""
    json: bool = False
    broker: str = ""
    ca: Path | None = None
    device: str = ""
    config: Path | None = None


def run(options: Options) -> int:
    """The whole demo. Returns the exit status: 0 when every sentence was answered."""
    sentences = [part.strip() for part in options.say.split(";") if part.strip()]
    if options.say and not sentences:
        raise Usage("SAY holds no sentence")
    for sentence in sentences:
        check_text(sentence)
    if options.json and not sentences:
        if sys.stdin.isatty():
            raise Usage('JSON=1 goes with sentences: make demo SAY="turn on pin 5" JSON=1')
        sentences = [line.strip() for line in sys.stdin if line.strip()]
    ending = Ending()
    with ending.heeded(), contextlib.ExitStack() as stack:
        try:
            parts = _Parts(options, stack)
            parts.start()
            if sentences:
                return _run_all(parts, sentences, options.json)
            from tools.chat import Chat

            chat = Chat(parts.client, parts.device, parts.folder, parts.log("serve"), ending)
            return 0 if chat.run() or sys.stdin.isatty() else FAILED
        finally:
            ending.no_more()


class _Parts:
    """The processes of a demo and the folder they live in; all ended by ``stack``."""

    def __init__(self, options: Options, stack: contextlib.ExitStack) -> None:
        self._options = options
        self._stack = stack
        self._steps = Steps()
        self._began = time.monotonic()
        self.device, self._secret = _board_login(options)
        self._folder = _temporary_home(stack)
        self._home = Home(self._folder)
        self.client: Client

    @property
    def folder(self) -> Path:
        """The board's own: its flash and its control socket."""
        return self._home.board(self.device)

    def log(self, name: str) -> Path:
        """What the child ``name`` has written."""
        return self._folder / f"{name}.log"

    def start(self) -> None:
        """Return when the board is online. Problem, with a child's last words, if it is not."""
        options = self._options
        if options.broker:
            self._steps.note(
                f"your broker: the companion logs in as its URL says, the board as user and "
                f"client id {self.device!r} with "
                f"{'the same password' if self._secret else 'no password'}, on gn/{self.device}/#"
            )
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        # Passwords go through the environment: arguments are everybody's to read.
        for name, value in (("BROKER", options.broker), ("SECRET", self._secret)):
            env.pop(f"GANGLION_{name}", None)
            if value:
                env[f"GANGLION_{name}"] = value
        ca = ["--ca", str(options.ca.absolute())] if options.ca else []
        path = options.config or (Home().config if Home().config.exists() else None)
        config = ["--config", str(path.absolute())] if path else []
        if path:
            self._steps.note(f"backends and limits from {shown(path)}")
        _unpack_runtimes()
        serve = self._child("serve", [*ca, *config], env)
        # Both at once: while the companion starts, the board's program loads and waits for it.
        board = self._child("board", ["--device", self.device, "--wait", str(_SERVE_S), *ca], env)
        with self._steps.step("broker and companion") as tick:
            self._wait(tick, _SERVE_S, {"serve": serve}, self._is_serving)
        with self._steps.step("virtual board") as tick:
            self._wait(tick, _BOARD_S, {"serve": serve, "board": board}, self._is_ready)

    def _child(
        self, name: str, arguments: list[str], env: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tools.cli", name, "--home", str(self._folder)]
        with self.log(name).open("wb") as output:
            child = children.spawn(
                [*command, *arguments],
                env=env,
                stdout=output,
                stderr=output,
                death_signal=signal.SIGTERM,  # it has children of its own to end
            )
        self._stack.callback(children.stop, child, 5.0)
        return child

    def _is_serving(self) -> bool:
        try:
            self.client = Client(self._home.running())
        except Problem:
            return False
        health = self.client.health()
        if health.get("broker"):
            return True
        # There is no problem before the first try has failed; the next comes half a second later.
        trouble = "; ".join(map(str, health.get("problems") or []))
        if not trouble or trouble.startswith("not connected yet"):
            self._began = time.monotonic()
        elif time.monotonic() - self._began > _BROKER_S:
            raise Problem(f"{trouble}. Is the broker's URL right?")
        return False

    def _is_ready(self) -> bool:
        """Online, and it knows the time: before that it refuses every command."""
        mine = next((d for d in self.client.devices() if d.get("device") == self.device), {})
        return bool(mine.get("online") and mine.get("clock"))

    def _wait(
        self,
        tick: Callable[[], None],
        limit_s: float,
        needed: dict[str, subprocess.Popen[bytes]],
        is_ready: Callable[[], bool],
    ) -> None:
        """Until ``is_ready``, as long as every process in ``needed`` lives."""
        end = time.monotonic() + limit_s
        while True:
            for name, child in needed.items():
                if child.poll() is not None:
                    raise Problem(f"the part `ganglion {name}` ended early.\n{self._last(name)}")
            if is_ready():
                return
            if _SAFE_MODE in self._text("board"):
                raise Problem(f"the board does not boot.\n{self._last('board')}")
            if time.monotonic() > end:
                raise Problem(
                    f"not ready after {limit_s:.0f} s.\n" + "\n".join(map(self._last, needed))
                )
            tick()
            time.sleep(0.03)

    def _last(self, name: str) -> str:
        """The end of a child's log, which the end of the demo takes away."""
        return "\n".join(f"  {name}: {line}" for line in self._text(name).splitlines()[-8:])

    def _text(self, name: str) -> str:
        return self.log(name).read_text(encoding="utf-8", errors="replace").strip()


def _unpack_runtimes() -> None:
    """What downloads, at the very first start, does it here: with its progress on the terminal,
    and with no limit in time."""
    from tools import runtime

    try:
        runtime.mosquitto()
        runtime.micropython()
    except runtime.RuntimeMissing as error:
        raise Problem(str(error)) from error


class Steps:
    """Progress on stderr: what is being done, and how long it took."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._paint = Paint(sys.stderr)

    def note(self, text: str) -> None:
        print(f"demo: {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[Callable[[], None]]:
        """Gives a function to call now and then while it lasts."""
        began = time.monotonic()

        def show(end: str, text: str) -> None:
            start = "\r\x1b[K" if self._live else ""
            print(f"{start}demo: {text}", end=end, file=sys.stderr, flush=True)

        def tick() -> None:
            if self._live:
                show("", f"{what} … {time.monotonic() - began:.1f} s")

        tick()
        try:
            yield tick
        except BaseException:
            if self._live:
                print(file=sys.stderr)
            raise
        ready = self._paint("ready", "green")
        show("\n", f"{what} {ready} after {time.monotonic() - began:.1f} s")


def _board_login(options: Options) -> tuple[str, str]:
    """The board's device id and secret. A device logs in with its id as user name, so with the
    user's broker it takes the URL's user where that can be a device id."""
    from tools.accounts import check_device_id

    try:
        if options.device:
            check_device_id(options.device)
        if not options.broker:
            return options.device or "demo", ""
        from companion.link import BrokerUrl

        url = BrokerUrl.parse(options.broker)
    except ValueError as error:
        raise Usage(str(error)) from error
    with contextlib.suppress(ValueError):
        return options.device or check_device_id(url.user or "demo"), url.password or ""
    return "demo", url.password or ""


def _temporary_home(stack: contextlib.ExitStack) -> Path:
    """A folder that ``stack`` removes. Those of demos that were killed hard are swept too."""
    for old in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (old / "demo.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o711)  # the broker runs as another user when we are root
    lock = stack.enter_context((folder / "demo.lock").open("w"))
    fcntl.flock(lock, fcntl.LOCK_EX)
    return folder


def _run_all(parts: _Parts, sentences: list[str], as_json: bool) -> int:
    """Say one sentence after another. Returns the exit status."""
    paint = Paint()
    answered = True
    for text in sentences:
        turn = _turn(parts, text)
        answered = answered and bool(turn["answered"])
        if as_json:
            print(json.dumps(turn, ensure_ascii=False, separators=(",", ":")), flush=True)
        else:
            lines = [paint(f"> {text}", "dim"), *turn_lines(turn, paint)]
            print("\n".join(lines), flush=True)
    return 0 if answered else FAILED


def _turn(parts: _Parts, text: str) -> dict[str, Any]:
    """What the companion makes of ``text``; a refusal in the same shape."""
    try:
        return parts.client.say(parts.device, text)
    except Problem as problem:
        return {
            "say": text,
            "reply": str(problem),
            "calls": [],
            "backend": None,
            "tier": None,
            "ms": 0.0,
            "usd": 0.0,
            "tokens": 0,
            "bytes_up": 0,
            "bytes_down": 0,
            "answered": False,
            "err": problem.code if isinstance(problem, Refused) else "internal",
        }
