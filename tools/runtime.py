"""MicroPython and mosquitto: the ones on PATH, or unpacked under `.cache/` with no root. For the
tests also PostgreSQL, in `postgres.py`.

`GANGLION_MICROPYTHON` and `GANGLION_MOSQUITTO` (a command line each) come before both. What is
unpacked are the packages of a Debian archive (`apt.py`), in private folders: nothing is installed.

The chip is a 32-bit machine, so the MicroPython unpacked is the 32-bit one, and it brings its own
C library and loader. Debian's mosquitto runs with the host's libraries plus those it lacks.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.apt import Apt, AptError, debian_archive, host_archives, say
from tools.paths import CACHE

NEEDED = (1, 26)
# Debian's stable has no newer one; everything here was seen to work on it.
LAST_RESORT = (1, 25)
SUITES = ("forky", "sid", "trixie")
ADVICE = (
    "Install them (`apt install micropython mosquitto` or `brew install micropython mosquitto`), "
    "or set GANGLION_MICROPYTHON and GANGLION_MOSQUITTO to the commands to use."
)

# What a board asks of its MicroPython, and what it tells about itself.
_PROBE = (
    "import sys,ffi,uctypes,vfs\n"
    "vfs.VfsLfs2,vfs.VfsRom\n"
    "print('%d %d %d %d'%(sys.implementation[1][:3]+(32 if sys.maxsize<1<<40 else 64,)))"
)


class RuntimeMissing(RuntimeError):
    """A program is neither on PATH nor can it be unpacked; the text says what to do."""


@dataclass(frozen=True)
class MicroPython:
    """``command``: a prefix to put arguments after; ``bits``: word size; ``origin``: in words."""

    command: tuple[str, ...]
    version: tuple[int, int, int]
    bits: int
    origin: str

    @property
    def description(self) -> str:
        version = ".".join(map(str, self.version))
        return f"MicroPython {version}, {self.bits}-bit, {self.origin}"

    def heap_kib(self, on_chip_kib: int) -> int:
        """The heap (KiB) that holds as many objects as ``on_chip_kib`` does on the 32-bit chip."""
        return on_chip_kib * (self.bits // 32)


# ---- what callers ask for


@functools.cache
def micropython() -> MicroPython:
    """The MicroPython to run boards with. Raises RuntimeMissing. The first call may unpack."""
    own = os.environ.get("GANGLION_MICROPYTHON")
    if own:
        found = probe(shlex.split(own), "from GANGLION_MICROPYTHON")
        if found is None:
            raise RuntimeMissing(f"GANGLION_MICROPYTHON={own} does not run our boards' MicroPython")
        return found
    on_path = shutil.which("micropython")
    if on_path:
        found = probe([on_path], "on PATH")
        if found and found.version >= NEEDED:
            return found
        say(f"{on_path} is older than {_dotted(NEEDED)} or lacks ffi, VfsLfs2 or VfsRom")
    arch = "armhf" if platform.machine() in ("aarch64", "arm64") else "i386"
    folder = CACHE / "runtime" / f"micropython-{arch}"
    found = _unpacked_micropython(folder)
    if found is None:
        unpack(folder, lambda aside: _fetch_micropython(aside, arch))
        found = _unpacked_micropython(folder)
    if found is None:
        raise RuntimeMissing(f"the MicroPython under {folder} does not run here. {ADVICE}")
    return found


@functools.cache
def _mosquitto() -> tuple[str, ...]:
    own = os.environ.get("GANGLION_MOSQUITTO")
    if own:
        return tuple(shlex.split(own))
    # Debian's is in sbin, which a user's PATH often lacks.
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    on_path = shutil.which("mosquitto", path=path)
    if on_path:
        return (on_path,)
    folder = CACHE / "runtime" / "mosquitto"
    command = _unpacked_mosquitto(folder)
    if not command:
        unpack(folder, _fetch_mosquitto)
        command = _unpacked_mosquitto(folder)
    if not command:
        raise RuntimeMissing(f"the mosquitto under {folder} does not run here. {ADVICE}")
    return command


def mosquitto() -> list[str]:
    """The command that starts mosquitto. Raises RuntimeMissing. The first call may unpack."""
    return list(_mosquitto())


def probe(command: Sequence[str], origin: str) -> MicroPython | None:
    """What ``command`` is, by running it; None when it does not run or lacks what we need."""
    try:
        done = subprocess.run(
            [*command, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=True
        )
        major, minor, patch, bits = map(int, done.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return MicroPython(tuple(command), (major, minor, patch), bits, origin)


# ---- unpacked ones


def _unpacked_micropython(folder: Path) -> MicroPython | None:
    binary = folder / "root/usr/bin/micropython"
    loader = next(iter(sorted((folder / "root").glob("usr/lib/*/ld-linux*.so.*"))), None)
    if not binary.exists() or loader is None:
        return None
    suite = json.loads((folder / "unpacked.json").read_text())["suite"]
    command = [str(loader), "--library-path", str(loader.parent), str(binary)]
    return probe(command, f"unpacked from Debian {suite}")


def _unpacked_mosquitto(folder: Path) -> tuple[str, ...]:
    binary = folder / "root/usr/sbin/mosquitto"
    if not binary.exists():
        return ()
    libraries = sorted({str(so.parent) for so in (folder / "root").glob("usr/lib/*/*.so.*")})
    # env(1) becomes the broker: its pid is the one the caller started.
    command = ("/usr/bin/env", f"LD_LIBRARY_PATH={':'.join(libraries)}", str(binary))
    # mosquitto -h prints its help and ends with 3; a missing library ends with 127.
    done = subprocess.run([*command, "-h"], capture_output=True, text=True)
    return command if done.stdout.startswith("mosquitto version") else ()


def unpack(folder: Path, fetch: Callable[[Path], None]) -> None:
    """``fetch`` into a folder aside, then rename: a folder is there whole or not at all.

    Raises RuntimeMissing. Others that want the same wait for the lock and then find it done.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if (folder / "unpacked.json").exists():
            if _still_runs(folder):
                return
            shutil.rmtree(folder)
        aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
        try:
            aside.chmod(0o755)  # mkdtemp's 0700 would lock out a broker that drops to another user
            fetch(aside)
            aside.rename(folder)
        except AptError as error:
            raise RuntimeMissing(f"{error}. {ADVICE}") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _still_runs(folder: Path) -> bool:
    if folder.name == "postgresql":
        from tools.postgres import unpacked

        return unpacked(folder) is not None
    return bool(
        _unpacked_mosquitto(folder) if folder.name == "mosquitto" else _unpacked_micropython(folder)
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_micropython(aside: Path, arch: str) -> None:
    archive = debian_archive()
    newest: tuple[int, ...] = ()
    for wanted in (NEEDED, LAST_RESORT):
        for suite in SUITES:
            apt = Apt(aside, [(archive, suite)], arch)
            if apt.update() and apt.version("micropython") >= wanted:
                newest = apt.version("micropython")
                break
        if newest:
            break
    else:
        raise RuntimeMissing(
            f"the Debian archive of this machine's apt settings ({', '.join(SUITES)}) has no "
            f"MicroPython {_dotted(NEEDED)} for {arch}. {ADVICE}"
        )
    if newest < NEEDED:
        say(f"only MicroPython {_dotted(newest)} was found; {_dotted(NEEDED)} is what we test with")
    say(f"unpacking MicroPython {_dotted(newest)} ({arch}) from Debian {suite}")
    apt.unpack("micropython")
    (aside / "unpacked.json").write_text(json.dumps({"suite": suite, "arch": arch}))


def _fetch_mosquitto(aside: Path) -> None:
    apt = Apt(aside, host_archives())
    if not apt.update() or not apt.version("mosquitto"):
        raise RuntimeMissing(f"this machine's apt archives have no mosquitto. {ADVICE}")
    say(f"unpacking mosquitto {_dotted(apt.version('mosquitto'))}")
    apt.unpack("mosquitto")
    (aside / "unpacked.json").write_text("{}")


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def _postgres() -> str:
    from tools import postgres

    try:
        return f"PostgreSQL, {postgres.programs().origin}, for tests"
    except RuntimeMissing as error:  # Everything but some tests goes without.
        return f"some tests will fail: {error}"


def main() -> int:
    """Unpack what is missing; say what is in use, unless `--quiet`."""
    try:
        found, broker = micropython(), mosquitto()
    except RuntimeMissing as error:
        print(f"ganglion: {error}", file=sys.stderr)
        return 1
    if "--quiet" not in sys.argv:
        say(found.description)
        say(f"mosquitto, {'unpacked' if str(CACHE) in broker[-1] else broker[-1]}")
        say(_postgres())
        say("ready; `make demo` starts a board and a chat")
    return 0


if __name__ == "__main__":
    sys.exit(main())
