"""The chat of the demo: sentences to a device, what became of them, and a few commands.

On a terminal prompt_toolkit edits the line and remembers the last ones; on a pipe or a terminal
without cursor control plain lines are read. Both show the same.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tools.client import Client
from tools.ending import Ended, Ending
from tools.problem import Problem
from tools.render import Paint, clean, table, turn_lines
from tools.state import Home

TRY = (
    "turn on pin 5",
    "call pin 5 kitchen light",
    "could you switch the kitchen light off please",
    "is the kitchen light on?",
    "remember that my plants like mornings",
)

_HELP = (
    ("/points", "the named points and their levels"),
    ("/pads", "what every pad of the virtual board does"),
    ("/hold PIN 0|1|free", "short a pad to a level, and see an honest failure"),
    ("/events", "what the board reported last: boots, refusals, errors"),
    ("/reboot", "press the board's reset button"),
    ("/quit", "end (or Ctrl-D)"),
)
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_EVENTS_SHOWN = 12
_REBOOT_S = 20.0

T = TypeVar("T")


@dataclass
class Chat:
    """One conversation with ``device``, a virtual board whose files are in ``board``.

    ``log`` is the companion's log file, for ``/events``.
    """

    client: Client
    device: str
    board: Path
    log: Path
    ending: Ending

    def __post_init__(self) -> None:
        self._paint = Paint()
        self._unanswered = 0

    def run(self) -> bool:
        """Chat until the end of input. Returns whether every sentence was answered."""
        self._welcome()
        for line in self._lines():
            try:
                if line.startswith("/"):
                    if line.split()[0] in ("/quit", "/exit"):
                        break
                    self._command(line)
                else:
                    self._say(line)
            except Problem as problem:
                self._unanswered += not line.startswith("/")
                self._print(self._paint(f"error: {problem}", "red"))
            except KeyboardInterrupt:
                # Not the end of the chat, only of this wait.
                self._print("\nstopped waiting; what was said may still be done")
        return not self._unanswered

    # -- reading ---------------------------------------------------------------------------

    def _lines(self) -> Iterator[str]:
        read = self._editor() if sys.stdin.isatty() and sys.stdout.isatty() else self._plain
        while True:
            try:
                line = read().strip()
            except (EOFError, KeyboardInterrupt):
                return
            if line:
                yield line

    def _plain(self) -> str:
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        if line.strip():
            self._print(self._paint(f"> {line.strip()}", "dim"))
        return line

    def _editor(self) -> Callable[[], str]:
        if not _has_cursor():
            return lambda: input("> ")
        from prompt_toolkit import PromptSession
        from prompt_toolkit.formatted_text import ANSI
        from prompt_toolkit.history import FileHistory, History, InMemoryHistory
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

        keys = KeyBindings()

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            """As in a shell: the first drops the line, on an empty line it ends."""
            if event.current_buffer.text:
                event.current_buffer.reset()
            else:
                event.app.exit(exception=EOFError())

        history: History = InMemoryHistory()
        # Kept with the user's state, not with the demo's, which is gone at the end.
        with contextlib.suppress(OSError, Problem):
            home = Home()
            home.create()
            path = home.folder / "chat_history"
            path.touch(mode=0o600, exist_ok=True)
            history = FileHistory(str(path))
        session: PromptSession[str] = PromptSession(
            history=history, key_bindings=keys, reserve_space_for_menu=0
        )
        app = session.app

        def leave(ended: Ended) -> bool:
            if not app.is_running or app.loop is None:
                return False
            app.loop.call_soon_threadsafe(lambda: app.exit(exception=ended))
            return True

        self.ending.divert = leave
        return lambda: session.prompt(ANSI(self._paint("> ", "bold")), handle_sigint=False)

    # -- a turn ----------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        turn = self._wait(lambda: self.client.say(self.device, text))
        self._unanswered += not turn.get("answered")
        self._print("\n".join(turn_lines(turn, self._paint)))

    def _wait(self, work: Callable[[], T], what: str = "") -> T:
        """``work()`` in a thread, with a sign of life here. Ctrl-C gives up waiting for it.

        ``what`` is going on; without it we look what is.
        """
        outcome: list[T] = []
        failure: list[BaseException] = []
        finished = threading.Event()

        def run() -> None:
            try:
                outcome.append(work())
            except BaseException as error:
                failure.append(error)
            finally:
                finished.set()

        # A daemon: one that nobody waits for any more must not hold up the end.
        threading.Thread(target=run, daemon=True).start()
        try:
            with self._spinner(what) as tick:
                while not finished.wait(0.1):
                    tick()
        except KeyboardInterrupt:
            self.client.abandon()
            raise
        if failure:
            raise failure[0]
        return outcome[0]

    @contextlib.contextmanager
    def _spinner(self, given: str) -> Iterator[Callable[[], None]]:
        began = time.monotonic()
        shown = False
        what, looked = given or f"{self.device} is on it", began

        def tick() -> None:
            nonlocal shown, what, looked
            passed_s = time.monotonic() - began
            if not given and time.monotonic() - looked > 2.0:
                looked = time.monotonic()
                what = self._why_it_takes_time(passed_s)
            frame = _FRAMES[int(passed_s * 10) % len(_FRAMES)] if self._paint.unicode else "."
            text = f"{frame} {what} ({passed_s:.0f} s; Ctrl-C stops waiting)"
            sys.stdout.write(f"\r\x1b[K{self._paint(text, 'dim')}")
            sys.stdout.flush()
            shown = True

        try:
            yield tick if _has_cursor() else lambda: None
        finally:
            if shown:
                sys.stdout.write("\r\x1b[K")
                sys.stdout.flush()

    def _why_it_takes_time(self, passed_s: float) -> str:
        with contextlib.suppress(Problem, StopIteration):
            mine = next(d for d in self.client.devices() if d.get("device") == self.device)
            if not mine.get("online"):
                return f"{self.device} is offline; waiting for it to come back"
        if passed_s > 4.5:  # the device repeats its ask after 4 s
            return "still no answer; the board asks again"
        return "the companion is looking for an answer"

    # -- commands --------------------------------------------------------------------------

    def _command(self, line: str) -> None:
        name, *words = line.split()
        commands: dict[str, Callable[[list[str]], None]] = {
            "/help": self._help,
            "/points": self._points,
            "/pads": self._pads,
            "/hold": self._hold,
            "/events": self._events,
            "/reboot": self._reboot,
        }
        if name not in commands:
            raise Problem(f"there is no {clean(name)}; /help lists the commands")
        commands[name](words)

    def _control(self, op: str, **fields: Any) -> dict[str, Any]:
        """One operation on the virtual board (docs/architecture.md, control socket)."""
        from tools.vboard.control import BoardError, SyncBoardControl

        try:
            with SyncBoardControl.of(self.board) as control:
                return control.call(op, **fields)
        except BoardError as error:
            raise Problem(f"the virtual board says: {error}") from error
        except OSError as error:
            raise Problem(f"the virtual board has ended ({error.strerror or error})") from error

    def _help(self, _: list[str]) -> None:
        width = max(len(name) for name, _ in _HELP)
        for name, what in _HELP:
            self._print(f"  {self._paint(name.ljust(width), 'cyan')}  {what}")

    def _mine(self) -> dict[str, Any]:
        for row in self.client.devices():
            if row.get("device") == self.device:
                return row
        return {}

    def _points(self, _: list[str]) -> None:
        points = self._mine().get("points") or {}
        if not points:
            self._print('no pin has a name yet. Say "call pin 5 kitchen light".')
            return
        rows = [
            [clean(name), str(p.get("pin")), str(p.get("dir")), _level(p.get("level"))]
            for name, p in points.items()
        ]
        self._print("\n".join(table(["point", "pin", "dir", "level"], rows, self._paint)))

    def _pads(self, _: list[str]) -> None:
        pads = self._control("pads").get("pads") or {}
        # Pads that nothing has touched are noise.
        rows = [
            [pin, *(_cell(pad.get(column)) for column in _PAD_COLUMNS)]
            for pin, pad in sorted(pads.items(), key=lambda item: int(item[0]))
            if pad.get("mode") != "off" or pad.get("hold") is not None or pad.get("ext") is not None
        ]
        if not rows:
            self._print('no pad is in use yet. Say "turn on pin 5".')
            return
        self._print("\n".join(table(["pin", *_PAD_COLUMNS], rows, self._paint)))

    def _hold(self, words: list[str]) -> None:
        levels: dict[str, int | None] = {"0": 0, "1": 1, "free": None}
        if len(words) != 2 or not words[0].isdecimal() or words[1] not in levels:
            raise Problem("write it as /hold 5 0, or /hold 5 1, or /hold 5 free")
        pin, level = int(words[0]), levels[words[1]]
        self._control("hold", pin=pin, level=level)
        if level is None:
            self._print(f"pad {pin} is free again")
        else:
            opposite = "on" if level == 0 else "off"
            self._print(
                f"pad {pin} is shorted to {level}: "
                f'try "turn {opposite} pin {pin}", or "is pin {pin} on?"'
            )

    def _events(self, _: list[str]) -> None:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise Problem(f"the companion's log cannot be read: {error.strerror}") from error
        # The companion logs each event as `<device>: <kind> …`.
        parts = (line.partition(f": {self.device}: ") for line in lines)
        mine = [f"{head.split()[0]} {event}" for head, found, event in parts if found]
        self._print(clean("\n".join(mine[-_EVENTS_SHOWN:])) or "nothing yet")

    def _reboot(self, _: list[str]) -> None:
        before = self._mine().get("boot")
        self._control("reset")

        def back() -> dict[str, Any]:
            end = time.monotonic() + _REBOOT_S
            while time.monotonic() < end:
                row = self._mine()
                if row.get("online") and row.get("boot") != before:
                    return row
                time.sleep(0.05)
            raise Problem(f"{self.device} is not back after {_REBOOT_S:.0f} s; see /events")

        began = time.monotonic()
        row = self._wait(back, "the board restarts")
        self._print(f"back after {time.monotonic() - began:.1f} s, boot {row.get('boot')}")

    # -- writing ---------------------------------------------------------------------------

    def _welcome(self) -> None:
        paint = self._paint
        self._print(f"\nThis is {paint(self.device, 'bold')}. Say something to it, for example:")
        for sentence in TRY:
            self._print(f"  {paint(sentence, 'cyan')}")
        self._print(
            f"  {paint('/hold 5 0', 'cyan')} shorts pad 5 to ground: "
            f"then {paint('turn on pin 5', 'cyan')} fails, and says so\n"
            "/help lists the commands; Ctrl-D ends.\n"
        )

    def _print(self, text: str) -> None:
        print(text, flush=True)


def _has_cursor() -> bool:
    """Is stdout a terminal on which the cursor can be moved?"""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


_PAD_COLUMNS = ("mode", "latch", "pull", "hold", "ext", "level")


def _level(level: object) -> str:
    return {0: "off", 1: "on"}.get(level, "?") if isinstance(level, int) else "?"


def _cell(value: object) -> str:
    return "-" if value is None else clean(str(value))
