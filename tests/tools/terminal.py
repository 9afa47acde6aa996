"""A program on a real pseudo-terminal, as far as a test needs one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|.)")
_CURSOR_REPORT = b"\x1b[6n"  # ECMA-48 DSR: where is the cursor?


class Terminal:
    """``command`` on a terminal of its own. ``text`` is what it has shown, escapes removed."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, env)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.raw = b""
        self._status: int | None = None

    @property
    def text(self) -> str:
        return _ESCAPES.sub("", self.raw.decode(errors="replace"))

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def say(self, line: str) -> None:
        self.type(line + "\r")

    def shows(self, words: str, timeout_s: float = 10.0, after: int = 0) -> int:
        """Wait until ``words`` stand in ``text`` past ``after``; returns where they end."""
        end = time.monotonic() + timeout_s
        while (at := self.text.find(words, after)) < 0:
            assert time.monotonic() < end and self._pump(), f"{words!r} is not in:\n{self.text}"
        return at + len(words)

    def _pump(self) -> bool:
        """Read what is there; False when the program has closed the terminal."""
        if select.select([self._fd], [], [], 0.05)[0]:
            try:
                got = os.read(self._fd, 65536)
            except OSError:
                return False
            self.raw += got
            for _ in range(got.count(_CURSOR_REPORT)):
                os.write(self._fd, b"\x1b[1;1R")
        return True

    def ends(self, timeout_s: float = 15.0) -> int:
        """Wait for the end; returns the exit status as a shell shows it."""
        end = time.monotonic() + timeout_s
        while self._status is None:
            self._pump()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self._status = code if code >= 0 else 128 - code
            assert self._status is not None or time.monotonic() < end, self.text
        return self._status

    def echoes(self) -> bool:
        """Is the terminal in its usual mode, showing what is typed?"""
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)

    def hang_up(self) -> None:
        """Close the terminal window: the kernel sends SIGHUP."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
