"""The hardware model: what pads, buses, radio and clock are like, in memory both sides see.

The launcher's half. The chip's half is in `standins/`; the memory between them is `layout`.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.vboard import layout as at

_MODES = {
    at.MODE_OFF: "off",
    at.MODE_IN: "in",
    at.MODE_OUT: "out",
    at.MODE_OPEN_DRAIN: "open_drain",
}
_PULLS = {0: None, at.PULL_DOWN: "down", at.PULL_UP: "up"}

# ESP32 datasheet 5.2, section 2.2: GPIO 24 and 28 to 31 do not exist, 34 to 39 are inputs only.
_ESP32_VALID = sum(1 << n for n in range(40) if n != 24 and not 28 <= n <= 31)
_ESP32_IN_ONLY = sum(1 << n for n in range(34, 40))
_ANY_VALID = (1 << 49) - 1
# The same, "ADC": channels of the first converter, and of the second, which the radio needs.
_ESP32_ADC1 = sum(1 << n for n in range(32, 40))
_ESP32_ADC2 = sum(1 << n for n in (0, 2, 4, 12, 13, 14, 15, 25, 26, 27))

_SENSORS = {"ds18b20": at.DS18B20, "dht11": at.DHT11, "dht22": at.DHT22}
_FAILS = {None: 0, "crc": at.BAD_CRC, "gone": at.GONE, "power": at.UNPOWERED}


class BadOperation(ValueError):
    """An operation on the hardware that does not make sense; the text says which argument."""


@dataclass
class Pad:
    """A view of one pad."""

    memory: mmap.mmap
    base: int

    def byte(self, offset: int) -> int:
        return self.memory[self.base + offset]

    def level(self) -> int:
        """What the pad reads: 0 or 1.

        A short wins over everything; then the output stage (an open drain pulls down only), an
        outside driver; the same at the other end of the pad's wire; the pull, the other end's
        pull. So two outputs that are joined keep each its own level, as with 330 Ω between them.
        A pad that floats reads 0. With PWM: 1 from half duty on.
        """
        other = self.other()
        for pad in (self, other):
            if pad and (made := pad.made()) is not None:
                return made
        pull = self.byte(at.PULL) or (other.byte(at.PULL) if other else 0)
        return int(pull == at.PULL_UP)

    def made(self) -> int | None:
        """The level that something at the pad itself makes; None where only pulls are at it."""
        hold = self.byte(at.HOLD)
        if hold:
            return hold - 1
        if self.byte(at.PWM_ON):
            return self.duty() >> 15
        mode, latch = self.byte(at.MODE), self.byte(at.LATCH)
        if mode == at.MODE_OUT or (mode == at.MODE_OPEN_DRAIN and not latch):
            return latch
        return _level_or_none(self.byte(at.EXT))

    def other(self) -> Pad | None:
        """The pad at the other end of the wire, if there is one."""
        other = self.memory[at.JUMPERS + self.pin]
        return Pad(self.memory, at.PADS + (other - 1) * at.PAD_SIZE) if other else None

    @property
    def pin(self) -> int:
        return (self.base - at.PADS) // at.PAD_SIZE

    def duty(self) -> int:
        return int(struct.unpack_from("<H", self.memory, self.base + at.DUTY)[0])

    def shown(self) -> dict[str, Any]:
        """As the control socket shows it; a PWM's figures and a wire only where there is one."""
        pad: dict[str, Any] = {
            "mode": _MODES.get(self.byte(at.MODE), "?"),
            "latch": self.byte(at.LATCH),
            "pull": _PULLS.get(self.byte(at.PULL)),
            "hold": _level_or_none(self.byte(at.HOLD)),
            "ext": _level_or_none(self.byte(at.EXT)),
            "level": self.level(),
        }
        if self.byte(at.PWM_ON):
            freq_hz = struct.unpack_from("<I", self.memory, self.base + at.FREQ)[0]
            pad["pwm"] = {"freq_hz": freq_hz, "duty_u16": self.duty()}
        if other := self.other():
            pad["jumper"] = other.pin
        return pad


