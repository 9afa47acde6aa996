"""The MQTT link: one task owns the socket, reads it and reacts; `publish` only queues and writes.

What the outside sees: `publish()`, `connected`, `beat` (grows while the link turns); what it calls
is `agent.handle(leaf, payload view or None)`, `agent.on_up()`, `agent.will()`, and, where someone
has set it, `on_event(name, payload view or None, packet id, sent before)`.

How a session can end, and what follows:
- the broker closes, resets, or breaks the protocol  -> back-off, connect again
- nothing heard for one and a half keep-alives, or a PUBACK overdue (a dead path that TCP has
  not noticed)                                        -> the keeper cancels the session
- CONNACK refuses (wrong secret)                     -> the longest back-off: it will not mend soon
- Wi-Fi is gone                                       -> joined again first
QoS 1 messages not yet acknowledged outlive the session and are sent again with DUP.
"""

import asyncio
import random
import time
from asyncio import core

from micropython import const

from . import lazy, mqtt

_KEEPALIVE_S = const(30)
_MAX_PAYLOAD_BYTES = const(4096)
_MAX_PENDING = const(24)
_MAX_PENDING_BYTES = const(8192)
_STREAM_PIECE = const(400)

_LATEST = ("status", "ask")

_CONNECT_MS = const(10000)
_ACK_MS = const(10000)
_BACKOFF_FIRST_MS = const(500)
_BACKOFF_MAX_MS = const(30000)
_STABLE_MS = const(10000)
_TICK_MS = const(200)
_RESOLVE_AGAIN_AFTER = const(3)


class LinkError(Exception):
    """Why a session ended, in words for the log."""


def _refusal(e):
    """What a TLS handshake says of a certificate: a line for each thing that is wrong with it."""
    return "TLS: " + "; ".join(str(e).strip().split("\n"))


def _readable(sock):
    yield core._io_queue.queue_read(sock)


