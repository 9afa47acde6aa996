"""A board's serial line: what it prints, and mpremote and esptool at it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from tools.problem import Problem

_BAUD: Final = 115200
_KEPT_BYTES: Final = 1 << 20
_TOOL_S: Final = 30.0


class SerialLine:
    """Reads the port all the time, but for when a tool has it. The same at a chip's USB bridge and
    at the virtual board's pseudo-terminal."""

    def __init__(self, port: str) -> None:
        self.port = port
        self._printed = bytearray()
        self._gone = 0  # bytes forgotten at the front
        self._came = threading.Condition()
        self._serial: Any = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def open(self) -> None:
        """Problem where the port is not there, or somebody else's."""
        import serial  # type: ignore[import-untyped]

        line = serial.Serial()
        line.port, line.baudrate, line.timeout = self.port, _BAUD, 0.05
        # Both off: on most boards they hold the chip in reset, or in its loader.
        line.dtr = line.rts = False
        try:
            line.open()
        except (OSError, serial.SerialException) as error:
            raise Problem(f"{self.port} cannot be opened: {error}") from None
        self._serial = line
        self._ended.clear()
        self._thread = threading.Thread(target=self._read, name="serial", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Safe to repeat."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            self._serial.close()
            self._thread = None

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                data = self._serial.read(4096 if self._serial.in_waiting else 1)
            except (OSError, TypeError):
                time.sleep(0.05)  # a port that is on the chip itself goes with a reset
                continue
            if data:
                with self._came:
                    self._printed += data
                    over = len(self._printed) - _KEPT_BYTES
                    if over > 0:
                        del self._printed[:over]
                        self._gone += over
                    self._came.notify_all()

    @property
    def position(self) -> int:
        """For `since`: what is printed from now on."""
        with self._came:
            return self._gone + len(self._printed)

    def since(self, position: int = 0) -> str:
        """What was printed from there on; of a megabyte the end."""
        with self._came:
            return self._printed[max(position - self._gone, 0) :].decode(errors="replace")

    def wait(self, text: str, seconds: float, position: int = 0) -> str:
        """What was printed, once ``text`` is in it. TimeoutError shows what was printed."""
        until = time.monotonic() + seconds
        while text not in (printed := self.since(position)):
            with self._came:
                if not self._came.wait(min(max(until - time.monotonic(), 0), 0.5)) and (
                    time.monotonic() >= until
                ):
                    raise TimeoutError(f"the board did not print {text!r}, but: {printed[-1500:]}")
        return printed

    def type(self, text: str) -> None:
        """Write to the line, as a person at a terminal."""
        self._serial.write(text.encode())

    def pulse_reset(self) -> None:
        """EN by RTS, as esptool resets a chip. A pseudo-terminal has no such wire: a word does."""
        if self.port.startswith("/dev/pts/"):
            self.tool("mpremote", "resume", "reset")
            return
        self._serial.rts = True
        time.sleep(0.1)
        self._serial.rts = False

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Inside, the port is free for another program."""
        self.close()
        try:
            yield
        finally:
            self.open()

    def tool(self, *command: str, fails: bool = False) -> str:
        """What ``mpremote …`` or ``esptool …`` prints; the port is put in. AssertionError where it
        ends otherwise than said."""
        name, *rest = command
        where = ["connect", self.port] if name == "mpremote" else ["--port", self.port]
        with self.lent():
            try:
                done = subprocess.run(
                    [sys.executable, "-m", name, *where, *rest],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=_TOOL_S,
                )
            except subprocess.TimeoutExpired as silent:
                said = (silent.stdout or b"")[-500:].decode(errors="replace")
                raise AssertionError(
                    f"{' '.join(command)}: not done within {_TOOL_S:g} s; it said {said!r}"
                ) from None
        printed = (done.stdout + done.stderr).replace("\r\n", "\n")
        assert (done.returncode != 0) is fails, f"{' '.join(command)}: {printed[-2000:]}"
        return printed