class Hardware:
    """The mapped memory of one board, under names. ``kick`` tells the chip to look at it."""

    def __init__(self, path: Path, board: str = "esp32", bits: int = 32) -> None:
        self._bits = bits
        self._in_only = _ESP32_IN_ONLY if board == "esp32" else 0
        self._valid = _ESP32_VALID if board == "esp32" else _ANY_VALID
        nvs_end = at.NVS + at.NVS_N * at.NVS_SIZE
        keep_nvs = b""
        if path.exists() and path.stat().st_size >= nvs_end:
            keep_nvs = path.read_bytes()[at.NVS : nvs_end]
        path.write_bytes(bytes(at.SIZE))
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), at.SIZE)
        self.memory[at.NVS : at.NVS + len(keep_nvs)] = keep_nvs
        self.memory[at.PINS_VALID : at.PINS_VALID + 8] = self._valid.to_bytes(8, "little")
        self.memory[at.PINS_IN_ONLY : at.PINS_IN_ONLY + 8] = self._in_only.to_bytes(8, "little")
        adc2 = _ESP32_ADC2 if board == "esp32" else 0
        adc = _ESP32_ADC1 | adc2 if board == "esp32" else _ANY_VALID
        self.memory[at.PINS_ADC : at.PINS_ADC + 8] = adc.to_bytes(8, "little")
        self.memory[at.PINS_ADC2 : at.PINS_ADC2 + 8] = adc2.to_bytes(8, "little")
        self[at.NET_UP] = 1
        self[at.NTP_UP] = 1

    def close(self) -> None:
        self.memory.close()

    def __getitem__(self, offset: int) -> int:
        return self.memory[offset]

    def __setitem__(self, offset: int, value: int) -> None:
        self.memory[offset] = value

    def u32(self, offset: int) -> int:
        return int(struct.unpack_from("<I", self.memory, offset)[0])

    def set_u32(self, offset: int, value: int) -> None:
        struct.pack_into("<I", self.memory, offset, value)

    def text(self, offset: int) -> str:
        n = self.memory[offset]
        return self.memory[offset + 1 : offset + 1 + n].decode()

    def set_text(self, offset: int, text: str, limit: int) -> None:
        data = text.encode()
        if len(data) > limit:
            raise BadOperation(f"{text!r} is longer than {limit} bytes")
        self.memory[offset] = len(data)
        self.memory[offset + 1 : offset + 1 + len(data)] = data

    # ---- what a reset does

    def power_on(self) -> None:
        """Everything the supply holds is gone: latches, RTC memory, the clock, the watchdog."""
        self.hard_reset(at.PWRON_RESET)
        self.memory[at.RTC_LEN : at.RTC + at.RTC_SIZE] = bytes(2 + at.RTC_SIZE)
        self[at.CUT] = 0
        for slot in self._slots(at.SENSORS, at.SENSOR_SIZE, at.SENSORS_N):
            self[slot + at.CONVERTED] = 0
        for slot in self._slots(at.STRIPS, at.STRIP_SIZE, at.STRIPS_N):
            self[slot] = 0
        self.unset_clock()

    def hard_reset(self, cause: int) -> None:
        """The chip starts anew; what is wired to its pads stays."""
        self._start(cause)
        self[at.WDT_ON] = self[at.RAW] = 0
        for n in range(at.PADS_N):
            base = at.PADS + n * at.PAD_SIZE
            for field in (at.MODE, at.LATCH, at.PULL, at.PWM_ON):
                self[base + field] = 0

    def soft_reset(self) -> None:
        """Only MicroPython starts anew: pads keep their levels, the watchdog goes on."""
        self._start(at.SOFT_RESET)

    def _start(self, cause: int) -> None:
        self[at.CAUSE] = cause
        for flag in (at.READY, at.SCHEDULED, at.REQUEST):
            self[flag] = 0
        for n in range(at.PADS_N):
            self[at.PADS + n * at.PAD_SIZE + at.TRIGGER] = 0
            self[at.PADS + n * at.PAD_SIZE + at.PENDING] = 0
        for n in range(at.TARGETS_N):
            self[at.TARGETS + n * at.TARGET_SIZE] = 0

    def unset_clock(self) -> None:
        struct.pack_into("<q", self.memory, at.CLOCK, at.EPOCH_2000 - self.world_ms() // 1000)

    # ---- a world of its own time

    def world_ms(self) -> int:
        """Unix milliseconds where the board is: the host's, unless time was left out."""
        ahead = self._i64(at.AHEAD)
        while ahead != (again := self._i64(at.AHEAD)):  # the board was writing it
            ahead = again
        return time.time_ns() // 1_000_000 + ahead

    def set_world(self, unix_ms: int) -> None:
        """Put the world's clock there; only while the board is off."""
        struct.pack_into("<q", self.memory, at.AHEAD, unix_ms - time.time_ns() // 1_000_000)

    def leap_to(self, unix_ms: int, step_ms: int) -> None:
        """Let the board leave out time until then, ``step_ms`` at a time where its tasks would
        wait for less; `stay` ends that."""
        self.stay()
        struct.pack_into("<q", self.memory, at.LEAP_TO, unix_ms)
        self.set_u32(at.LEAP_MS, step_ms)
        self[at.STAY] = 0

    def stay(self) -> None:
        """The world's time passes as the host's does."""
        self[at.STAY] = 1

    def _i64(self, offset: int) -> int:
        return int(struct.unpack_from("<q", self.memory, offset)[0])

    # ---- wires

    def pad(self, pin: int) -> Pad:
        if not isinstance(pin, int) or not 0 <= pin < at.PADS_N or not self._valid >> pin & 1:
            raise BadOperation(f"this board has no pin {pin}")
        return Pad(self.memory, at.PADS + pin * at.PAD_SIZE)

    def changed_ns(self, pin: int) -> int:
        """When the chip last changed the output of a pad: ns of the host's clock since 1970."""
        self.pad(pin)
        at_ = at.STAMPS + pin * at.STAMP_SIZE
        seconds, ns = struct.unpack_from("<ll" if self._bits == 32 else "<qq", self.memory, at_)
        return int(seconds) * 10**9 + int(ns)

    def pads(self) -> dict[str, dict[str, Any]]:
        numbers = (n for n in range(at.PADS_N) if self._valid >> n & 1)
        return {str(n): self.pad(n).shown() for n in numbers}

    def wire(self, pin: int, field: int, level: int | None) -> bool:
        """Set HOLD or EXT of a pad. True when that made an edge an interrupt waits for."""
        if level not in (0, 1, None):
            raise BadOperation("level is 0, 1 or null")
        pad = self.pad(pin)
        with self._watched(pad, pad.other()) as edges:
            self[pad.base + field] = 0 if level is None else level + 1
        return bool(edges)

    def jumper(self, a: int, b: int | None) -> bool:
        """Join two pads by a wire of 330 Ω, or take the wire off ``a`` (``b`` None). True when
        that made an edge an interrupt waits for. BadOperation where a wire is already."""
        pad = self.pad(a)
        if b is None:
            other = pad.other()
            if other is None:
                return False
            wired = 0, 0
        else:
            other = self.pad(b)
            if a == b:
                raise BadOperation(f"pin {a} cannot be joined to itself")
            for one, end in ((pad, b), (other, a)):
                if (there := one.other()) and there.pin != end:
                    raise BadOperation(f"pin {one.pin} is joined to pin {there.pin} already")
            wired = b + 1, a + 1
        with self._watched(pad, other) as edges:
            self[at.JUMPERS + a], self[at.JUMPERS + other.pin] = wired
        return bool(edges)

    @contextlib.contextmanager
    def _watched(self, *pads: Pad | None) -> Iterator[list[Pad]]:
        """Sees to the interrupts of what is changed inside; lists the pads that have one."""
        before = [(pad, pad.level()) for pad in pads if pad]
        edges: list[Pad] = []
        yield edges
        for pad, was in before:
            level = pad.level()
            if level != was and pad.byte(at.TRIGGER) & (1 if level else 2):
                self[pad.base + at.PENDING] = max(pad.byte(at.PENDING), 1)
                edges.append(pad)

    def edges_pending(self) -> bool:
        return any(self[at.PADS + n * at.PAD_SIZE + at.PENDING] for n in range(at.PADS_N))

    def set_mv(self, pin: int, mv: int) -> None:
        if not 0 <= mv <= 5000:
            raise BadOperation("mv is 0 to 5000")
        struct.pack_into("<H", self.memory, self.pad(pin).base + at.MV, mv)

    def set_i2c(self, addr: int, regs: bytes | None) -> None:
        """Put a register device on the bus, renew its registers, or take it off (None)."""
        if not 8 <= addr < 0x78:
            raise BadOperation("addr is 8 to 119")
        if regs is not None and len(regs) > 256:
            raise BadOperation("a device has 256 registers at most")
        slots = self._slots(at.I2C, at.I2C_SIZE, at.I2C_N)
        mine = [s for s in slots if self[s] and self[s + 1] == addr]
        if regs is None:
            for slot in mine:
                self[slot] = 0
            return
        free = mine or [s for s in slots if not self[s]]
        if not free:
            raise BadOperation(f"the bus has {at.I2C_N} devices already")
        slot = free[0]
        self.memory[slot + 1] = addr
        self.memory[slot + 2] = 0
        self.memory[slot + 4 : slot + 260] = regs.ljust(256, b"\0")
        self[slot] = 1

    def set_sensor(
        self,
        pin: int,
        kind: str | None,
        celsius: float = 0.0,
        humidity: float = 0.0,
        rom: bytes | None = None,
        fail: str | None = None,
    ) -> None:
        """Wire a sensor to a pin, renew what it measures, or take it off (``kind`` None).

        A bus has several DS18B20s, told apart by their ``rom``; by default it is made of the pin.
        ``fail``: "crc" (bad checksums), "gone" (no answer), "power" (it never converts).
        """
        self.pad(pin)
        if kind is not None and kind not in _SENSORS:
            raise BadOperation(f"kind is {', '.join(_SENSORS)} or null")
        if fail not in _FAILS:
            raise BadOperation("fail is crc, gone, power or null")
        own = bytes((0x28, pin, 0, 0, 0, 0, 0, 0))
        if rom is not None and len(rom) != 8:
            raise BadOperation("rom is 8 bytes")
        slots = self._slots(at.SENSORS, at.SENSOR_SIZE, at.SENSORS_N)
        here = [s for s in slots if self[s] and self[s + at.GPIO] == pin]
        if rom is not None or kind == "ds18b20":
            want = rom or own
            mine = [s for s in here if self.memory[s + at.ROM : s + at.ROM + 8] == want]
        else:
            want, mine = bytes(8), here
        if kind is None:
            for slot in mine:
                self[slot] = 0
            return
        free = mine or [s for s in slots if not self[s]]
        if not free:
            raise BadOperation(f"there are {at.SENSORS_N} sensors already")
        slot = free[0]
        if not mine:
            self.memory[slot + at.SCRATCH : slot + at.SCRATCH + 3] = b"\x4b\x46\x7f"
            self[slot + at.CONVERTED] = 0
        scale = 16 if kind == "ds18b20" else 10
        figures = struct.pack("<hH", round(celsius * scale), round(humidity * 10))
        self.memory[slot + at.ROM : slot + at.ROM + 8] = want
        self.memory[slot + at.CELSIUS : slot + at.CELSIUS + 4] = figures
        self[slot + at.GPIO] = pin
        self[slot + at.FAIL] = _FAILS[fail]
        self[slot] = _SENSORS[kind]

    def strip(self, pin: int) -> list[str]:
        """The colours of the LED strip on a pin, "#rrggbb" each; those that were ever sent."""
        self.pad(pin)
        for slot in self._slots(at.STRIPS, at.STRIP_SIZE, at.STRIPS_N):
            if self[slot] == pin + 1:
                n = self[slot + 2] | self[slot + 3] << 8
                grb = bytes(self.memory[slot + 4 : slot + 4 + n])
                return [
                    f"#{grb[i + 1]:02x}{grb[i]:02x}{grb[i + 2]:02x}" for i in range(0, n - 2, 3)
                ]
        return []

    @staticmethod
    def _slots(first: int, size: int, n: int) -> list[int]:
        return [first + i * size for i in range(n)]


def _level_or_none(stored: int) -> int | None:
    return stored - 1 if stored else None
