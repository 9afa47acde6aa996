"""What a board says at the broker, with the moment it came; and commands to it."""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tools.problem import Problem

_CONNECT_S: Final = 10.0
_AGAIN_S: Final = 2.0
"""As the companion does: the same id again, until there is an answer."""
_LIFE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Heard:
    """A message from the board. ``at_s`` is of `time.monotonic`; ``leaf`` what follows
    `gn/<device>/up/`; ``size`` is bytes."""

    at_s: float
    leaf: str
    body: dict[str, Any]
    size: int


class Wire:
    """A service's login at the broker's loopback listener, ear and mouth of the tests."""

    def __init__(self, device: str, port: int, user: str, secret: str) -> None:
        self.device = device
        self.heard: list[Heard] = []
        self._came = threading.Condition()
        self._n = 0
        self._run = secrets.token_hex(4)  # ids of another run must not be taken for ours
        subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, user)
        self._client.username_pw_set(user, secret)
        # paho says int, and waits for fractions all the same.
        self._client.reconnect_delay_set(0.1, 0.5)  # type: ignore[arg-type]
        self._client.on_connect = lambda c, *_: c.subscribe(f"gn/{device}/up/#", 1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_socket_open = lambda _c, _u, sock: _no_delay(sock)
        self._client.on_message = lambda _c, _u, message: self._take(message)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not subscribed.wait(_CONNECT_S):
            self.close()
            raise Problem(f"the bench's own broker at port {port} does not answer")

    def _take(self, message: mqtt.MQTTMessage) -> None:
        at_s = time.monotonic()
        try:
            body = json.loads(message.payload)
        except ValueError:
            return  # an emptied retained message
        if isinstance(body, dict):
            with self._came:
                leaf = message.topic.split("/", 3)[3]
                self.heard.append(Heard(at_s, leaf, body, len(message.payload)))
                self._came.notify_all()

    def of(self, leaf: str, since_s: float = 0.0, **want: Any) -> list[Heard]:
        """What came on ``leaf`` since then with these fields, oldest first."""
        with self._came:
            return self._of(leaf, since_s, want)

    def _of(self, leaf: str, since_s: float, want: dict[str, Any]) -> list[Heard]:
        return [
            h
            for h in self.heard
            if h.leaf == leaf
            and h.at_s >= since_s
            and all(h.body.get(key) == value for key, value in want.items())
        ]

    def wait(self, leaf: str, seconds: float, since_s: float = 0.0, **want: Any) -> Heard:
        """The first of these, as soon as it is there. TimeoutError says what did not come."""
        until = time.monotonic() + seconds
        with self._came:
            while not (found := self._of(leaf, since_s, want)):
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no {leaf} with {want} within {seconds:g} s")
                self._came.wait(left)
            return found[0]

    def forget(self, before_s: float) -> None:
        """What came before then is not needed any more: but for statuses and boots, which a test's
        record is made of, and the newest on each other topic."""
        with self._came:
            newest = {h.leaf: h for h in self.heard}.values()
            self.heard = [
                h
                for h in self.heard
                if h.at_s >= before_s
                or h.leaf == "status"
                or h.body.get("kind") == "boot"
                or any(h is one for one in newest)
            ]

    def send(self, leaf: str, body: dict[str, Any] | bytes) -> None:
        """To `gn/<device>/down/<leaf>`, QoS 1; waits for the broker's word that it has it."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._client.publish(f"gn/{self.device}/down/{leaf}", payload, 1).wait_for_publish(10)

    def command(self, boot: int, **fields: Any) -> dict[str, Any]:
        """A say or a do, with an id that was not used before."""
        self._n += 1
        id_ = f"{self._run}-{self._n}"
        return {"id": id_, "boot": boot, "exp": int(time.time()) + _LIFE_S, **fields}

    def exchange(self, leaf: str, back: str, body: dict[str, Any], seconds: float) -> Heard:
        """Send, again every 2 s with the same id, until ``back`` has it. TimeoutError."""
        until = time.monotonic() + seconds
        while True:
            self.send(leaf, body)
            try:
                left = max(until - time.monotonic(), 0.0)
                return self.wait(back, min(_AGAIN_S, left), id=body["id"])
            except TimeoutError:
                if time.monotonic() >= until:
                    raise TimeoutError(f"no {back} to {body} within {seconds:g} s") from None

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _no_delay(sock: Any) -> None:
    # paho leaves Nagle's algorithm on: 40 ms a message.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
