"""A stand-in for a stock MicroPython image, small, valid to esptool, and with nothing in it.

A real image starts a boot loader, which starts the application, which is MicroPython. The virtual
board only looks whether both are there, and starts the MicroPython of the host. So this has their
heads at their places and nothing between. It does not show that a real image would run.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from tools.vboard.loader import CHIPS

_APP_AT: Final = 0x10000
# esp_chip_id_t (ESP-IDF, esp_app_format.h)
_CHIP_IDS: Final = {"esp32": 0, "esp32s2": 2, "esp32c3": 5, "esp32s3": 9, "esp32c6": 13}


def stock_image(chip: str) -> bytes:
    """What is written at the chip's image offset."""
    offset = CHIPS[chip].image_offset
    head = _image(_CHIP_IDS[chip], b"boot")
    return head.ljust(_APP_AT - offset, b"\xff") + _image(_CHIP_IDS[chip], b"application")


def _image(chip_id: int, body: bytes) -> bytes:
    """esp_image_header_t, one segment in RAM, checksum, SHA-256 (ESP-IDF, "App Image Format")."""
    body = body.ljust(-(-len(body) // 4) * 4, b"\0")
    out = struct.pack("<BBBBI", 0xE9, 1, 2, 0x20, 0x40080400)
    out += struct.pack("<BBBBHBHHIB", 0xEE, 0, 0, 0, chip_id, 0, 0, 0xFFFF, 0, 1)
    out += struct.pack("<II", 0x40080400, len(body)) + body
    checksum = 0xEF
    for byte in body:
        checksum ^= byte
    out += b"\0" * (15 - len(out) % 16) + bytes((checksum,))
    return out + hashlib.sha256(out).digest()
