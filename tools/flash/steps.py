"""The steps from a chip to a board that talks. Each says what it does and how long it took, and can
be done again: what is there already is seen, and left as it is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools.build import Build, build_firmware
from tools.flash import chip as chips
from tools.flash import images, onboard, tool
from tools.flash.chip import Chip
from tools.flash.cures import OF_THE_PORT, cure
from tools.flash.images import Image
from tools.flash.onboard import Found
from tools.flash.settings import CA_ON_BOARD
from tools.problem import Problem

_ANSWER_S: Final = 30.0
"""A fresh chip makes its file system at its first start, which takes some seconds."""
_CONFIG: Final = "/config.json"


@dataclass(slots=True)
class Steps:
    """One board at one port. `times` are the seconds of each step that was done."""

    port: str
    total: int
    times: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def step(self, name: str, what: str) -> Iterator[None]:
        """Say that it begins, and how long it took; a Problem inside gets the step's name."""
        print(f"[{len(self.times) + 1}/{self.total}] {name:<9}{what}", flush=True)
        began = time.monotonic()
        try:
            yield
        except Problem as problem:
            problem.args = (f"{name}: {problem}",)
            raise
        self.times[name] = time.monotonic() - began
        print(f"         done in {self.times[name]:.1f} s", flush=True)

    # ---- esptool

    def chip(self) -> Chip:
        with self.step("chip", "which one is it?"):
            found = chips.read(tool.run("esptool", "--port", self.port, "flash-id"))
            mib = found.flash_bytes >> 20
            print(f"         {found.name}, {mib} MiB of flash, MAC {found.mac}")
        return found

    def image(self, chip: Chip, own: Path | None) -> tuple[Image, Path]:
        with self.step("image", "MicroPython for it"):
            if own is not None:
                print(f"         yours: {own}")
                return images.own(own, chip.name), own
            image = images.of(chip.name)
            path = images.fetch(image, images.cache(), _bar)
            print(f"         {image.file}, sha256 as expected")
        return image, path

    def write(self, chip: Chip, image: Image, path: Path, erase: bool) -> None:
        offset = f"{image.offset:#x}"
        with self.step("write", "MicroPython to the chip"):
            if erase:
                tool.run("esptool", "--port", self.port, "erase-flash")
            else:
                code, _ = tool.attempt("esptool", "--port", self.port, "verify-flash", offset,
                                       str(path))  # fmt: skip
                if code == 0:
                    print("         it is there already, byte for byte")
                    return
            tool.run("esptool", "--port", self.port, "write-flash", offset, str(path))

    # ---- mpremote

    def probe(self, *, fresh: bool = True) -> Found:
        """What is on the board; waits for MicroPython to come up. ``fresh``: a reset may have taken
        its port away for a moment, as it does where USB is on the chip."""
        until = time.monotonic() + _ANSWER_S
        with self.step("prompt", "MicroPython's, on the chip"):
            while True:
                code, printed = tool.attempt(
                    "mpremote", "connect", self.port, "resume", "exec", onboard.PROBE
                )
                if code == 0:
                    break
                found_cure = cure(printed)
                port_is_wrong = found_cure is not None and found_cure.name in OF_THE_PORT
                if time.monotonic() > until or (port_is_wrong and not fresh):
                    raise tool.failed("mpremote", onboard.unmarked(printed))
                time.sleep(0.5)
            found = onboard.found(printed)
            version = ".".join(map(str, found.version))
            known = f", it is {found.config['device']!r}" if found.runs_ganglion and found.config \
                else ""  # fmt: skip
            print(f"         MicroPython {version}{known}")
        return found

    def files(self, before: Found) -> Build:
        with self.step("firmware", "Ganglion's files"):
            build = build_firmware()
            wanted = {name: entry.sha256 for name, entry in build.files.items()}
            there = self._hashes(list(wanted))
            missing = [name for name in wanted if there.get(name) != wanted[name]]
            stale = [name for name in before.installed if name not in wanted]
            size = sum(build.files[name].size for name in missing)
            print(f"         {len(wanted) - len(missing)} of {len(wanted)} files are there;"
                  f" {size:,} bytes to copy")  # fmt: skip
            if missing:
                self._copy(build, missing)
                there = self._hashes(list(wanted))
                wrong = [name for name in wanted if there.get(name) != wanted[name]]
                if wrong:
                    raise Problem(f"{', '.join(wrong[:3])} did not arrive whole; run this again")
            if stale:
                self._exec(onboard.REMOVE.format(paths=stale))
            if before.installed != wanted:
                self._put(json.dumps(wanted).encode(), "/installed.json")
        return build

    def _hashes(self, names: list[str]) -> dict[str, str]:
        return onboard.hashes(self._exec(onboard.HASHES.format(paths=names)))

    def _copy(self, build: Build, names: list[str]) -> None:
        folders = sorted({name.rsplit("/", 1)[0] for name in names if "/" in name})
        self._exec(
            f"import os\nfor p in {folders!r}:\n try: os.mkdir('/' + p)\n except OSError: pass\n"
        )
        chain: list[str] = []
        # What starts everything comes last: until it is there the old one starts, or nothing.
        for name in sorted(names, key=lambda n: (n == "main.py", n)):
            chain += ["+", "fs", "cp", str(build.root / name), f":/{name}"]
        tool.run(
            "mpremote",
            "connect",
            self.port,
            "resume",
            *chain[1:],
            told=["connect", self.port, "resume", "fs", "cp", f"build/firmware/… ({len(names)})"],
        )

    def settings(
        self, config: dict[str, Any], ca: bytes = b"", before: dict[str, Any] | None = None
    ) -> None:
        """Write `/config.json`, aside and renamed, where it is not as ``before``; and the DER of an
        authority, if any. It holds secrets: it is not shown."""
        with self.step("settings", "who it is and where it belongs"):
            if ca:
                name = CA_ON_BOARD[1:]
                if self._hashes([name])[name] != hashlib.sha256(ca).hexdigest():
                    self._put(ca, CA_ON_BOARD)
            if config == before:
                print(f"         as they were: {config['device']!r}")
                return
            self._put(json.dumps(config).encode(), _CONFIG)
            how = "TLS" if "ca" in config else "plain"
            print(f"         {config['device']!r}, broker {config['host']}:{config['port']} "
                  f"({how}), Wi-Fi {config['wifi']['ssid']!r}")  # fmt: skip

    def _put(self, data: bytes, path: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            aside = Path(folder) / "aside"
            aside.touch(mode=0o600)
            aside.write_bytes(data)
            code, printed = tool.attempt(
                "mpremote", "connect", self.port, "resume", "fs", "cp", str(aside), f":{path}.new"
            )
            if code:
                raise tool.failed("mpremote", printed)
        self._exec(onboard.RENAME.format(old=f"{path}.new", new=path))

    def _exec(self, source: str) -> str:
        code, printed = tool.attempt("mpremote", "connect", self.port, "resume", "exec", source)
        if code:
            raise tool.failed("mpremote", printed)
        return printed

    def start(self) -> None:
        tool.run("mpremote", "connect", self.port, "reset", show=False)


def _bar(there: int, total: int) -> None:
    if sys.stdout.isatty():
        of = f" of {total:,}" if total else ""
        print(f"\r         {there:,}{of} bytes", end="" if there < total else "\n", flush=True)
