"""``Link`` over paho-mqtt, driven from asyncio.

MQTT 5 with clean start and no session expiry (a session kept for a dead companion swallows its
share of new asks), QoS 1, and connecting again for ever with a jittered back-off. No thread
handles messages: paho's ``loop_read``, ``loop_write`` and ``loop_misc`` run from the loop's own
readers, writers and timers. Only connecting (DNS, TCP, TLS) borrows a thread, because paho
blocks there.
"""

import asyncio
import contextlib
import logging
import random
import secrets
import socket
import ssl
import time
from collections import deque
from pathlib import Path
from typing import Any, cast

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from companion.link.base import BrokerUrl, Handler, LinkFull
from companion.link.buffer import BufferedSocket

log = logging.getLogger(__name__)

KEEPALIVE_S = 20
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
OUTSTANDING_MAX = 1000
"""Publishes sent and not yet acknowledged. A broker may allow fewer (Receive Maximum)."""
QUEUE_MAX = 1000
"""Publishes that wait for the broker, 4 KiB at most each."""
RECEIVE_MAXIMUM = 1000
_READS_A_TURN = 64
_ROUTES_MAX = 20_000
_MAX_PACKET_BYTES = 64 * 1024


class _Client(paho.Client):
    """paho's client on a buffered socket: paho reads a packet in three or more system calls and
    writes each in one of its own; a buffer either way makes it one for all that is there."""

    def _create_socket(self) -> Any:
        return BufferedSocket(cast(socket.socket, super()._create_socket()))


