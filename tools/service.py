"""``ganglion serve``: the embedded broker and the companion in one process, until a signal.

The order is what makes it safe: the lock on the state folder first, then the broker, then the
companion, and run.json last, when everything it tells of is there. It goes the other way at the
end, whichever way that comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tools.config import file_of, read_config
from tools.ending import orders
from tools.problem import Problem, Usage, shown
from tools.state import Broker, Home, Running

if TYPE_CHECKING:
    from companion.app import Companion
    from companion.config import BrokerConfig, Config
    from tools.broker import EmbeddedBroker

log = logging.getLogger("ganglion.serve")

_BROKER_S = 5.0  # how long the start waits for a broker before it says that there is none


@dataclass(frozen=True)
class Options:
    """``broker``: URL of the user's own, ``""`` for the embedded one. Ports: 0 is a free one."""

    home: Home
    broker: str = ""
    ca: Path | None = None
    port: int = 0
    http_port: int = 0
    config: Path | None = None  # None: the one of the home, if there is one


def serve(options: Options) -> None:
    """Run until SIGINT or SIGTERM, or until the terminal goes away. Problem when it cannot
    start."""
    from companion.config.model import LogConfig
    from companion.ops import logs

    logs.start(LogConfig(), debug=logs.wants_debug())
    os.umask(0o077)  # what people said and what devices did is nobody else's to read
    with options.home.serving():
        said = _load(options)
        logs.start(said.log, debug=logs.wants_debug())
        with _broker(options, said) as (settings, embedded):
            from companion.config import StoreConfig

            asked_port = options.http_port or said.http.port
            store = said.store or StoreConfig()
            url = store.url or f"sqlite:///{options.home.folder / 'companion.db'}"
            running = dataclasses.replace(
                said,
                broker=settings,
                http=dataclasses.replace(said.http, port=asked_port),
                store=dataclasses.replace(store, url=url),
            )
            from companion.app import run

            run(_companion(options, said, running, embedded))


def _load(options: Options) -> Config:
    from companion.config import ConfigError

    path = file_of(options.home, options.config)
    if path.exists():
        log.info("backends and limits from %s", shown(path))
    try:
        reading = read_config(path, options.home)
    except ConfigError as error:
        raise Usage(str(error)) from error
    for warning in reading.warnings:
        log.warning("%s", warning)
    return reading.config


@contextlib.contextmanager
def _broker(
    options: Options, config: Config
) -> Iterator[tuple[BrokerConfig, EmbeddedBroker | None]]:
    """Where the companion connects: the user's broker, or an embedded one that runs meanwhile."""
    from companion.config import BrokerConfig
    from companion.link import BrokerUrl

    if options.broker:
        try:
            BrokerUrl.parse(options.broker)
        except ValueError as error:
            raise Usage(f"--broker: {error}") from error
        yield BrokerConfig(options.broker, options.ca), None
        return
    if config.broker != BrokerConfig():
        yield config.broker, None
        return
    if options.ca is not None:
        raise Usage("--ca goes with --broker; the embedded broker needs none")
    from tools.broker import BrokerError, EmbeddedBroker
    from tools.ports import PortTaken
    from tools.runtime import RuntimeMissing

    try:
        embedded = EmbeddedBroker(options.home.folder / "broker", port=options.port or None)
        embedded.start()
    except (BrokerError, PortTaken, RuntimeMissing) as error:
        raise Problem(str(error)) from error
    try:
        user, secret = embedded.add_service("companion")
        url = f"mqtt://{quote(user)}:{quote(secret)}@{embedded.host}:{embedded.port}"
        yield BrokerConfig(url, client_id=user), embedded
    finally:
        embedded.stop()


async def _companion(
    options: Options, said: Config, running: Config, embedded: EmbeddedBroker | None
) -> None:
    from companion.app import Companion
    from companion.config import ConfigError
    from companion.config.reload import Reloader
    from companion.ops import logs

    home = options.home
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        companion = Companion(running, embedded)
    except ConfigError as error:
        raise Usage(str(error)) from error

    def apply(old: Config, new: Config) -> list[str]:
        left = companion.apply(old, new)
        logs.start(new.log, debug=logs.wants_debug())
        return left

    path = file_of(home, options.config)
    reloader = Reloader(path, lambda: read_config(path, home, keys=True), said, running, apply)
    companion.config_problem = reloader.problem
    if signal.SIGHUP in orders():
        loop.add_signal_handler(signal.SIGHUP, _hung_up(stop, reloader.ask))
    watching = loop.create_task(reloader.run())
    try:
        try:
            await companion.start()
        except OSError as error:
            raise Problem(
                f"{error.strerror or error} (or choose another with --http-port)"
            ) from error
        broker = companion.broker
        home.announce(
            Running(
                url=companion.url,
                token=companion.token,
                pid=os.getpid(),
                broker=Broker(broker.host, broker.port, broker.tls),
                ca=str(running.broker.ca.absolute()) if running.broker.ca else None,
            )
        )
        await _say_what_is_where(home, companion, embedded, stop)
        await stop.wait()
        print("\nganglion: stopping", flush=True)
    finally:
        watching.cancel()
        await companion.stop()


def _hung_up(stop: asyncio.Event, reload: Callable[[], None]) -> Callable[[], None]:
    """What SIGHUP means: that our terminal went away, or, where there is none or it is still
    there, that the configuration is to be read again."""
    attended = has_terminal()

    def heard() -> None:
        if attended and not has_terminal():
            stop.set()
        else:
            reload()

    return heard


def has_terminal() -> bool:
    """Whether a terminal controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def _say_what_is_where(
    home: Home, companion: Companion, embedded: EmbeddedBroker | None, stop: asyncio.Event
) -> None:
    until = time.monotonic() + _BROKER_S
    trouble = companion.link.problem  # changes with the first failed try
    while not (  # noqa: ASYNC110 - one of the four is no event
        companion.link.connected.is_set()
        or stop.is_set()
        or companion.link.problem != trouble
        or time.monotonic() > until
    ):
        await asyncio.sleep(0.01)
    broker = companion.broker
    where = f"{broker.host}:{broker.port}{' (TLS)' if broker.tls else ''}"
    if embedded is not None:
        log_file = shown(embedded.folder / "mosquitto.log")
        where += f" (mosquitto, pid {embedded.pid}, log {log_file})"
    if not companion.link.connected.is_set() and not stop.is_set():
        where += f": NOT CONNECTED: {companion.link.problem}. It keeps trying."
    names = ", ".join(backend.card.name for backend in companion.router.backends)
    if not companion.config.backends:
        names += f"; to add a model see docs/backends.md, and write it to {shown(home.config)}"
    print(
        f"ganglion: broker     {where}\n"
        f"ganglion: companion  {companion.url} (pid {os.getpid()})\n"
        f"ganglion: answers    {names}\n"
        f"ganglion: state      {shown(home.folder)}\n"
        f"ganglion: next, in other terminals: `{home.command('board')}`, then "
        f'`{home.command("say")} board "turn on pin 5"`. Ctrl-C ends this.',
        flush=True,
    )
