"""The board as a whole: power, resets, watchdog, power cuts, its serial line."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import signal
import struct
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from tools import runtime
from tools.build import build_firmware
from tools.paths import FIRMWARE, ganglion_home
from tools.vboard import chipflash, flash, layout
from tools.vboard.chipflash import ChipFlash
from tools.vboard.config import BoardConfig
from tools.vboard.control import ControlServer
from tools.vboard.hardware import BadOperation, Hardware
from tools.vboard.loader import CHIPS, ChipModel, RomLoader
from tools.vboard.process import Chip, Serial
from tools.vboard.proxy import Proxy
from tools.vboard.rom import standins_image
from tools.vboard.surroundings import Surroundings

_log = logging.getLogger(__name__)

HEAP_KIB = 96
_EDGE = signal.SIGUSR1
_TICK_S = 0.02
# A firmware that cannot even start must not keep the host busy.
_CRASH_PAUSE_S = 0.2


class BoardBusy(RuntimeError):
    """Another process runs this board; the text names its folder."""


class VirtualBoard(Surroundings):
    """One board. ``home`` is the state folder; ``boards/<device>`` below it is the board's own.

    ``config`` None leaves the flash's `/config.json` alone. ``firmware`` is a folder of sources.
    ``heap_kib`` is the chip's; a 64-bit MicroPython gets twice as much, and `note` says so.
    ``ap`` is the access point in reach: (ssid, password), "" for an open one; by default the one
    in ``config``. ``powered`` False starts with the power off. ``blank`` is a chip as it
    comes from the factory: nothing on its flash until somebody writes it. ``begins``: the board
    is in a world where it is that Unix second, and where time can be left out: see
    `Hardware.leap_to`. The heap is larger then, by what that takes.
    """

    def __init__(
        self,
        home: Path | None = None,
        device: str = "board",
        config: BoardConfig | None = None,
        *,
        firmware: Path = FIRMWARE,
        heap_kib: int = HEAP_KIB,
        ap: tuple[str, str] | None = None,
        micropython: runtime.MicroPython | None = None,
        powered: bool = True,
        blank: bool = False,
        begins: int | None = None,
    ) -> None:
        self.device = device
        self.folder = (home or ganglion_home()) / "boards" / device
        self.config = config
        self.serial = Serial()
        self.note = ""
        self.boots = 0
        self._firmware = firmware
        self._heap_kib = heap_kib
        self._ap = ap or ((config.ssid, config.password) if config else ("virtual", ""))
        self._micropython = micropython
        self._begins = begins
        self._powered_at_start = powered
        self._blank = blank
        self._download: ChipFlash | None = None
        self._powered = False
        self._auto = False
        self._cause = 0  # why we killed the chip; 0 when we did not
        self._chip: Chip | None = None
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stack = contextlib.AsyncExitStack()

    # ---- life

    async def __aenter__(self) -> VirtualBoard:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Build, install, open the control socket, apply the power.

        Raises BoardBusy, BuildError, FlashError, RuntimeMissing.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._stack.enter_context(self._locked_folder())
            await self._prepare()
            self._stack.callback(self.hardware.close)
            self.proxy = Proxy(layout.TARGETS_N, self.target)
            self._stack.push_async_callback(self.proxy.stop)
            await self.proxy.start()
            ports = struct.pack("<4H", *self.proxy.ports)
            self.hardware.memory[layout.PORTS : layout.PORTS + 8] = ports
            self._stack.push_async_callback(self._end)
            self._task(self._watch())
            if self._powered_at_start:
                await self.power(True)
            # Last: whoever can connect finds a board that is on.
            control = ControlServer(self)
            self._stack.push_async_callback(control.stop)
            await control.start(self.folder)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Cut the power and leave nothing behind but the flash. Safe to call twice."""
        await self._stack.aclose()

    async def _end(self) -> None:
        self._powered = False
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._chip:
            self._chip.kill()
            await self._chip.ended()
            self._chip = None

    @contextlib.contextmanager
    def _locked_folder(self) -> Iterator[None]:
        with (self.folder / "board.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BoardBusy(f"the board in {self.folder} runs already") from None
            yield

    def _task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("the board %s stands still", self.device, exc_info=error)

    async def _prepare(self) -> None:
        if self._micropython is None:
            self._micropython = await asyncio.to_thread(runtime.micropython)
        if self._micropython.bits != 32:
            self.note = (
                f"{self._micropython.description}: the heap is "
                f"{self._micropython.heap_kib(self._heap_kib)} KiB in place of {self._heap_kib}"
            )
        build = await asyncio.to_thread(build_firmware, self._firmware, self._build_folder())
        self._rom = await asyncio.to_thread(standins_image)
        self.image = self.folder / "flash.img"
        if self._blank and not self.image.exists():
            chipflash.blank(self.folder)
        entries = self.config.entries(self.device) if self.config else {}
        if not self._blank:
            ca = self.config.ca if self.config else b""
            await asyncio.to_thread(
                flash.prepare, self.image, build, entries, self._micropython, ca
            )
        board = self.config.board if self.config else "esp32"
        self.hardware = Hardware(self.folder / "hw.mem", board, self._micropython.bits)
        self.hardware[layout.SIGNAL] = _EDGE
        if self._begins is not None:
            self.hardware.set_world(self._begins * 1000)
            self.hardware[layout.LEAPS] = self.hardware[layout.STAY] = 1
        self.hardware.set_text(layout.SSID, self._ap[0], 32)
        self.hardware.set_text(layout.PASSWORD, self._ap[1], 63)
        mac = b"\x02" + hashlib.sha256(self.device.encode()).digest()[:5]
        self.hardware.memory[layout.UNIQUE_ID : layout.UNIQUE_ID + 6] = mac

    def _build_folder(self) -> Path | None:
        # Another firmware than the project's is built beside the board that runs it.
        return None if self._firmware == FIRMWARE else self.folder / "build"

    def target(self, i: int) -> str:
        return self.hardware.text(layout.TARGETS + i * layout.TARGET_SIZE)

    # ---- the chip runs, ends, starts again

    @property
    def running(self) -> bool:
        return self._chip is not None

    @property
    def pid(self) -> int | None:
        return self._chip.pid if self._chip else None

    async def _launch(self) -> None:
        assert self._micropython
        if not chipflash.starts(self.folder, self._model().image_offset):
            self.serial.note("invalid header: there is no firmware on this chip")
            await self._notify()
            return
        self.hardware.memory[layout.READY] = self.hardware.memory[layout.REPL] = 0
        own = layout.STANDIN_HEAP
        if self._begins is not None:
            own += layout.LEAP_HEAP
        self._chip = await Chip.start(
            self._micropython.command,
            # The stand-ins are C on the chip and live in the heap here: they get their own.
            self._micropython.heap_kib(self._heap_kib + own // 1024),
            self.folder,
            self._rom,
            self.serial,
            self.hardware.memory,
        )
        self.boots += 1
        self._task(self._follow(self._chip))
        await self._notify()

    async def _follow(self, chip: Chip) -> None:
        """Wait for the end of a run, and do what the chip does then."""
        code = await chip.ended()
        self.proxy.board_died()
        self._chip = None
        hardware = self.hardware
        cause, self._cause = self._cause, 0
        if self._download is not None:
            pass  # the loader has the chip
        elif hardware[layout.CUT]:
            hardware.set_u32(layout.CUT_AT, 0)
            self._powered = False
            self.serial.note("the power failed at a flash write")
            if self._auto:
                await self._apply_power()
        elif self._powered and code == layout.EXIT_SOFT_RESET:
            hardware.soft_reset()
            await self._launch()
        elif self._powered:
            if not cause and code != layout.EXIT_RESET:
                self.serial.note(f"MicroPython ended with {code}; the chip resets")
                await asyncio.sleep(_CRASH_PAUSE_S)
            hardware.hard_reset(cause or layout.HARD_RESET)
            if self._powered:  # nobody cut it in the pause
                await self._launch()
        await self._notify()

    async def _watch(self) -> None:
        """The watchdog, and edges that the chip has not looked at."""
        hardware = self.hardware
        fed, since, chip = -1, time.monotonic(), self._chip
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            if self._chip is not chip or hardware[layout.WDT_FED] != fed:
                fed, since, chip = hardware[layout.WDT_FED], now, self._chip
            limit_s = hardware.u32(layout.WDT_MS) / 1000
            if chip and hardware[layout.WDT_ON] and now - since > limit_s:
                self.serial.note("the watchdog was not fed; the chip resets")
                self._kill(layout.WDT_RESET)
                since = now
            if chip and hardware.edges_pending():
                self._kick()

    def _kill(self, cause: int) -> None:
        if self._chip:
            self._cause = cause
            self._chip.kill()

    def _kick(self) -> None:
        if self._chip and self.hardware[layout.READY]:
            self._chip.signal(_EDGE)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _until(self, boots: int | None = None, off: bool = False) -> None:
        async with self._changed:
            await self._changed.wait_for(
                lambda: (boots is not None and self.boots > boots) or (off and not self._chip)
            )

    # ---- operations

    async def power(self, on: bool) -> None:
        """Apply or cut the supply; returns when it is done. On while on does nothing."""
        if on:
            if not self._powered:
                await self._apply_power()
            return
        self._powered = False
        if self._chip:
            self._cause = 0
            self._chip.kill()
            await self._until(off=True)

    async def _apply_power(self) -> None:
        self._powered = True
        self.hardware.power_on()
        await self._launch()

    async def reset(self) -> None:
        """The reset button: RTC memory stays, `reset_cause()` is HARD_RESET."""
        if self._chip:
            boots = self.boots
            self._kill(layout.HARD_RESET)
            await self._until(boots=boots)

    def _model(self) -> ChipModel:
        board = self.config.board if self.config else "esp32"
        return CHIPS.get(board, CHIPS["esp32"])

    async def download(self) -> RomLoader:
        """The chip stops and listens to esptool, as after a reset with GPIO0 low."""
        if self._download is None:
            self._download = ChipFlash(self.folder)
            if self._chip:
                self._chip.kill()
                await self._until(off=True)
        mac = bytes(self.hardware.memory[layout.UNIQUE_ID : layout.UNIQUE_ID + 6])
        return RomLoader(self._model(), self._download, mac)

    async def end_download(self) -> None:
        """A reset with GPIO0 high: the chip runs what is on its flash."""
        if self._download is None:
            return
        self._download.close()
        self._download = None
        self.hardware.hard_reset(layout.HARD_RESET)
        if self._powered:
            await self._launch()

    async def wait_boots(self, n: int, seconds: float = 10.0) -> None:
        """Wait until the chip has started ``n`` times since this object was made. TimeoutError."""
        async with asyncio.timeout(seconds):
            await self._until(boots=n - 1)

    async def wait_off(self, seconds: float = 10.0) -> None:
        """Wait until the chip does not run. TimeoutError."""
        async with asyncio.timeout(seconds):
            await self._until(off=True)

    def cut_at_write(self, n: int, torn: bool = True, auto: bool = False) -> None:
        """Let the power fail at the ``n``-th flash program or erase from now (1 is the next).

        ``torn``: half of it is done; else nothing of it. It stays off until `power(True)`, or
        comes back at once with ``auto``. ``n`` 0 takes the order back.
        """
        if n < 0:
            raise BadOperation("n is 1 or more; 0 cancels")
        self._auto = auto
        self.hardware[layout.TORN] = torn
        at = self.hardware.u32(layout.WRITES) + n if n else 0
        self.hardware.set_u32(layout.CUT_AT, at)

    def send(self, text: str | bytes) -> None:
        """Write to the serial line. Ctrl-C in it interrupts the program, unless that has asked
        (`micropython.kbd_intr`) to have it as a byte."""
        if not self._chip:
            raise BadOperation("the board is off")
        self._chip.write(text.encode() if isinstance(text, str) else text)

    async def wait_serial(self, text: str, seconds: float = 10.0, since: int = 0) -> str:
        """What was printed from position ``since`` on, once ``text`` is in it. TimeoutError."""
        until = time.monotonic() + seconds
        while text not in (printed := self.serial.since(since)):
            if time.monotonic() > until:
                raise TimeoutError(f"{text!r} was not printed; what was: {printed[-2000:]}")
            await asyncio.sleep(0.002)
        return printed

    def stats(self) -> dict[str, Any]:
        """Counters since the board was made by its launcher."""
        return {
            "boots": self.boots,
            "flash_writes": self.hardware.u32(layout.WRITES),
            "reset_cause": self.hardware[layout.CAUSE],
            "running": self.running,
            "pid": self.pid,
            "standin_bytes": self.hardware.u32(layout.STANDIN_BYTES),
            "micropython": self._micropython.description if self._micropython else "",
        }
