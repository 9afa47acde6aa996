"""MicroPython and mosquitto: the ones on PATH, or unpacked under `.cache/` with no root. For the
tests also PostgreSQL, in `postgres.py`.

`GANGLION_MICROPYTHON` and `GANGLION_MOSQUITTO` (a command line each) come before both. What is
unpacked are the packages of a Debian archive, through apt's own settings of this machine (so its
mirror, its proxy and its keys hold), in private folders: nothing is installed.

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
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
# Nobody calls these here, and they are large.
_UNUSED = re.compile(r"gcc-\d+-base|libc-gconv-modules-extra")


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

    Others that want the same wait for the lock and then find it done.
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


# ---- apt, without root


def _indexes(*options: str) -> list[list[str]]:
    fields = ("REPO_URI", "RELEASE", "CODENAME", "ORIGIN", "LABEL", "COMPONENT")
    form = "|".join(f"$({f})" for f in fields)
    try:
        lines = _run("apt-get", *options, "indextargets", "--format", form, "Created-By: Packages")
    except FileNotFoundError:
        raise RuntimeMissing(f"there is no apt on this machine. {ADVICE}") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeMissing(f"apt failed: {error.stderr.strip()}. {ADVICE}") from error
    return [line.split("|") for line in lines.splitlines()]


@functools.cache
def _targets() -> tuple[tuple[str, ...], ...]:
    """apt's own index targets (URI, release, codename, origin, label, component)."""
    found = _indexes()
    if not found:
        # apt names only what it has seen once; a fresh container has seen nothing.
        with tempfile.TemporaryDirectory() as empty:
            (Path(empty) / "partial").mkdir()
            options = (f"-oDir::State::Lists={empty}", *_NO_ROOT)
            with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
                _run("apt-get", *options, "update")
            found = _indexes(*options)
    return tuple(tuple(target) for target in found)


def debian_archive() -> str:
    """The address of the Debian main archive in this machine's apt settings."""
    for uri, _release, codename, origin, label, component in _targets():
        if (origin, label, component) == ("Debian", "Debian", "main") and "-" not in codename:
            return uri
    raise RuntimeMissing(f"this machine's apt settings name no Debian archive. {ADVICE}")


def host_archives() -> list[tuple[str, str]]:
    """(address, suite) of the distribution's own archives, newest updates included."""
    own = ("Debian", "Debian-Security", "Ubuntu", "Raspbian")
    found = {(t[0], t[1]): None for t in _targets() if t[3] in own or t[4] in own}
    if not found:
        raise RuntimeMissing(f"this machine's apt settings name no archive we know. {ADVICE}")
    return list(found)


# The sandbox user cannot write below our folder, and apt warns about it at length.
_NO_ROOT = (
    "-oAcquire::Languages=none",
    "-oDebug::NoLocking=1",
    "-oAPT::Sandbox::User=root",
    "-oAPT::Get::AllowUnauthenticated=false",
)


