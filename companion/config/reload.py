"""A changed configuration, while everything goes on.

The file is looked at each second: its status alone, no watcher of the system's, which differs
between systems and sees nothing on network drives. When it has changed and rests, or somebody asks
(SIGHUP), it is read again. What is wrong leaves the old one in force.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from companion.config.model import Config, ConfigError, StoreConfig
from companion.config.read import Reading
from companion.config.table import ConfigErrors

log = logging.getLogger(__name__)

POLL_S: Final = 1.0

Stamp: TypeAlias = tuple[int, int, int] | None


class Apply(Protocol):
    """Makes a new configuration that of what runs, on the event loop and without waiting.
    Returns what it could not take over, for the log. Raises ConfigError, and then nothing may
    have changed."""

    def __call__(self, old: Config, new: Config) -> list[str]: ...


class Reloader:
    """Keeps a running companion at what its file says. ``running`` is the configuration in
    force, which may differ from the file's: an embedded broker, ports of the command line."""

    def __init__(
        self,
        path: Path,
        read: Callable[[], Reading],
        said: Config,
        running: Config,
        apply: Apply,
        *,
        poll_s: float = POLL_S,
    ) -> None:
        """``read`` reads the file, and whether the keys are there, anew and raises ConfigError;
        it is called in a thread. ``said`` is what it gave at the start."""
        self.path = path
        self._read = read
        self._said = said
        self._running = running
        self._apply = apply
        self._poll_s = poll_s
        self._problem = ""
        self._had_file = path.exists()
        self._asked = asyncio.Event()

    def problem(self) -> str:
        """Why the file as it is now is not in force, "" where it is."""
        return self._problem

    def ask(self) -> None:
        """Have the file read again in any case, as for SIGHUP: keys in other files may have
        changed."""
        self._asked.set()

    async def run(self) -> None:
        """Watch until canceled."""
        settled = seen = stamp_of(self.path)
        while True:
            asked = await self._pause()
            stamp = stamp_of(self.path)
            # An editor may be in the middle of it: only what rested for one look is read.
            if asked or (stamp != settled and stamp == seen):
                settled = stamp
                await self.reload(forced=asked)
            seen = stamp

    async def reload(self, *, forced: bool = False) -> None:
        """Read the file and go on with it. Never raises: what is wrong is logged and becomes
        ``problem``. ``forced``: apply it though it says the same as before."""
        began = time.monotonic()
        try:
            self._see_the_file()
            # In a thread: a keyring may take its time.
            reading = await asyncio.to_thread(self._read)
            if reading.config == self._said and not forced:
                self._done("it says what it said before")
                return
            new = in_force(self._running, reading.config)
            left = self._apply(self._running, new)
        except ConfigError as error:
            self._refuse(error)
            return
        except Exception:
            log.exception("the configuration stays as it was")
            self._problem = (
                "the configuration is not in force: a fault of the companion; see its log"
            )
            return
        left = [*needs_restart(self._said, reading.config), *left]
        self._said, self._running = reading.config, new
        for warning in reading.warnings:
            log.warning("%s", warning)
        for what in left:
            log.warning("%s: %s needs a restart of the companion", self.path, what)
        self._done(f"in force after {(time.monotonic() - began) * 1000:.0f} ms")

    def _see_the_file(self) -> None:
        """A file that was there and is gone is a mistake, and no wish for the defaults."""
        if self.path.exists():
            self._had_file = True
        elif self._had_file:
            raise ConfigError(f"{self.path}: there is no such file any more")

    async def _pause(self) -> bool:
        """Until somebody asks (True) or it is time to look."""
        try:
            await asyncio.wait_for(self._asked.wait(), self._poll_s)
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    def _refuse(self, error: ConfigError) -> None:
        findings = error.findings if isinstance(error, ConfigErrors) else ()
        for finding in findings or (error,):
            log.error("the configuration stays as it was: %s", finding)
        first = str(findings[0] if findings else error)
        more = f" (and {len(findings) - 1} more; see the log)" if len(findings) > 1 else ""
        self._problem = f"the configuration is not in force: {first}{more}"

    def _done(self, what: str) -> None:
        self._problem = ""
        log.info("%s was read again; %s", self.path, what)


def stamp_of(path: Path) -> Stamp:
    """What changes when a file does; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


_FIXED: Final[Mapping[str, str]] = {
    "broker": "[broker]",
    "http": "[http]",
    "energy": "[energy]",
    "otlp_url": "[telemetry]",
}
"""Fields of the configuration that only a start reads, and what they are called."""


def needs_restart(old: Config, new: Config) -> list[str]:
    """The tables that differ and cannot be changed while it runs."""
    changed = [name for field, name in _FIXED.items() if getattr(old, field) != getattr(new, field)]
    return changed + (["[store]"] if _where(old.store) != _where(new.store) else [])


def in_force(running: Config, said: Config) -> Config:
    """What the file says, but for what only a start can change: that stays as it runs."""
    store = running.store
    if store is not None and said.store is not None:
        store = replace(store, keep_days=said.store.keep_days)
    fixed = {field: getattr(running, field) for field in _FIXED}
    return replace(said, store=store, token=running.token, **fixed)


def _where(store: StoreConfig | None) -> StoreConfig | None:
    return None if store is None else replace(store, keep_days=0)
