"""PostgreSQL for tests and benches: a cluster of its own in a temporary folder, gone afterwards.

    with Cluster() as cluster:
        url = cluster.url()

The programs are those on PATH or of Debian's package, else that package unpacked under `.cache/`
as `runtime.py` does it. `GANGLION_POSTGRES`, the folder of `initdb` and `postgres`, comes before
all. PostgreSQL refuses to run as root, so root starts it as another account.
"""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tools import children, ports, runtime
from tools.apt import Apt, host_archives, say
from tools.paths import CACHE
from tools.privileges import drop_for

_ADVICE = (
    "Install it (`apt install postgresql` or `brew install postgresql`), or set GANGLION_POSTGRES "
    "to the folder that holds initdb and postgres."
)
_START_S = 30.0
_STOP_S = 10.0
_TRIES_FOR_A_PORT = 5
USER = "ganglion"

# What the server needs no part of here: compiling queries, Debian's scripts around clusters.
_UNUSED = re.compile(
    r"libllvm\d+|libz3-\d+|postgresql(-client)?-common|ssl-cert|perl.*|lib[\w-]+-perl|libperl.*"
    r"|locales|tzdata|openssl|sysstat|ucf|gcc-\d+-base|sensible-utils|debconf|netbase"
)
_LACKING = r"postgresql(-\d+)?"

# Nothing outlives a test, so nothing needs to reach the disk.
_SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "60",
    "jit": "off",
    "max_wal_size": "128MB",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresError(OSError):
    """The server does not start. The text says why."""


@dataclass(frozen=True)
class Programs:
    """``bin``: the folder of ``initdb`` and ``postgres``; ``libraries``: folders of those the
    host lacks; ``origin``: in words."""

    bin: Path
    libraries: tuple[Path, ...]
    origin: str

    def command(self, name: str) -> tuple[str, ...]:
        program = str(self.bin / name)
        if not self.libraries:
            return (program,)
        # env(1) becomes the server: its pid is the one the caller started.
        libraries = ":".join(map(str, self.libraries))
        return ("/usr/bin/env", f"LD_LIBRARY_PATH={libraries}", program)


@functools.cache
def programs(unpack: bool = False) -> Programs:
    """The PostgreSQL to run; with ``unpack`` Debian's under `.cache/`, whatever there is
    otherwise. Raises RuntimeMissing. The first call may unpack."""
    own = os.environ.get("GANGLION_POSTGRES")
    if own and not unpack:
        found = _at(Path(own), "from GANGLION_POSTGRES")
        if found is None:
            raise runtime.RuntimeMissing(f"GANGLION_POSTGRES={own} holds no initdb and postgres")
        return found
    if not unpack:
        on_path = shutil.which("initdb")
        folders = [Path(on_path).resolve().parent] if on_path else []
        folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
        for folder in folders:
            found = _at(folder, str(folder))
            if found is not None:
                return found
    folder = CACHE / "runtime" / "postgresql"
    found = unpacked(folder)
    if found is None:
        runtime.unpack(folder, _fetch)
        found = unpacked(folder)
    if found is None:
        raise runtime.RuntimeMissing(f"the PostgreSQL under {folder} does not run here. {_ADVICE}")
    return found


def unpacked(folder: Path) -> Programs | None:
    """The one that was unpacked there, None where there is none that runs."""
    root = folder / "root"
    for bin_ in root.glob("usr/lib/postgresql/*/bin"):
        found = (so.parent for part in ("lib", "usr/lib") for so in root.glob(f"{part}/*/*.so.*"))
        libraries = sorted(set(found))
        return _at(bin_, "unpacked", tuple(libraries))
    return None


def _version(bin_: Path) -> int:
    name = bin_.parent.name
    return int(name) if name.isdigit() else 0