class Apt:
    """apt over private folders below ``aside``. ``arch`` given: as if nothing were installed;
    ``lacking``: as if the packages whose whole names that matches were not."""

    def __init__(
        self,
        aside: Path,
        archives: Sequence[tuple[str, str]],
        arch: str | None = None,
        lacking: str | None = None,
    ) -> None:
        self._aside = aside
        self._where = Path(tempfile.mkdtemp(prefix="apt-", dir=aside))
        for name in ("lists/partial", "cache/archives/partial"):
            (self._where / name).mkdir(parents=True)
        sources = self._where / "sources.list"
        components = "main universe" if Path("/etc/lsb-release").exists() else "main"
        sources.write_text(
            "".join(f"deb {_keyring()}{uri} {suite} {components}\n" for uri, suite in archives)
        )
        self._suites = ", ".join(suite for _, suite in archives)
        self._options = [
            f"-oDir::State::Lists={self._where / 'lists'}",
            f"-oDir::Etc::sourcelist={sources}",
            "-oDir::Etc::sourceparts=-",
            f"-oDir::Cache={self._where / 'cache'}",
            *_NO_ROOT,
        ]
        if arch:
            self._options += [
                f"-oAPT::Architecture={arch}",
                f"-oAPT::Architectures={arch}",
                "-oDir::State::status=/dev/null",
            ]
        if lacking:
            status = self._where / "status"
            installed = Path("/var/lib/dpkg/status").read_text(errors="replace").split("\n\n")
            package = re.compile(rf"Package: ({lacking})$", re.MULTILINE)
            status.write_text("\n\n".join(p for p in installed if not package.match(p)))
            self._options.append(f"-oDir::State::status={status}")

    def update(self) -> bool:
        say(f"reading the package lists of {self._suites}")
        try:
            _run("apt-get", *self._options, "update")
        except subprocess.CalledProcessError as error:
            say(f"apt-get update ({self._suites}): {error.stderr.strip()}")
            return False
        return True

    def version(self, package: str) -> tuple[int, ...]:
        """Upstream (major, minor) of the newest; () when there is none."""
        try:
            shown = _run("apt-cache", *self._options, "show", "--no-all-versions", package)
        except subprocess.CalledProcessError:
            return ()
        match = re.search(r"^Version: (?:\d+:)?(\d+)[.+](\d+)", shown, re.MULTILINE)
        return tuple(map(int, match.groups())) if match else ()

    def unpack(self, package: str, unused: re.Pattern[str] = _UNUSED, share: str = "") -> None:
        """Download ``package`` and all it needs that is not installed, but for what ``unused``
        names; unpack into ``root/``. Of ``usr/share`` only the folder ``share`` is kept.

        A simulated installation names exactly those: it resolves alternatives and what the host
        has, which a walk over `apt-cache depends` does not.
        """
        try:
            plan = _run(
                "apt-get", *self._options, "-s", "install", "--no-install-recommends", package
            )
            names = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
            names = [n for n in names if not unused.fullmatch(n.partition(":")[0])]
            debs = self._where / "debs"
            debs.mkdir()
            _run("apt-get", *self._options, "download", *names, cwd=debs)
            for deb in sorted(debs.glob("*.deb")):
                _run("dpkg", "-x", str(deb), str(self._aside / "root"))
        except subprocess.CalledProcessError as error:
            raise RuntimeMissing(
                f"apt cannot provide {package}: {error.stderr.strip()}. {ADVICE}"
            ) from error
        for folder in self._aside.glob("apt-*"):
            shutil.rmtree(folder)
        for folder in self._aside.glob("root/usr/share/*"):
            if folder.name != share:
                shutil.rmtree(folder, ignore_errors=True)


def _keyring() -> str:
    """Newer Debians trust no key for an archive that does not name its keyring."""
    for name in ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg"):
        keyring = Path("/usr/share/keyrings", name)
        if keyring.exists() and not Path("/etc/lsb-release").exists():
            return f"[signed-by={keyring}] "
    return ""


def _run(*command: str, cwd: Path | None = None) -> str:
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=cwd, env=env
    ).stdout


def say(text: str) -> None:
    """A step that may take seconds, on stderr."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def main() -> int:
    """Unpack what is missing; say what is in use, unless `--quiet`."""
    from tools import postgres

    try:
        found, broker, database = micropython(), mosquitto(), postgres.programs()
    except RuntimeMissing as error:
        print(f"ganglion: {error}", file=sys.stderr)
        return 1
    if "--quiet" not in sys.argv:
        say(found.description)
        say(f"mosquitto, {'unpacked' if str(CACHE) in broker[-1] else broker[-1]}")
        say(f"PostgreSQL {database.origin}, for tests")
        say("ready; `make demo` starts a board and a chat")
    return 0


if __name__ == "__main__":
    sys.exit(main())
