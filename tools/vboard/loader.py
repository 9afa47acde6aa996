"""The ROM loader of an ESP32 chip, as esptool finds it at the serial line in download mode.

A model: bytes in, bytes out, and a flash behind it. It speaks the serial protocol that esptool
documents ("Serial Protocol", docs.espressif.com/projects/esptool): SLIP frames, the ROM's commands,
and, once esptool has uploaded its stub to RAM, the stub's. The stub itself is machine code that
nothing here can run; the model takes the upload and behaves as the stub does.

It does not show what a wire does: no baud rate, no noise, no time that an erase takes.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

SECTOR_BYTES: Final = 4096
_END, _ESC = 0xC0, 0xDB
_SYNC_HEAD: Final = b"\xc0\x00\x08\x24\x00"
_MAGIC_REG: Final = 0x40001000
_UART_CLKDIV_40_MHZ: Final = 40_000_000 // 115_200
_CHECKSUM_SEED: Final = 0xEF
_SPI_USR: Final = 1 << 18
_RDID: Final = 0x9F
# Error codes of the ROM ("Status bytes" in the protocol's description).
_INVALID, _FAILED, _BAD_CHECKSUM = 0x05, 0x06, 0x07
_ROM_SYNC_VALUE: Final = 0x20120707


class Flash(Protocol):
    """The chip's flash: NOR, so a write can only clear bits."""

    @property
    def size(self) -> int: ...

    def read(self, at: int, size: int) -> bytes: ...

    def write(self, at: int, data: bytes) -> None: ...

    def erase(self, at: int, size: int) -> None:
        """Whole sectors."""
        ...


@dataclass(frozen=True)
class ChipModel:
    """Where a chip has what esptool looks at. Numbers are from its technical reference manual."""

    name: str
    magic: int | None
    """What stands at 0x40001000, for chips that are told apart by it."""
    chip_id: int | None
    """What ``GET_SECURITY_INFO`` says, for the others."""
    spi_base: int
    spi_usr: int
    spi_usr2: int
    spi_w0: int
    mac_reg: int
    uart_clkdiv: int
    image_offset: int
    """Where the second-stage boot loader lies in flash."""


CHIPS: Final = {
    c.name: c
    for c in (
        ChipModel(
            "esp32", 0x00F01D83, None, 0x3FF42000, 0x1C, 0x24, 0x80, 0x3FF5A004, 0x3FF40014, 0x1000
        ),
        ChipModel(
            "esp32s2",
            0x000007C6,
            None,
            0x3F402000,
            0x18,
            0x20,
            0x58,
            0x3F41A044,
            0x3F400014,
            0x1000,
        ),
        ChipModel("esp32s3", None, 9, 0x60002000, 0x18, 0x20, 0x58, 0x60007044, 0x60000014, 0),
        ChipModel("esp32c3", None, 5, 0x60002000, 0x18, 0x20, 0x58, 0x60008844, 0x60000014, 0),
        ChipModel("esp32c6", None, 13, 0x60003000, 0x18, 0x20, 0x58, 0x600B0844, 0x60000014, 0),
    )
}