class Link:
    def __init__(self, config, wlan, log):
        """`config` has device, secret, host, port, wifi (ssid, password) and, for TLS, ca (a DER
        file's path)."""
        self._config = config
        self._wlan = wlan
        self._log = log
        self.agent = None  # before `run`: who has `handle`, `on_up` and `will`
        self._prefix = "gn/" + config["device"]
        self._decoder = None
        self._sock = None
        self._raw = None
        self._task = None
        self._why = None
        self._address = None
        self._failures = 0
        self._pid = 0
        self._pending = []  # [packet id, packet, ticks when written or None, leaf], oldest first
        self._pending_bytes = 0
        self._out = b""  # the rest of a write that the socket did not take
        self._rx = self._tx = self._ping = 0
        self._backoff = _BACKOFF_FIRST_MS
        self._refused = False
        self.on_ack = None  # called with the packet id when the broker has an event
        self.on_event = None  # set by who wants what comes below down/event/
        self.connected = False
        self.problem = "not connected yet"
        self.sessions = 0
        self.beat = 0

    # ---- outgoing

    def publish(self, leaf, payload, retain=False):
        """Queue `gn/<device>/up/<leaf>` at QoS 1: its packet id, or False when the bound is
        reached: not sent.

        `payload` is as `mqtt.size` takes it, 4096 bytes at most in all. On the topics of
        _LATEST the newest message is the one that counts: it takes the place of one that still
        waits, and is refused only when it is too long.
        """
        if mqtt.size(payload) > _MAX_PAYLOAD_BYTES:
            return False
        latest = leaf in _LATEST
        if latest:
            for at in range(len(self._pending)):
                if self._pending[at][3] == leaf:
                    self._pending_bytes -= len(self._pending.pop(at)[1])
                    break
        pid = self._next_pid()
        packet = mqtt.publish("%s/up/%s" % (self._prefix, leaf), payload, pid, retain)
        if not latest and (
            len(self._pending) >= _MAX_PENDING
            or self._pending_bytes + len(packet) > _MAX_PENDING_BYTES
        ):
            return False
        entry = [pid, packet, None, leaf]
        self._pending.append(entry)
        self._pending_bytes += len(packet)
        if self.connected:
            self._write_entry(entry)
        return pid

    def stream(self, leaf, chunks, retain=False):
        """Publish what `chunks()` yields (str) without ever holding it whole.

        For what is sent anew in each session: it is not kept, and so not sent again. `chunks` is
        called twice, for the length and for the text. False when there is no session.
        """
        if not self.connected:
            return False
        length = 0
        for chunk in chunks():
            length += len(chunk.encode())
        out = mqtt.publish_head("%s/up/%s" % (self._prefix, leaf), length, self._next_pid(), retain)
        for chunk in chunks():
            out.extend(chunk.encode())
            if len(out) > _STREAM_PIECE:
                self._write(out)
                out = bytearray()
        if out:
            self._write(out)
        return True

    def drained(self):
        """Whether the socket has taken all that was written."""
        return not self._out

    def idle(self):
        """Whether the broker has acknowledged all that was published."""
        return not (self._pending or self._out)

    def room(self):
        """True while an event may be queued without crowding out a reply."""
        return len(self._pending) < _MAX_PENDING - 8

    def _next_pid(self):
        while True:
            self._pid = self._pid % 65535 + 1
            if not any(entry[0] == self._pid for entry in self._pending):
                return self._pid

    def _write_entry(self, entry):
        self._write(entry[1])
        entry[2] = time.ticks_ms()
        mqtt.set_dup(entry[1])  # whoever sends it next sends it again

    def _write(self, data):
        """One write a packet; what the socket does not take waits in `_out`."""
        self._tx = time.ticks_ms()
        if self._out:
            self._out += data
            return
        try:
            n = self._sock.write(data)
        except OSError as e:
            self._kill("write failed: %s" % e)
            return
        except ValueError as e:
            self._kill(_refusal(e))
            return
        n = n or 0
        if n < len(data):
            self._out = bytes(memoryview(data)[n:])

    def _flush(self):
        if not self._out:
            return
        try:
            n = self._sock.write(self._out)
        except OSError as e:
            self._kill("write failed: %s" % e)
            return
        except ValueError as e:
            self._kill(_refusal(e))
            return
        if n:
            self._out = self._out[n:]

    # ---- the session

    async def run(self):
        """For ever: Wi-Fi, session, back-off."""
        while True:
            self.beat += 1
            try:
                problem = await self._join()
                if problem:
                    self.problem = problem
                else:
                    await self._session()
            except (OSError, LinkError, mqtt.MQTTError, MemoryError) as e:
                self.problem = "broker %s:%s: %s" % (
                    self._config["host"],
                    self._config["port"],
                    e,
                )
            self._log(self.problem)
            wait = self._backoff * 3 // 4 + random.getrandbits(15) * (self._backoff // 2) // 32768
            self._backoff = min(self._backoff * 2, _BACKOFF_MAX_MS)
            while wait > 0:
                self.beat += 1
                await asyncio.sleep_ms(min(wait, 1000))
                wait = min(wait - 1000, self._backoff)

    async def _join(self):
        if self._wlan.isconnected():
            return ""
        wifi = self._config.get("wifi") or {}
        try:
            module = lazy.load("wifi")
            return await module.join(self._wlan, wifi.get("ssid", ""), wifi.get("password", ""))
        finally:
            lazy.drop("wifi")

    async def _session(self):
        self._task = asyncio.create_task(self._talk())
        self._why = None
        began = time.ticks_ms()
        before = self.sessions
        keeper = asyncio.create_task(self._keep(began))
        try:
            await self._task
        except asyncio.CancelledError:
            raise LinkError(self._why or "canceled") from None
        finally:
            keeper.cancel()
            if self.sessions == before:
                self._failures += 1
            elif time.ticks_diff(time.ticks_ms(), began) > _STABLE_MS:
                self._backoff = _BACKOFF_FIRST_MS
            if self._refused:
                self._backoff = _BACKOFF_MAX_MS
            self.connected = False
            lazy.drop("mqtt_open")
            self._close()

    def _kill(self, why):
        """End the session from outside its task."""
        if self._why is None:
            self._why = why
            self.connected = False
            if self._task is not core.cur_task:
                self._task.cancel()

    def _close(self):
        self._out = b""
        self._decoder = None
        for sock in (self._sock, self._raw):
            if sock is not None:
                try:
                    sock.close()
                except OSError:
                    pass
        self._sock = self._raw = None

    async def _open(self):
        try:
            dial = lazy.load("dial")
            # Resolving blocks for seconds when DNS is slow, so the address is kept; but not for
            # ever, or a broker that moved would never be found again.
            if self._address is None or self._failures >= _RESOLVE_AGAIN_AFTER:
                self._address = dial.resolve(self._config)
                self._failures = 0
            self._sock, self._raw = await dial.dial(self._config, self._address)
        finally:
            lazy.drop("dial")

    async def _talk(self):
        await self._open()
        config = self._config
        decoder = self._decoder = mqtt.Decoder(_MAX_PAYLOAD_BYTES)
        self._rx = self._tx = time.ticks_ms()
        self._ping = 0
        self._refused = False
        will = self.agent.will()
        self._write(
            lazy.load("mqtt_open").connect(
                config["device"],
                config["device"],
                config["secret"],
                _KEEPALIVE_S,
                self._prefix + "/up/status",
                will,
            )
        )
        sock = self._sock
        while True:
            if self._why:
                raise LinkError(self._why)
            space = decoder.space()
            try:
                n = sock.readinto(space)
            except ValueError as e:
                raise LinkError(_refusal(e)) from None
            if n is None:
                self.beat += 1
                await _readable(sock)
                continue
            if n == 0:
                raise LinkError("the broker closed the connection")
            self._rx = time.ticks_ms()
            decoder.filled(n)
            while True:
                packet = decoder.next()
                if packet is None:
                    break
                self._handle(packet)
            # A flood of messages must not starve the agent.
            await asyncio.sleep_ms(0)

    def _handle(self, packet):
        kind, flags, body, whole = packet
        if kind == mqtt.PUBLISH:
            topic, pid, payload = mqtt.parse_publish(flags, body)
            # Retained commands are never ours: someone's mistake must not come again at each boot.
            if topic and (not flags & 1 or topic[-7:] == "/config"):
                leaf = topic[topic.find("/down/") + 6 :]
                if not whole:
                    payload = None
                if leaf[:6] != "event/":
                    self.agent.handle(leaf, payload)
                elif self.on_event:
                    self.on_event(leaf[6:], payload, pid, flags & 8)
            # Acknowledged once handled: what was lost on the way comes again, and the ids sort out
            # what comes twice.
            if pid and self._sock is not None:
                self._write(mqtt.puback(pid))
        elif kind == mqtt.PUBACK:
            pid = mqtt.parse_pid(body)
            for at in range(len(self._pending)):
                if self._pending[at][0] == pid:
                    entry = self._pending.pop(at)
                    self._pending_bytes -= len(entry[1])
                    if entry[3] == "event" and self.on_ack:
                        self.on_ack(pid)
                    break
        elif kind == mqtt.PINGRESP:
            self._ping = 0
        elif kind == mqtt.CONNACK:
            opening = lazy.load("mqtt_open")
            packet, why, self._refused = opening.accepted(body, self._next_pid(), self._prefix)
            if why:
                raise LinkError(why)
            self._write(packet)
        elif kind == mqtt.SUBACK:
            lazy.load("mqtt_open").subscribed(body, self._log)
            lazy.drop("mqtt_open")
            self._up()

    def _up(self):
        self.connected = True
        self.problem = ""
        self.sessions += 1
        self._failures = 0
        # What an earlier session could not deliver, in order, before anything new.
        for entry in self._pending:
            self._write_entry(entry)
        self.agent.on_up()

    async def _keep(self, began):
        """The session's deadlines; outside the read, which may wait for ever."""
        while True:
            # A TLS handshake goes on only when somebody writes.
            await asyncio.sleep_ms(_TICK_MS if self.connected and not self._out else 5)
            self.beat += 1
            now = time.ticks_ms()
            if self._sock is None or not self.connected:
                if time.ticks_diff(now, began) > _CONNECT_MS:
                    self._kill("no connection after %d s" % (_CONNECT_MS // 1000))
                self._flush_if_open()
                continue
            self._flush()
            if not self._wlan.isconnected():
                self._kill("Wi-Fi is gone")
            elif self._ping and time.ticks_diff(now, self._ping) > _ACK_MS:
                self._kill("no answer to a ping")
            elif self._overdue(now):
                self._kill("no acknowledgement after %d s" % (_ACK_MS // 1000))
            elif not self._ping and (
                time.ticks_diff(now, self._tx) > _KEEPALIVE_S * 500
                or time.ticks_diff(now, self._rx) > _KEEPALIVE_S * 500
            ):
                self._ping = now or 1
                self._write(mqtt.PINGREQ_PACKET)

    def _flush_if_open(self):
        if self._sock is not None:
            self._flush()

    def _overdue(self, now):
        for entry in self._pending:
            if entry[2] is not None and time.ticks_diff(now, entry[2]) > _ACK_MS:
                return True
        return False

    def join(self):
        """Wi-Fi is another from now on: leave the one that is joined, and do not wait."""
        self._backoff = _BACKOFF_FIRST_MS
        self._wlan.disconnect()

    def close(self):
        """Say goodbye, so that the will is not sent. The caller resets the chip next."""
        if self.connected:
            self._write(mqtt.DISCONNECT_PACKET)
