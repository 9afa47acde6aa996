"""Firmware that differs from the project's in what a test or a planted fault says."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from companion.update import Package, read_package
from tools.build import build_firmware
from tools.package import package
from tools.paths import BUILD, FIRMWARE
from tools.problem import Problem


@dataclass(frozen=True, slots=True)
class Edit:
    """``old``, which is once in ``file`` (below `firmware/`), becomes ``new``."""

    file: str
    old: str
    new: str


def version_is(version: str) -> Edit:
    """The firmware calls itself so."""
    from tools.build import version_of

    return Edit("ganglion/__init__.py", f'"{version_of(FIRMWARE)}"', f'"{version}"')


def sources(folder: Path, edits: Iterable[Edit]) -> Path:
    """The project's firmware with these edits, in ``folder``, which is made. Problem where one
    does not fit the source any more."""
    shutil.copytree(FIRMWARE, folder)
    for edit in edits:
        path = folder / edit.file
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise Problem(
                f"{edit.file} has {edit.old!r} {text.count(edit.old)} times, and not once"
            )
        path.write_text(text.replace(edit.old, edit.new))
    return folder


def built(folder: Path, edits: Iterable[Edit]) -> Package:
    """The same as an update carries it. What is compiled already is not compiled again."""
    firmware = sources(folder / "firmware", edits)
    if (BUILD / "firmware").exists():
        shutil.copytree(BUILD / "firmware", folder / "build")
    packed = package(build_firmware(firmware, folder / "build"))
    return read_package(packed.manifest, {path: packed.content(path) for path in packed.files})
