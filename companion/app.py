"""Wiring: a configuration → a running companion."""

import asyncio
import contextlib
import gc
import json
import logging
import secrets
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import date
from typing import Any, Final

from companion import wire
from companion.backends.base import Backend, BackendError, WarmBackend
from companion.backends.roster import Roster
from companion.config import Config, ConfigError, RouterConfig
from companion.config.keys import secrets as known_secrets
from companion.context import Contexts
from companion.dispatch import Dispatch
from companion.fleet import Credentials, Fleet
from companion.link import BrokerUrl, Link, PahoLink
from companion.meter.budget import Budgets
from companion.meter.calendar import Calendar
from companion.meter.energy import Energy
from companion.ops.budgets import BudgetGauges
from companion.ops.logs import log_answer
from companion.ops.metrics import Metrics
from companion.ops.traces import make_tracer
from companion.router import Router, minutes_in
from companion.settings import Settings
from companion.store import Row, Store
from companion.turn import Turns
from companion.update import Updates
from companion.web.tokens import TokenBook

log = logging.getLogger(__name__)

STOP_S: Final = 5.0
_SETTLE_S: Final = 1.0


class Companion:
    """The whole service in one process. ``start``, then ``stop``; or ``async with``.

    ``backends`` replaces those of the configuration, ``link`` the connection to the broker; both
    are for tests and benches.
    """

    def __init__(
        self,
        config: Config,
        credentials: Credentials | None = None,
        *,
        backends: Sequence[Backend] | None = None,
        link: Link | None = None,
    ) -> None:
        """Raises ConfigError when a key or a CA file that the configuration names is not
        there."""
        self.config = config
        self.credentials = credentials
        self.broker = BrokerUrl.parse(config.broker.url)
        if self.broker.password:
            known_secrets.add(self.broker.password)
        self.token = config.token or secrets.token_urlsafe(32)
        self.link: Link = link or _link(config)
        self.fleet = Fleet()
        self.contexts = Contexts()
        self.store = None if config.store is None else Store(config.store)
        self.metrics = Metrics()
        self._roster = Roster(config.profiles)
        self.energy = Energy(config.energy)
        self.tracer = make_tracer(config.otlp_url)
        self.router = Router(
            self._roster.of(config, date.today()) if backends is None else backends,
            config.router,
            groups=config.groups,
            purse=None if self.store is None else self.store.ledger,
            slots=Budgets(config.caps, config.groups, config.timezone).slots,
            health=None if self.store is None else self.store.health,
            energy=self.energy,
            counted=self.metrics.attempt,
            minutes=minutes_in(config.timezone),
        )
        self._measure()
        self.tokens = TokenBook(self.token, None if self.store is None else self.store.tokens)
        self.config_problem: Callable[[], str] = str
        """Why the configuration cannot be read again, "" while nothing is wrong."""
        self.turns = Turns(
            publish=self.link.publish,
            fleet=self.fleet,
            contexts=self.contexts,
            router=self.router,
            record=self._record,
            concurrent_max=config.limits.concurrent_asks,
            tracer=self.tracer,
            local_time=Calendar(config.timezone).clock,
        )
        self.dispatch = Dispatch(
            self.link,
            self.fleet,
            self.turns.watches,
            cards=lambda: [backend.card for backend in self.router.backends],
        )
        self.updates = Updates(self.link.publish, self.fleet, self.dispatch.do)
        self.settings = Settings(
            self.link.publish, self.fleet, self.updates, self.dispatch.do, credentials
        )
        self.url = ""
        """Where HTTP is served, once started."""
        self._tasks: list[asyncio.Task[Any]] = []
        self._brief: set[asyncio.Task[None]] = set()
        self._server: Any = None
        self._subscribe()

    async def __aenter__(self) -> "Companion":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, *, http: bool = True) -> None:
        """Open the store, begin to connect to the broker, serve HTTP. Returns when HTTP is
        served; ``link.connected`` tells of the broker, which may come later. Raises OSError when
        the HTTP port is taken."""
        if self.store is not None:
            await self.store.open()
        await self.router.open()
        if http:
            await self._serve_http()
        self._begin(self.energy.start())
        self._begin(_warm(self.router.backends, self.config.router))
        self._tasks.append(asyncio.create_task(self.link.run()))

    async def stop(self) -> None:
        """Stop taking asks, tell who waits, write the rows, close everything."""
        await self.updates.aclose()
        await self.settings.aclose()
        self.dispatch.close()
        await self.turns.aclose()
        await self.link.close()
        if self._server is not None:
            self._server.should_exit = True
        for task in self._brief:
            task.cancel()
        for task in (*self._tasks, *self._brief):
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await asyncio.wait_for(task, STOP_S)
        self._tasks.clear()
        await self.router.aclose()
        await self.tokens.settle()
        await asyncio.to_thread(self.tracer.close)
        if self.store is not None:
            await self.store.aclose()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Something that ends by itself, and that nothing waits for."""
        task = asyncio.create_task(work)
        self._brief.add(task)
        task.add_done_callback(self._brief.discard)

    def problems(self) -> list[str]:
        """What is wrong besides the broker, for an operator to act on."""
        store = "" if self.store is None else self.store.problem
        found = (store, self.config_problem(), *self.router.problems)
        return [problem for problem in found if problem]

    def apply(self, old: Config, new: Config) -> list[str]:
        """Go on with another configuration. Returns what of it was not taken over."""
        # In any case, since what a key's file holds may have changed.
        backends = self._roster.of(new, date.today())
        self.router.replace(
            backends,
            new.router,
            groups=new.groups,
            slots=Budgets(new.caps, new.groups, new.timezone).slots,
            minutes=minutes_in(new.timezone),
        )
        self.config = new
        self.turns.local_time = Calendar(new.timezone).clock
        if self.store is not None and new.store is not None:
            self.store.keep_days = new.store.keep_days
        self.turns.concurrent_max = new.limits.concurrent_asks
        self._begin(_warm(backends, new.router))
        return []

    def _measure(self) -> None:
        """What is read when somebody scrapes the metrics."""
        gauge, store = self.metrics.gauge, self.store
        gauge("open_asks", "Asks that wait for a model.", lambda: self.turns.running)
        gauge(
            "devices_online", "Devices that are there.", lambda: sum(d.online for d in self.fleet)
        )
        gauge("broker_connected", "1 while the broker is.", lambda: self.link.connected.is_set())
        gauge(
            "breaker_open",
            "1 while a backend is left alone.",
            lambda: {(c.card.name,): bool(c.unfit) for c in self.router.snapshot().candidates},
            labels=("backend",),
        )
        gauge(
            "expected_seconds",
            "The 95th percentile of a backend's answers, as the router expects it.",
            lambda: {(c.card.name,): c.p95_ms / 1000 for c in self.router.snapshot().candidates},
            labels=("backend",),
        )
        if store is not None:
            gauge("store_ok", "1 while the database can be written.", lambda: not store.problem)
            gauge("store_rows_waiting", "Answers not written yet.", lambda: store.waiting)
            gauge("store_rows_dropped", "Answers that never will be.", lambda: store.dropped)
            BudgetGauges(
                lambda: self.config, lambda: [d.id for d in self.fleet], store.ledger.counted
            ).into(self.metrics)

    def _record(self, row: Row) -> None:
        self.metrics.record(row)
        log_answer(row)
        if self.store is not None:
            self.store.add(row)

    # -- messages

    def _subscribe(self) -> None:
        # The asks first: the others bring a burst of retained messages.
        self.link.subscribe(wire.ASK_FILTER, self._on_ask)
        for kind in wire.PLAIN_KINDS:
            self.link.subscribe(f"gn/+/up/{kind}", getattr(self, f"_on_{kind}"))
        self.link.subscribe("gn/+/up/tools/+", self._on_tools)

    def _on_ask(self, topic: str, payload: bytes, retained: bool) -> None:
        # Both ends of gn/<device>/up/ask are known; the broker's rules keep a device to itself.
        device = topic[3:-7]
        if not retained and wire.is_device(device):
            self.turns.on_ask(device, payload, len(topic))

    def _on_cancel(self, topic: str, payload: bytes, retained: bool) -> None:
        device = _device(topic)
        if device is not None and not retained:
            self.turns.on_cancel(device, payload)

    def _on_status(self, topic: str, payload: bytes, retained: bool) -> None:
        self._learn(topic, payload, self.fleet.on_status)

    def _on_tools(self, topic: str, payload: bytes, retained: bool) -> None:
        self._learn(topic, payload, self.fleet.on_tools)

    def _on_state(self, topic: str, payload: bytes, retained: bool) -> None:
        self._learn(topic, payload, self.fleet.on_state)

    def _learn(self, topic: str, payload: bytes, learn: Callable[[str, bytes], None]) -> None:
        device = _device(topic)
        if device is None:
            return
        try:
            learn(device, payload)
        except wire.WireError as error:
            log.warning("%s cannot be used: %s: %s", topic, error.code, error.msg)

    def _on_reply(self, topic: str, payload: bytes, retained: bool) -> None:
        device = _device(topic)
        # Nobody waits and no model wants the conversation: nothing to read it for.
        if device is None or not (self.dispatch.waiting or self.router.needs_context):
            return
        try:
            reply = wire.parse(wire.Reply, payload)
        except wire.WireError as error:
            log.warning("%s cannot be used: %s: %s", topic, error.code, error.msg)
            return
        if self.router.needs_context:
            self.contexts.replied(device, reply.id, reply.calls, reply.text, len(payload))
        self.dispatch.on_result(device, reply, len(topic) + len(payload))

    def _on_done(self, topic: str, payload: bytes, retained: bool) -> None:
        device = _device(topic)
        if device is None or not self.dispatch.waiting:
            return
        try:
            done = wire.parse(wire.Done, payload)
        except wire.WireError as error:
            log.warning("%s cannot be used: %s: %s", topic, error.code, error.msg)
            return
        self.dispatch.on_result(device, done, len(topic) + len(payload))

    def _on_update(self, topic: str, payload: bytes, retained: bool) -> None:
        device = _device(topic)
        if device is None or retained:
            return
        try:
            message = wire.parse(wire.Update, payload)
        except wire.WireError as error:
            log.warning("%s cannot be used: %s: %s", topic, error.code, error.msg)
            return
        self.updates.on_update(device, message, len(topic) + len(payload))

    def _on_event(self, topic: str, payload: bytes, retained: bool) -> None:
        device = _device(topic)
        if device is None:
            return
        try:
            event = wire.parse(wire.Event, payload)
        except wire.WireError as error:
            log.warning("%s cannot be used: %s: %s", topic, error.code, error.msg)
            return
        if event.kind == "update":
            self.updates.on_event(device, event.model_extra or {})
        elif event.kind == "settings":
            self.settings.on_event(device, event.model_extra or {})
        level = logging.INFO if event.kind in ("boot", "update", "settings") else logging.WARNING
        # As JSON, so that nothing a device sends begins a new line or paints the terminal.
        told = [json.dumps(event.kind)[1:-1]]
        for key, value in (event.model_extra or {}).items():
            told.append(f"{json.dumps(key)[1:-1]}={json.dumps(value)}")
        log.log(level, "%s: %.400s", device, " ".join(told))

    # -- HTTP

    async def _serve_http(self) -> None:
        import uvicorn

        from companion.web.app import create_app

        host, port = self.config.http.host, self.config.http.port
        sock = _listen(host, port)
        port = sock.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(self),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_keep_alive=75,
                timeout_graceful_shutdown=2,
                h11_max_incomplete_event_size=16_384,
            )
        )
        # The process's signals belong to whoever runs it, not to its web server.
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._server = server
        self._tasks.append(asyncio.create_task(server.serve(sockets=[sock])))
        # The socket listens already, so a request that comes first only waits a moment.


def _link(config: Config) -> PahoLink:
    broker = config.broker
    try:
        return PahoLink(broker.url, ca=broker.ca, client_id=broker.client_id)
    except OSError as error:
        raise ConfigError(f"broker.ca: {broker.ca} cannot be used: {error}") from None


async def _warm(backends: Sequence[Backend], config: RouterConfig) -> None:
    """Open connections and models before the first person waits for them. Where everything is
    private nothing is connected to outside the house, not even without a word."""
    policies = (config.policy, *(rule.policy or config.policy for rule in config.rules))
    private = all(policy == "private" for policy in policies)
    for backend in backends:
        if isinstance(backend, WarmBackend) and (backend.card.local or not private):
            with contextlib.suppress(BackendError):
                await backend.warm()


def _device(topic: str) -> str | None:
    up = wire.split_up(topic)
    return None if up is None else up[0]


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(128)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        why = error.strerror or str(error)
        raise OSError(
            error.errno, f"HTTP cannot be served on {host}:{port}: {why}; set another [http] port"
        ) from None
    return sock


def run(main: Coroutine[Any, Any, None]) -> None:
    """``asyncio.run`` on uvloop where there is one; for a process that is a companion and
    nothing else."""

    async def settled() -> None:
        # What the start has made stays for good. Out of the collector's sight, it no longer
        # costs each full collection tens of milliseconds in the middle of somebody's turn.
        asyncio.get_running_loop().call_later(_SETTLE_S, _freeze)
        await main

    if sys.platform == "win32":
        asyncio.run(settled())
        return
    import uvloop

    uvloop.run(settled())


def _freeze() -> None:
    gc.collect()
    gc.freeze()
