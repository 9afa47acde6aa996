"""The flash chip as a whole, as the ROM loader sees it: boot loader and application below, the
file system above.

The upper part is `flash.img`, which the board runs on. The lower is `chip.img`. Where that is
missing the chip was delivered with MicroPython on it; one that is blank or holds something else
does not start, as no real one would.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

LOWER_BYTES: Final = 2 * 1024 * 1024
"""Where the file system begins in a stock image of 4 MiB (its partition table says ``vfs``)."""
_APP_AT: Final = 0x10000
_IMAGE_MAGIC: Final = 0xE9  # esp_image_header_t.magic
_ERASED: Final = b"\xff"


def blank(folder: Path) -> None:
    """A chip that nothing was ever written to."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("chip.img", "flash.img"):
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(_ERASED * LOWER_BYTES)


def starts(folder: Path, image_offset: int) -> bool:
    """Whether boot loader and application are there."""
    chip = folder / "chip.img"
    if not chip.exists():
        return True
    with chip.open("rb") as f:
        heads = []
        for at in (image_offset, _APP_AT):
            f.seek(at)
            heads.append(f.read(1))
    return heads == [bytes((_IMAGE_MAGIC,))] * 2


class ChipFlash:
    """What the loader reads and writes while the chip does not run. Close it before it does."""

    def __init__(self, folder: Path) -> None:
        """Makes what is missing; a chip that came with MicroPython gets a lower part that says
        so, since nobody kept the image."""
        chip = folder / "chip.img"
        if not chip.exists():
            chip.touch(mode=0o600)
            lower = bytearray(_ERASED * LOWER_BYTES)
            for at in (0, 0x1000, _APP_AT):
                lower[at] = _IMAGE_MAGIC
            chip.write_bytes(lower)
        self._parts: list[mmap.mmap] = []
        for name in ("chip.img", "flash.img"):
            with (folder / name).open("r+b") as f:
                self._parts.append(mmap.mmap(f.fileno(), 0))
        self.size = sum(len(part) for part in self._parts)

    def close(self) -> None:
        for part in self._parts:
            part.close()

    def read(self, at: int, size: int) -> bytes:
        return b"".join(part[a:b] for part, a, b in self._split(at, size))

    def write(self, at: int, data: bytes) -> None:
        for part, a, b in self._split(at, len(data)):
            new = data[: b - a]
            data = data[b - a :]
            # Bits can only be cleared; erased flash, the common case, takes the data as it is.
            old = part[a:b]
            if old.count(_ERASED) != len(old):
                new = bytes(x & y for x, y in zip(old, new, strict=True))
            part[a:b] = new

    def erase(self, at: int, size: int) -> None:
        for part, a, b in self._split(at, size):
            part[a:b] = _ERASED * (b - a)

    def _split(self, at: int, size: int) -> list[tuple[mmap.mmap, int, int]]:
        found, begin = [], 0
        for part in self._parts:
            a, b = max(at - begin, 0), min(at + size - begin, len(part))
            if a < b:
                found.append((part, a, b))
            begin += len(part)
        return found
