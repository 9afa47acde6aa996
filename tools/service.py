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
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tools.config import file_of, read_config
from tools.ending import orders
from tools.plaintext import refuse_plain
from tools.problem import Problem, Usage, shown
from tools.state import Broker, Home, Running

if TYPE_CHECKING:
    from companion.app import Companion
    from companion.config import BrokerConfig, Config
    from tools.broker import EmbeddedBroker
    from tools.hook import CommandLogins
    from tools.listeners import Lan

log = logging.getLogger("ganglion.serve")

_BROKER_S = 5.0  # how long the start waits for a broker before it says that there is none
_WARN_DAYS = 60


@dataclass(frozen=True)
class Options:
    """``broker``: URL of the user's own, ``""`` for the embedded one. Ports: 0 is a free one.

    ``lan``: the embedded broker listens on the network, too, at ``lan_port`` (0: the usual one),
    and boards call this machine ``lan_host`` ("": its address).
    """

    home: Home
    broker: str = ""
    ca: Path | None = None
    port: int = 0
    lan: bool = False
    lan_port: int = 0
    lan_host: str = ""
    insecure: bool = False
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
    from companion.ops import logs

    path = file_of(options.home, options.config)
    try:
        reading = read_config(path, options.home)
    except ConfigError as error:
        raise Usage(str(error)) from error
    # Before the first line: whoever reads JSON reads it from there on.
    logs.start(reading.config.log, debug=logs.wants_debug())
    if path.exists():
        log.info("backends and limits from %s", shown(path))
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

    said = config.broker
    insecure = options.insecure or said.insecure
    if options.broker:
        if options.lan:
            raise Usage("--lan is the embedded broker's; with --broker boards go to yours")
        try:
            url = BrokerUrl.parse(options.broker)
        except ValueError as error:
            raise Usage(f"--broker: {error}") from error
        refuse_plain(url.host, url.tls, insecure)
        yield BrokerConfig(options.broker, options.ca, register=said.register), None
        return
    if said.own:
        url = BrokerUrl.parse(said.url)
        refuse_plain(url.host, url.tls, insecure)
        yield said, None
        return
    if options.ca is not None:
        raise Usage("--ca goes with --broker; the embedded broker needs none")
    if said.register:
        raise Usage("broker.register is for a broker of your own; the embedded one needs none")
    lan = _lan(options, said) if options.lan or said.lan else None
    from tools.broker import BrokerError, EmbeddedBroker
    from tools.ports import PortTaken
    from tools.runtime import RuntimeMissing

    try:
        folder = options.home.folder / "broker"
        embedded = EmbeddedBroker(folder, port=options.port or None, lan=lan)
        embedded.start()
    except (BrokerError, PortTaken, RuntimeMissing) as error:
        raise Problem(str(error)) from error
    try:
        user, secret = embedded.add_service("companion")
        where = f"mqtt://{quote(user)}:{quote(secret)}@{embedded.host}:{embedded.port}"
        yield dataclasses.replace(said, url=where, client_id=user), embedded
    finally:
        embedded.stop()


def _hook(home: Home, command: str) -> CommandLogins | None:
    """Who lets logins in at the user's own broker; None: the user does it by hand."""
    from tools.hook import CommandLogins

    try:
        return CommandLogins(command, home.folder / "logins.json") if command else None
    except ValueError as error:
        raise Usage(f"broker.register: {error}") from error


def _lan(options: Options, said: BrokerConfig) -> Lan:
    """The listener for boards. Problem without a certificate that holds for this machine's name,
    or today."""
    from tools.certificates import Authority
    from tools.listeners import Lan

    port = options.lan_port or said.lan_port
    if options.insecure or said.insecure:
        log.warning("boards talk plain MQTT: everybody on the network can read all and log in")
        return Lan(port or 1883)
    authority = Authority(options.home.ca)
    if not authority.exists():
        init = options.home.command("ca init")
        raise Problem(f"boards on the network need TLS. Make an authority first: `{init}`")
    certificate = authority.certificate()
    renew = options.home.command("ca renew")
    host = _lan_host(options, said)
    if not certificate.covers(host):
        raise Problem(
            f"the broker's certificate is not for {host!r}, so boards would refuse it. It is for "
            f"{', '.join(certificate.names)}. A new one: `{renew} --name {host}`"
        )
    days_left = certificate.days_left(datetime.now(UTC))
    if days_left < 0:
        raise Problem(f"the broker's certificate ended on {certificate.until:%Y-%m-%d}: `{renew}`")
    if days_left < _WARN_DAYS:
        log.warning("the broker's certificate ends in %d days: `%s`", days_left, renew)
    return Lan(port or 8883, authority.broker_pem.read_text(), authority.broker_key.read_text())


def _lan_host(options: Options, said: BrokerConfig) -> str:
    """How boards call this machine."""
    from tools.certificates import addresses

    host = options.lan_host or said.lan_host
    if host:
        return host.lower()
    found = addresses()
    if not found:
        raise Problem(
            "this machine has no address on a network. Say with --lan-host how boards are to "
            "call it"
        )
    return found[0]


async def _companion(
    options: Options, said: Config, running: Config, embedded: EmbeddedBroker | None
) -> None:
    from companion.app import Companion
    from companion.config import ConfigError
    from companion.config.reload import Reloader
    from companion.ops import logs
    from tools.certificates import Authority

    home = options.home
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        companion = Companion(running, embedded or _hook(home, running.broker.register))
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
        lan = lan_ca = None
        if embedded is not None and embedded.lan is not None:
            there = embedded.lan
            lan = Broker(_lan_host(options, said.broker), there.port, there.tls)
            lan_ca = str(Authority(home.ca).ca_pem) if there.tls else None
        home.announce(
            Running(
                url=companion.url,
                token=companion.token,
                pid=os.getpid(),
                broker=Broker(broker.host, broker.port, broker.tls),
                ca=str(running.broker.ca.absolute()) if running.broker.ca else None,
                lan=lan,
                lan_ca=lan_ca,
            )
        )
        await _say_what_is_where(home, companion, embedded, lan, stop)
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
    home: Home,
    companion: Companion,
    embedded: EmbeddedBroker | None,
    lan: Broker | None,
    stop: asyncio.Event,
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
    boards = ""
    if lan is not None:
        how = "TLS" if lan.tls else "PLAIN, anybody on the network can read it"
        boards = f"ganglion: boards     {lan.host}:{lan.port} ({how})\n"
    names = ", ".join(backend.card.name for backend in companion.router.backends)
    if not companion.config.backends:
        names += f"; to add a model see docs/backends.md, and write it to {shown(home.config)}"
    print(
        f"ganglion: broker     {where}\n"
        f"{boards}"
        f"ganglion: companion  {companion.url} (pid {os.getpid()})\n"
        f"ganglion: answers    {names}\n"
        f"ganglion: state      {shown(home.folder)}\n"
        f"ganglion: next, in other terminals: `{home.command('board')}`, then "
        f'`{home.command("say")} board "turn on pin 5"`. Ctrl-C ends this.',
        flush=True,
    )
