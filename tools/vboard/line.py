"""The board's serial line as a device on the host: a pseudo-terminal.

It has no DTR and no RTS, with which a USB bridge resets a chip into its loader. So the line does
what those wires would: esptool's knock (its SYNC) puts the chip into download mode, and when the
host closes the port again the chip starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty as ptys
import select
import tty
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from tools.vboard.loader import RomLoader

if TYPE_CHECKING:
    from tools.vboard.board import VirtualBoard

_LOOK_S: Final = 0.02
_READ_BYTES: Final = 65536


class Line:
    """The line; `path` is the device."""

    def __init__(self, board: VirtualBoard) -> None:
        self._board = board
        self._ours, theirs = ptys.openpty()
        tty.setraw(theirs)  # stays so as long as our end is open
        self.path = os.ttyname(theirs)
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self._loader: RomLoader | None = None
        self._out = bytearray()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """While inside, whoever opens the path has the board's line."""
        self._board.serial.listeners.append(self._printed)
        task = asyncio.create_task(self._run())
        try:
            yield self.path
        finally:
            self._board.serial.listeners.remove(self._printed)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            os.close(self._ours)

    def _somebody(self) -> bool:
        """Whether a host has the device open."""
        poll = select.poll()
        poll.register(self._ours, 0)
        return not any(event & select.POLLHUP for _, event in poll.poll(0))

    async def _run(self) -> None:
        while True:
            while not self._somebody():  # noqa: ASYNC110 - a pty tells of an open only to who looks
                await asyncio.sleep(_LOOK_S)
            await self._session()
            self._out.clear()
            await self._end_download()

    async def _session(self) -> None:
        """One host, from its open to its close."""
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_reader(self._ours, came.set)
        try:
            while True:
                await came.wait()
                came.clear()
                try:
                    data = os.read(self._ours, _READ_BYTES)
                except BlockingIOError:
                    continue
                except OSError:  # EIO: it was closed
                    return
                await self._take(data)
        finally:
            loop.remove_reader(self._ours)
            loop.remove_writer(self._ours)

    async def _take(self, data: bytes) -> None:
        if self._loader is None and RomLoader.wanted(data):
            self._out.clear()
            self._loader = await self._board.download()
        if self._loader is None:
            with contextlib.suppress(ValueError):  # it is off: nobody hears it
                self._board.send(data)
            return
        self._send(self._loader.feed(data))
        if self._loader.left:
            await self._end_download()

    async def _end_download(self) -> None:
        if self._loader is not None:
            self._loader = None
            await self._board.end_download()

    def _printed(self, data: bytes) -> None:
        # With nobody there it is lost, as on a cable that is not plugged in.
        if self._loader is None and self._somebody():
            self._send(data)

    def _send(self, data: bytes) -> None:
        self._out += data
        self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._out:
                del self._out[: os.write(self._ours, self._out)]
        except BlockingIOError:
            loop.add_writer(self._ours, self._flush)
            return
        except OSError:
            self._out.clear()
        with contextlib.suppress(OSError):
            loop.remove_writer(self._ours)