class RomLoader:
    """One stay in download mode.

    ``feed`` takes what came on the line and returns what goes back; ``left`` is set once the host
    has asked the chip to run what is on its flash.
    """

    def __init__(self, chip: ChipModel, flash: Flash, mac: bytes) -> None:
        """``mac``: six bytes."""
        self.chip = chip
        self.flash = flash
        self.stub = False
        self.left = False
        self._frame: bytearray | None = None
        self._escaped = False
        self._reading: Iterator[bytes] | None = None
        self._regs = {
            _MAGIC_REG: chip.magic or 0,
            chip.uart_clkdiv: _UART_CLKDIV_40_MHZ,
            chip.mac_reg: int.from_bytes(mac[2:], "big"),
            chip.mac_reg + 4: int.from_bytes(mac[:2], "big"),
        }
        self._block_bytes = 0
        self._at = 0
        self._erased_to = 0
        self._inflate: zlib._Decompress | None = None
        self._commands: dict[int, Callable[[bytes], tuple[int, bytes]]] = {
            0x02: self._flash_begin,
            0x03: self._flash_data,
            0x04: self._flash_end,
            0x05: self._nothing,  # MEM_BEGIN: the stub's bytes are not kept
            0x06: self._nothing,  # MEM_END: see _respond
            0x07: self._nothing,  # MEM_DATA
            0x09: self._write_reg,
            0x0A: self._read_reg,
            0x0B: self._nothing,  # SPI_SET_PARAMS
            0x0D: self._nothing,  # SPI_ATTACH
            0x0F: self._nothing,  # CHANGE_BAUDRATE
            0x10: self._defl_begin,
            0x11: self._defl_data,
            0x12: self._flash_end,
            0x13: self._md5,
        }
        if chip.chip_id is not None:
            self._commands[0x14] = self._security_info

    @staticmethod
    def wanted(data: bytes) -> bool:
        """Whether ``data`` holds esptool's SYNC, with which it knocks."""
        return _SYNC_HEAD in data

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the line; return the answers."""
        out = bytearray()
        for frame in self._frames(data):
            out += self._answer(frame)
            if self.left:
                break
        return bytes(out)

    # ---- frames

    def _frames(self, data: bytes) -> Iterator[bytes]:
        for byte in data:
            if byte == _END:
                if self._frame:
                    yield bytes(self._frame)
                    self._frame = None
                else:
                    self._frame = bytearray()
                self._escaped = False
            elif self._frame is None:
                continue  # noise between frames
            elif byte == _ESC:
                self._escaped = True
            elif self._escaped:
                self._frame.append({0xDC: _END, 0xDD: _ESC}.get(byte, byte))
                self._escaped = False
            else:
                self._frame.append(byte)

    def _answer(self, frame: bytes) -> bytes:
        if self._reading is not None:
            return self._acknowledged(frame)
        if len(frame) < 8 or frame[0] != 0:
            return b""
        op, size, checksum = struct.unpack("<BHI", frame[1:8])
        data = frame[8:]
        if size != len(data):
            return self._reply(op, 0, bytes((1, _INVALID)))
        if op == 0x08:
            value = 0 if self.stub else _ROM_SYNC_VALUE
            return self._reply(op, value, b"\0\0") * 8
        return self._respond(op, data, checksum)

    def _respond(self, op: int, data: bytes, checksum: int) -> bytes:
        command = self._commands.get(op)
        if command is None and self.stub:
            command = {0xD0: self._erase_flash, 0xD1: self._erase_region}.get(op)
        if op in (0x03, 0x07, 0x11) and checksum & 0xFF != _checksum(data[16:]):
            return self._reply(op, 0, bytes((1, _BAD_CHECKSUM)))
        if op == 0xD2 and self.stub:
            return self._reply(op, 0, b"\0\0") + self._read_begin(data)
        if op == 0x0E and not self.stub:
            at, size = struct.unpack("<II", data)
            return self._reply(op, 0, self.flash.read(at, size).ljust(64, b"\0") + b"\0\0")
        if command is None:
            return self._reply(op, 0, bytes((1, _INVALID)))
        try:
            value, body = command(data)
        except (struct.error, zlib.error, ValueError):
            return self._reply(op, 0, bytes((1, _FAILED)))
        answer = self._reply(op, value, body + b"\0\0")
        if op == 0x06 and data[:4] == b"\0\0\0\0":  # MEM_END with an entry point: the stub runs
            self.stub = True
            answer += _slip(b"OHAI")
        return answer

    def _reply(self, op: int, value: int, body: bytes) -> bytes:
        if not self.stub:
            body += b"\0\0"  # the ROM sends two bytes more, reserved
        return _slip(struct.pack("<BBHI", 1, op, len(body), value) + body)

    # ---- commands: the value and the data of the answer

    def _nothing(self, data: bytes) -> tuple[int, bytes]:
        return 0, b""

    def _read_reg(self, data: bytes) -> tuple[int, bytes]:
        (address,) = struct.unpack("<I", data)
        return self._regs.get(address, 0), b""

    def _write_reg(self, data: bytes) -> tuple[int, bytes]:
        for n in range(0, len(data) - 15, 16):
            address, value, mask, _ = struct.unpack_from("<IIII", data, n)
            old = self._regs.get(address, 0)
            self._regs[address] = old & ~mask & 0xFFFFFFFF | value & mask
            if address == self.chip.spi_base and value & _SPI_USR:
                self._spi()
        return 0, b""

    def _spi(self) -> None:
        """One command of the SPI engine to the flash chip; it is done at once."""
        base = self.chip.spi_base
        self._regs[base] = 0
        command = self._regs.get(base + self.chip.spi_usr2, 0) & 0xFF
        # JEDEC ID: manufacturer, type, log2 of the size in bytes.
        rdid = 0xC8 | 0x40 << 8 | (self.flash.size.bit_length() - 1) << 16
        self._regs[base + self.chip.spi_w0] = rdid if command == _RDID else 0

    def _security_info(self, data: bytes) -> tuple[int, bytes]:
        return 0, struct.pack("<IB7sII", 0, 0, bytes(7), self.chip.chip_id, 0)

    def _flash_begin(self, data: bytes) -> tuple[int, bytes]:
        size, _, self._block_bytes, self._at = struct.unpack_from("<IIII", data)
        self._inside(self._at, size)
        self._erase(self._at, size)
        return 0, b""

    def _flash_data(self, data: bytes) -> tuple[int, bytes]:
        size, n = struct.unpack_from("<II", data)
        block = data[16 : 16 + size]
        at = self._at + n * self._block_bytes
        # The last block is padded past the end of what was erased.
        self.flash.write(at, block[: max(0, self.flash.size - at)])
        return 0, b""

    def _defl_begin(self, data: bytes) -> tuple[int, bytes]:
        size, _, _, at = struct.unpack_from("<IIII", data)
        self._inside(at, size)
        self._inflate = zlib.decompressobj()
        self._at = self._erased_to = at
        if not self.stub:  # the ROM erases first, the stub as it writes
            self._erase(at, size)
            self._erased_to = at + size
        return 0, b""

    def _defl_data(self, data: bytes) -> tuple[int, bytes]:
        if self._inflate is None:
            raise ValueError("no compressed write was begun")
        (size,) = struct.unpack_from("<I", data)
        plain = self._inflate.decompress(data[16 : 16 + size])
        self._inside(self._at, len(plain))
        if self._at + len(plain) > self._erased_to:
            end = -(-(self._at + len(plain)) // SECTOR_BYTES) * SECTOR_BYTES
            self._erase(self._erased_to, end - self._erased_to)
            self._erased_to = end
        self.flash.write(self._at, plain)
        self._at += len(plain)
        return 0, b""

    def _flash_end(self, data: bytes) -> tuple[int, bytes]:
        (stay,) = struct.unpack_from("<I", data)
        # 0 asks for a reboot. The ROM runs the flash in any case; the stub stays for 1.
        self.left = not (self.stub and stay)
        return 0, b""

    def _md5(self, data: bytes) -> tuple[int, bytes]:
        at, size = struct.unpack_from("<II", data)
        self._inside(at, size)
        digest = hashlib.md5(self.flash.read(at, size), usedforsecurity=False)
        return 0, digest.digest() if self.stub else digest.hexdigest().encode()

    def _erase_flash(self, data: bytes) -> tuple[int, bytes]:
        self.flash.erase(0, self.flash.size)
        return 0, b""

    def _erase_region(self, data: bytes) -> tuple[int, bytes]:
        at, size = struct.unpack("<II", data)
        self._inside(at, size)
        self.flash.erase(at, size)
        return 0, b""

    def _inside(self, at: int, size: int) -> None:
        if at + size > self.flash.size:
            raise ValueError("past the end of the flash")

    def _erase(self, at: int, size: int) -> None:
        begin = at // SECTOR_BYTES * SECTOR_BYTES
        end = min(-(-(at + size) // SECTOR_BYTES) * SECTOR_BYTES, self.flash.size)
        if end > begin:
            self.flash.erase(begin, end - begin)

    # ---- the stub's fast read: frames, acknowledged by how much has come; then the digest

    def _read_begin(self, data: bytes) -> bytes:
        at, size, frame_bytes, behind = struct.unpack("<IIII", data)
        self._inside(at, size)
        whole = self.flash.read(at, size)
        frames = [whole[n : n + frame_bytes] for n in range(0, size, frame_bytes)]
        self._whole_bytes = size
        self._digest = hashlib.md5(whole, usedforsecurity=False).digest()
        self._reading = iter(frames)
        out = b"".join(_slip(next(self._reading)) for _ in range(min(behind, len(frames))))
        return out

    def _acknowledged(self, frame: bytes) -> bytes:
        assert self._reading is not None
        if len(frame) != 4:
            self._reading = None
            return self._answer(frame)
        (got,) = struct.unpack("<I", frame)
        following = next(self._reading, None)
        if following is not None:
            return _slip(following)
        if got < self._whole_bytes:
            return b""
        self._reading = None
        return _slip(self._digest)


def _slip(data: bytes) -> bytes:
    escaped = data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + escaped + b"\xc0"


def _checksum(data: bytes) -> int:
    state = _CHECKSUM_SEED
    for byte in data:
        state ^= byte
    return state