class PahoLink:
    """``Link`` over paho-mqtt. One per broker; made and used on one event loop."""

    def __init__(self, url: str, *, ca: Path | None = None, client_id: str | None = None) -> None:
        """``ca``: a PEM file to trust instead of the system's authorities. ``client_id``: where
        the broker pins it; otherwise random, so that two companions never share one.

        Raises ValueError for a bad URL and OSError for a CA file that cannot be read.
        """
        self.url = BrokerUrl.parse(url)
        self.connected = asyncio.Event()
        self.problem = "not connected yet"
        self._handlers: list[tuple[str, Handler]] = []
        self._routes: dict[str, Handler | None] = {}
        self._waiting: deque[tuple[str, bytes, int, bool]] = deque()
        self._outstanding = 0
        self._window = OUTSTANDING_MAX
        self._ungranted: set[int] = set()
        self._session = False
        self._reading = False
        self._flush_due = False
        self._closed = asyncio.Event()
        self._refused = ""
        self._sock: BufferedSocket | None = None
        self._lost = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or f"companion-{secrets.token_hex(4)}",
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        if self.url.user is not None:
            client.username_pw_set(self.url.user, self.url.password)
        if self.url.tls:
            client.tls_set_context(ssl.create_default_context(cafile=ca))
        # The window is ours (paho knows no Receive Maximum, and with a bound of its own walks
        # through all messages at each acknowledgement), so is the queue (paho's, when full,
        # drops the newest in silence).
        client.max_inflight_messages_set(0)
        client.connect_timeout = 5.0
        client.suppress_exceptions = True
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = _MAX_PACKET_BYTES
        client.connect_async(
            self.url.host,
            self.url.port,
            keepalive=KEEPALIVE_S,
            clean_start=True,
            properties=properties,
        )
        self._client = client

    # -- what the companion calls

    def subscribe(self, topic_filter: str, handler: Handler) -> None:
        self._handlers.append((topic_filter, handler))
        self._routes.clear()
        if self._session:
            self._send_subscribe([topic_filter])

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        if self._session and self._outstanding < self._window and not self._waiting:
            self._send(topic, payload, qos, retain)
            return
        if len(self._waiting) >= QUEUE_MAX:
            raise LinkFull(
                f"{QUEUE_MAX} messages wait for the broker at {self.url!r} already"
                + (f" ({self.problem})" if self.problem else "")
            )
        self._waiting.append((topic, payload, qos, retain))

    async def run(self) -> None:
        self._loop = asyncio.get_running_loop()
        backoff_s = BACKOFF_FIRST_S
        misc = self._loop.create_task(self._misc())
        try:
            while not self._closed.is_set():
                self._lost.clear()
                self._refused = ""
                try:
                    await self._open()
                    await self._lost.wait()
                except OSError as error:
                    self.problem = f"no connection to the broker at {self.url!r}: {_why(error)}"
                    log.warning("%s", self.problem)
                if self._closed.is_set():
                    break
                if self._outlived_backoff():
                    backoff_s = BACKOFF_FIRST_S
                # Jitter downwards: a house of companions must not come back in step.
                with contextlib.suppress(TimeoutError):
                    pause_s = backoff_s * random.uniform(0.5, 1.0)
                    await asyncio.wait_for(self._closed.wait(), pause_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
        finally:
            misc.cancel()
            self._detach()

    async def close(self) -> None:
        self._closed.set()
        if self._client.is_connected():
            with contextlib.suppress(Exception):
                self._client.disconnect()
                self._client.loop_write()
        self._detach()
        self._lost.set()

    # -- the connection

    async def _open(self) -> None:
        assert self._loop is not None
        self._session_since = 0.0
        rc = await self._loop.run_in_executor(None, self._client.reconnect)
        if rc != MQTTErrorCode.MQTT_ERR_SUCCESS or self._sock is None:
            raise ConnectionError(paho.error_string(rc))
        self._loop.add_reader(self._sock.fileno(), self._on_readable)
        self._flush()

    def _outlived_backoff(self) -> bool:
        return self._session_since > 0 and time.monotonic() - self._session_since > BACKOFF_FIRST_S

    async def _misc(self) -> None:
        while True:
            await asyncio.sleep(1)
            if self._sock is not None:
                try:
                    self._client.loop_misc()
                except Exception:
                    log.exception("keep-alive failed")

    def _detach(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None and self._loop is not None:
            fd = sock.fileno()
            if fd >= 0:
                self._loop.remove_reader(fd)
                self._loop.remove_writer(fd)
        self._session = False
        self.connected.clear()

    def _on_readable(self) -> None:
        self._reading = True
        client = self._client
        try:
            sock = self._sock
            if sock is None:
                return
            sock.readable()
            for _ in range(_READS_A_TURN):
                client.loop_read()
                if self._sock is None or not sock.pending():
                    break
            else:
                # Others want the loop too; what is buffered raises no further event.
                assert self._loop is not None
                self._loop.call_soon(self._on_readable)
        except Exception:
            log.exception("reading from the broker failed")
            self._drop()
        finally:
            self._reading = False
        self._flush()

    def _flush(self) -> None:
        self._flush_due = False
        sock = self._sock
        if sock is None:
            return
        try:
            self._client.loop_write()
            if self._sock is None:
                return
            drained = sock.flush()
        except OSError:
            self._drop()
            return
        assert self._loop is not None
        if drained and sock.writer_on:
            sock.writer_on = False
            self._loop.remove_writer(sock.fileno())
        elif not drained and not sock.writer_on:
            sock.writer_on = True
            self._loop.add_writer(sock.fileno(), self._flush)

    def _drop(self) -> None:
        """Let paho find the connection broken, so that it cleans up and calls back."""
        if self._sock is not None:
            self._sock.broken = True
            with contextlib.suppress(Exception):
                self._client.loop_read()

    def _send(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        if qos:
            self._outstanding += 1
        self._client.publish(topic, payload, qos, retain)

    def _send_subscribe(self, filters: list[str]) -> None:
        options = SubscribeOptions(qos=1)
        rc, mid = self._client.subscribe([(f, options) for f in filters])
        if rc == MQTTErrorCode.MQTT_ERR_SUCCESS and mid is not None:
            self._ungranted.add(mid)
            self.connected.clear()

    def _send_waiting(self) -> None:
        while self._waiting and self._session and self._outstanding < self._window:
            self._send(*self._waiting.popleft())

    # -- what paho calls. It swallows what these raise, so each looks after itself.

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        # In the connecting thread. paho leaves Nagle on: 44 ms a round trip.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock

    def _on_socket_close(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        self._detach()

    def _on_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        # paho calls this once until loop_write has run. While reading, the flush follows anyway.
        if not self._reading and not self._flush_due and self._loop is not None:
            self._flush_due = True
            self._loop.call_soon_threadsafe(self._flush)

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: Any,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            return
        self._session = True
        self._session_since = time.monotonic()
        self._window = min(getattr(properties, "ReceiveMaximum", 65535), OUTSTANDING_MAX)
        self._ungranted.clear()
        if self._handlers:
            self._send_subscribe([f for f, _ in self._handlers])
        else:
            self._granted()
        # paho sends again what was not acknowledged; then comes what waited here.
        self._send_waiting()

    def _granted(self) -> None:
        self.problem = ""
        self.connected.set()
        log.info("connected to the broker at %r", self.url)

    def _on_subscribe(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        self._ungranted.discard(mid)
        refused = [r for r in reasons if r.is_failure]
        if refused:
            self.problem = f"the broker at {self.url!r} refuses a subscription: {refused[0]}"
            log.error("%s", self.problem)
        elif not self._ungranted:
            self._granted()

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, reason: ReasonCode, properties: Any
    ) -> None:
        self._outstanding -= 1
        if reason.is_failure:
            log.warning("the broker refuses a message of this companion: %s", reason)
        if self._waiting:
            self._send_waiting()

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: Any,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._detach()
        if not self._closed.is_set():
            self.problem = (
                f"the broker at {self.url!r} refuses this companion: {self._refused}; "
                "check the user and the password in its URL"
                if self._refused
                else f"the connection to the broker at {self.url!r} was lost: {reason}"
            )
            log.warning("%s", self.problem)
        self._lost.set()

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
            try:
                handler = self._routes[topic]
            except KeyError:
                handler = self._route(topic)
            if handler is not None:
                handler(topic, bytes(message.payload), message.retain)
        except Exception:
            log.exception("handling a message failed")

    def _route(self, topic: str) -> Handler | None:
        found = None
        for topic_filter, handler in self._handlers:
            if topic_filter.startswith("$share/"):
                topic_filter = topic_filter.split("/", 2)[2]
            if paho.topic_matches_sub(topic_filter, topic):
                found = handler
                break
        if len(self._routes) >= _ROUTES_MAX:
            self._routes.clear()
        self._routes[topic] = found
        return found


def _why(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, socket.gaierror):
        return "the name is not known"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    return error.strerror or str(error)
