"""What is around a board's chip: wires, sensors, the network, the time, how full its flash is."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import Any

from tools.vboard import layout
from tools.vboard.hardware import BadOperation, Hardware
from tools.vboard.proxy import Proxy

_REQUEST_S = 20.0


class Surroundings(ABC):
    """What a person at the bench does to a board. The chip notices by itself."""

    hardware: Hardware
    proxy: Proxy

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether the chip runs now."""

    @abstractmethod
    def _kick(self) -> None:
        """Have the chip look at its pads now, where it runs."""

    def pads(self) -> dict[str, dict[str, Any]]:
        """All pads, by GPIO number in text; see `Pad.shown`."""
        return self.hardware.pads()

    def level(self, pin: int) -> int:
        """What a pad reads."""
        return self.hardware.pad(pin).level()

    def hold(self, pin: int, level: int | None) -> None:
        """Short a pad to a level; None frees it."""
        if self.hardware.wire(pin, layout.HOLD, level):
            self._kick()

    def drive(self, pin: int, level: int | None) -> None:
        """An outside driver on a pad; None takes it off."""
        if self.hardware.wire(pin, layout.EXT, level):
            self._kick()

    def jumper(self, a: int, b: int | None) -> None:
        """Join two pads by a wire (`Pad.level` says what they read); ``b`` None frees ``a``."""
        if self.hardware.jumper(a, b):
            self._kick()

    def adc(self, pin: int, mv: int) -> None:
        self.hardware.set_mv(pin, mv)

    def i2c(self, addr: int, regs: bytes | None) -> None:
        self.hardware.set_i2c(addr, regs)

    def sensor(self, pin: int, kind: str | None, **what: Any) -> None:
        """A DS18B20 or DHT on a pin; see `Hardware.set_sensor`."""
        self.hardware.set_sensor(pin, kind, **what)

    def strip(self, pin: int) -> list[str]:
        """The colours of the LED strip on a pin."""
        return self.hardware.strip(pin)

    async def net(self, up: bool) -> None:
        """The Wi-Fi and all behind it, NTP included."""
        self.hardware[layout.NET_UP] = up
        await self.proxy.set_up(up)

    def clock(self, known: bool) -> None:
        """False: NTP is out of reach and the clock starts in 2000 again. True: NTP is back; the
        clock stays unset until the firmware asks, as a chip's does."""
        self.hardware[layout.NTP_UP] = known
        if not known:
            self.hardware.unset_clock()

    async def flash_full(self, bytes_left: int | None) -> None:
        """Fill the file system up to ``bytes_left`` (whole blocks of 4096); None frees it.

        The board does it itself, between two steps of its firmware. TimeoutError when it does
        not get to it, BadOperation when it is off or fails.
        """
        if bytes_left is not None and bytes_left < 0:
            raise BadOperation("bytes_left is 0 or more, or null")
        hardware = self.hardware
        hardware.set_u32(layout.BYTES_LEFT, bytes_left or 0)
        hardware[layout.RESULT] = 0
        hardware[layout.REQUEST] = layout.UNFILL if bytes_left is None else layout.FILL
        until = time.monotonic() + _REQUEST_S
        while not hardware[layout.RESULT]:
            if not self.running:
                raise BadOperation("the board is off")
            if time.monotonic() > until:
                hardware[layout.REQUEST] = 0
                raise TimeoutError("the board did not get to filling its flash")
            if hardware[layout.REQUEST]:
                self._kick()
            await asyncio.sleep(0.005)
        if hardware[layout.RESULT] != layout.DONE:
            raise BadOperation("the board could not fill its flash; its serial line says why")
