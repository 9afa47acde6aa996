"""The stand-ins as a ROMFS image: what is C on a chip should not live in the board's heap.

MicroPython runs bytecode of a ROMFS image where it lies, here in a mapped file, so a stand-in
costs the heap its names and function objects and not its code.
"""

from __future__ import annotations

from pathlib import Path

from tools.build import build_firmware
from tools.paths import BUILD

_STANDINS = Path(__file__).parent / "standins"

# micropython/extmod/vfs_rom.c, "ROMFS format". A record is kind, length, payload; the numbers are
# varints of 7 bits a byte, highest first. The image is one record whose kind spells "RM1".
_MAGIC = b"\xd2\xcd\x31"
_VERBATIM = 2
_FILE = 5


def standins_image() -> Path:
    """The image of the stand-ins, built when one has changed. Raises BuildError."""
    build = build_firmware(_STANDINS, BUILD / "standins", interface=True)
    image = romfs({name: (build.root / name).read_bytes() for name in build.files})
    path = BUILD / "standins.romfs"
    if not path.exists() or path.read_bytes() != image:
        # Boards that run have the old file mapped; it stays theirs.
        aside = path.with_suffix(".new")
        aside.write_bytes(image)
        aside.replace(path)
    return path


def romfs(files: dict[str, bytes]) -> bytes:
    """An image with ``files`` in its root."""
    body = b"".join(
        _record(_FILE, _varint(len(name)) + name.encode() + _record(_VERBATIM, data))
        for name, data in sorted(files.items())
    )
    return _MAGIC + _varint(len(body)) + body


def _record(kind: int, payload: bytes) -> bytes:
    return _varint(kind) + _varint(len(payload)) + payload


def _varint(n: int) -> bytes:
    out = [n & 0x7F]
    while n := n >> 7:
        out.append(n & 0x7F | 0x80)
    return bytes(reversed(out))