def _at(bin_: Path, origin: str, libraries: tuple[Path, ...] = ()) -> Programs | None:
    found = Programs(bin_, libraries, origin)
    for name in ("initdb", "postgres"):
        try:
            subprocess.run(
                [*found.command(name), "--version"], capture_output=True, timeout=20, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
    return found


def _fetch(aside: Path) -> None:
    apt = Apt(aside, host_archives(), lacking=_LACKING)
    if not apt.update() or not (version := apt.version("postgresql")):
        raise runtime.RuntimeMissing(f"this machine's apt archives have no postgresql. {_ADVICE}")
    say(f"unpacking PostgreSQL {version[0]}")
    apt.unpack(f"postgresql-{version[0]}", _UNUSED, share="postgresql")
    (aside / "unpacked.json").write_text(json.dumps({}))


class Cluster:
    """A server on a free port of loopback, with a password. Raises PostgresError, RuntimeMissing.

    Its files lie in a temporary folder, which goes with it.
    """

    def __init__(self, found: Programs | None = None) -> None:
        self._programs = found or programs()
        self.password = secrets.token_urlsafe(12)
        self.port = 0
        self._folder = Path(tempfile.mkdtemp(prefix="ganglion-postgres-"))
        self._data = self._folder / "data"
        self._log = self._folder / "log"
        self._child: subprocess.Popen[bytes] | None = None
        self._account: tuple[int, int] | None = None

    def __enter__(self) -> Cluster:
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    def url(self, database: str = "postgres", *, password: bool = True) -> str:
        secret = f":{self.password}" if password else ""
        return f"postgresql://{USER}{secret}@{ports.LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, on the port it had before where it had one; return when it answers."""
        tries = 1 if self.port else _TRIES_FOR_A_PORT
        for left in reversed(range(tries)):
            port = self.port or ports.free_port()
            try:
                self._start_on(port)
            except PostgresError:
                if not left or ports.is_free(port):
                    raise
            else:
                self.port = port
                return

    def stop(self) -> None:
        """End the server by its own pid; its clients are cut off. Safe to repeat."""
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        child.send_signal(signal.SIGINT)
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            children.stop(child)

    def _initialise(self) -> None:
        initdb = self._programs.command("initdb")
        dropped = drop_for(self._folder, initdb)
        if dropped.why_not:
            raise PostgresError(f"PostgreSQL does not run as root, and {dropped.why_not}")
        self._account = dropped.account
        secret = self._folder / "password"
        secret.write_text(self.password)
        if self._account is not None:
            os.chown(secret, *self._account)
        uid, gid = self._account or (None, None)
        done = subprocess.run(
            [
                *initdb,
                *("-D", str(self._data), "-U", USER, "--pwfile", str(secret)),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            cwd=self._folder,
            capture_output=True,
            text=True,
            user=uid,
            group=gid,
            extra_groups=[] if uid is not None else None,
        )
        if done.returncode:
            raise PostgresError(f"initdb failed: {done.stderr.strip()[-800:]}")

    def _start_on(self, port: int) -> None:
        command = self._programs.command("postgres")
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            child = children.spawn(
                [*command, "-D", str(self._data), *settings, f"--port={port}"],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                account=self._account,
                death_signal=signal.SIGQUIT,
            )
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            said = self._log.read_bytes()[before:].decode(errors="replace")
            if "ready to accept connections" in said:
                self._child = child
                return
            if child.poll() is not None:
                raise PostgresError(f"PostgreSQL ended at once: {said[-800:]}")
            time.sleep(0.02)
        children.stop(child)
        raise PostgresError(f"PostgreSQL was not ready after {_START_S:.0f} s: {said[-800:]}")


def main() -> int:
    """Say which PostgreSQL is in use, and that it runs; `--unpack` tries the unpacked one."""
    try:
        found = programs("--unpack" in sys.argv)
        with Cluster(found) as cluster:
            print(f"PostgreSQL {found.origin}, {found.bin}: it runs, on port {cluster.port}")
    except (runtime.RuntimeMissing, PostgresError) as error:
        print(f"ganglion: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
