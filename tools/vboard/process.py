"""One run of MicroPython, from power-on or reset to its end, with its serial line."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.vboard import layout

# Mounts the stand-ins, then leaves the rest to them. `before` is taken first: what is in use then
# is in use on a chip, too.
_START = """
import gc
gc.collect()
before = gc.mem_alloc()
import ffi, os, sys, uctypes, vfs
def mount(path):
    libc = ffi.open(None)
    fd = libc.func("i", "open", "si")(path, 0)
    size = os.stat(path)[6]
    at = libc.func("p", "mmap", "pLiiil")(0, size, 1, 1, fd, 0)
    libc.func("i", "close", "i")(fd)
    vfs.mount(vfs.VfsRom(uctypes.bytearray_at(at, size)), "/rom")
mount(os.getenv("GANGLION_ROM"))
sys.path[:] = ["/rom", "", ".frozen", "/lib"]
import _boot
_boot.go(globals(), before)
"""


class Serial:
    """What the board printed, the last 64 KiB of it, by position since the board was made."""

    LIMIT_BYTES = 65536

    def __init__(self) -> None:
        self.end = 0
        self._kept = bytearray()
        self.listeners: list[Callable[[bytes], None]] = []

    def add(self, data: bytes) -> None:
        self._kept += data
        self.end += len(data)
        del self._kept[: -self.LIMIT_BYTES]
        for listener in self.listeners:
            listener(data)

    def note(self, text: str) -> None:
        """A line of the launcher's own."""
        self.add(f"[vboard] {text}\r\n".encode())

    def since(self, position: int) -> str:
        """What was printed from ``position`` on, as far as it is kept."""
        start = max(0, len(self._kept) - max(0, self.end - position))
        return self._kept[start:].decode(errors="replace")


class Chip:
    """The child process. Its end is told once, by ``ended(returncode)``, on the event loop."""

    def __init__(
        self, process: asyncio.subprocess.Process, serial: Serial, memory: mmap.mmap
    ) -> None:
        self._process = process
        self._serial = serial
        self._memory = memory
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        heap_kib: int,
        folder: Path,
        rom: Path,
        serial: Serial,
        memory: mmap.mmap,
    ) -> Chip:
        process = await asyncio.create_subprocess_exec(
            *command,
            "-X",
            f"heapsize={heap_kib}k",
            "-c",
            _START,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C in a terminal is for the launcher; it passes on what is meant for the board.
            start_new_session=True,
            env={
                "GANGLION_BOARD": str(folder),
                "GANGLION_ROM": str(rom),
                "GANGLION_PARENT": str(os.getpid()),
                # mktime() of the Unix port is local time, the chip's is UTC.
                "TZ": "UTC",
            },
        )
        return cls(process, serial, memory)

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: int) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def write(self, data: bytes) -> None:
        """Into the serial line. Ctrl-C interrupts and goes no further, as in a chip's driver,
        unless the program has asked to have it as a byte."""
        if b"\x03" in data and self._interrupts():
            data = data.replace(b"\x03", b"")
            self.signal(signal.SIGINT)
        stdin = self._process.stdin
        if data and stdin and not stdin.is_closing():
            stdin.write(data)

    def _interrupts(self) -> bool:
        """`micropython.kbd_intr(-1)` takes MicroPython's handler of SIGINT away, which would then
        end it. Where that cannot be seen (no /proc), it is there."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            status = Path(f"/proc/{self.pid}/status").read_text()
            caught = int(status.split("SigCgt:")[1].split()[0], 16)
            return bool(caught >> (signal.SIGINT - 1) & 1)
        return True

    async def ended(self) -> int:
        """Wait for the end, and for all it printed. The exit status; -n when signal n ended it."""
        await asyncio.wait([self._reader])
        return await self._process.wait()

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout
        while data := await stdout.read(4096):
            if not self._binary():
                # As a chip's driver sends it: a terminal wants a CR in front of each LF.
                data = data.replace(b"\n", b"\r\n")
            self._serial.add(data)

    def _binary(self) -> bool:
        """Whether what comes is no text: at MicroPython's prompt, a program that has asked to
        have Ctrl-C as a byte, as mpremote's file system does for each of its exchanges. (On a
        chip `sys.stdout.buffer` takes such bytes past the driver; here there is one pipe.)"""
        return bool(self._memory[layout.REPL]) and not self._interrupts()
