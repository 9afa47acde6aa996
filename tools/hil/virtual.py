"""The virtual board in the bench's hands, wired as `capabilities.VIRTUAL` says."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final

from tools.hil.capabilities import VIRTUAL
from tools.hil.line import SerialLine
from tools.hil.loop import LoopThread
from tools.paths import FIRMWARE
from tools.vboard import BoardConfig, VirtualBoard
from tools.vboard.line import Line
from tools.vboard.wire import wired

_CELSIUS: Final = 21.5
_HUMIDITY: Final = 40.0


class VirtualHands:
    """Powered from `open` to `close`. ``firmware`` is a folder of sources."""

    kind = "virtual"

    def __init__(
        self, folder: Path, device: str, loop: LoopThread, firmware: Path = FIRMWARE
    ) -> None:
        self._folder = folder
        self._device = device
        self._loop = loop
        self._firmware = firmware
        self._stack = contextlib.AsyncExitStack()

    def open(self, secret: str, host: str, port: int, ca: bytes) -> None:
        """Start it as one that is provisioned so."""
        config = BoardConfig(secret, host, port, ca=ca)
        self.board = VirtualBoard(
            self._folder, self._device, config, firmware=self._firmware, powered=False
        )
        path = self._loop.call(self._start())
        self.line = SerialLine(path)
        self.line.open()
        self.power(True)

    async def _start(self) -> str:
        await self._stack.enter_async_context(self.board)
        self._wire()
        return await self._stack.enter_async_context(Line(self.board).open())

    def _wire(self) -> None:
        board, has = self.board, VIRTUAL
        assert has.jumper and has.adc and has.i2c and has.ds18b20 and has.dht
        board.jumper(has.jumper.from_pin, has.jumper.to_pin)
        board.adc(has.adc.pin, has.adc.mv)
        registers = bytearray(256)
        registers[has.i2c.register or 0] = has.i2c.value or 0
        board.i2c(has.i2c.address, bytes(registers))
        board.sensor(has.ds18b20.pin, "ds18b20", celsius=_CELSIUS)
        board.sensor(has.dht.pin, has.dht.kind, celsius=_CELSIUS, humidity=_HUMIDITY)

    def second(self) -> str:
        """Power another board on, joined to this one by a wire; its port."""
        return self._loop.call(self._second())

    async def _second(self) -> str:
        other = VirtualBoard(self._folder, f"{self._device}-2", BoardConfig())
        await self._stack.enter_async_context(other)
        has = VIRTUAL.second
        assert has
        await self._stack.enter_async_context(wired(self.board, has.from_pin, other, has.to_pin))
        return await self._stack.enter_async_context(Line(other).open())

    def close(self) -> None:
        """Safe to repeat."""
        if hasattr(self, "line"):
            self.line.close()
        self._loop.call(self._stack.aclose())

    def described(self) -> dict[str, Any]:
        """``chip``, ``port`` and ``machine`` of the report."""
        return {"chip": "esp32", "port": "virtual", "machine": self.board.note}

    def reset(self) -> None:
        self._loop.call(self.board.reset())

    def power(self, on: bool) -> None:
        self._loop.call(self.board.power(on))

    def wifi(self, on: bool) -> None:
        self._loop.call(self.board.net(on))
