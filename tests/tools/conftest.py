"""What the tests of the tools share: a real mosquitto, and a plain MQTT client."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from tests.tools.system import Device, Serving, row_of, wait_for
from tools import runtime
from tools.broker import EmbeddedBroker


@pytest.fixture(scope="session")
def mosquitto() -> list[str]:
    return runtime.mosquitto()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A state folder. pytest's own is closed to others, and the broker runs as another user."""
    ours = [p for p in tmp_path.parents if p.name.startswith(("pytest-", "popen-"))]
    for folder in (tmp_path, *ours):
        folder.chmod(0o711)
    yield tmp_path


@pytest.fixture
def broker(home: Path, mosquitto: list[str]) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(home / "broker", command=mosquitto) as running:
        yield running


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One companion with its broker for all tests that only ask it something."""
    running = Serving(tmp_path_factory.mktemp("serving"))
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def device(serving: Serving) -> Iterator[Device]:
    kitchen = Device(serving, "kitchen")
    wait_for(lambda: row_of(serving, "kitchen").get("points"))
    yield kitchen
    kitchen.close()


class Client:
    """An MQTT 3.1.1 client that keeps what it hears, and reconnects after 0.1 s like a device."""

    def __init__(
        self,
        broker: EmbeddedBroker,
        user: str,
        secret: str,
        client_id: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """At the loopback listener, or with ``tls`` at that for boards."""
        self.connects: queue.Queue[int] = queue.Queue()
        self.losses: queue.Queue[int] = queue.Queue()
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._acks: queue.Queue[int] = queue.Queue()
        self.mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=client_id or user, clean_session=True
        )
        if user:
            self.mqtt.username_pw_set(user, secret)
        self.mqtt.reconnect_delay_set(0.1, 0.2)
        self.mqtt.on_connect = lambda *a: self.connects.put(a[3].value)
        self.mqtt.on_disconnect = lambda *a: self.losses.put(a[3].value)
        self.mqtt.on_message = lambda *a: self.heard.put((a[2].topic, a[2].payload))
        self.mqtt.on_subscribe = lambda *a: self._acks.put(a[2])
        port = broker.port
        if tls is not None:
            assert broker.lan is not None
            self.mqtt.tls_set_context(tls)
            port = broker.lan.port
        self.mqtt.connect("localhost" if tls else broker.host, port, keepalive=5)
        self.mqtt.loop_start()

    def hears(self, topic: str) -> Client:
        self.mqtt.subscribe(topic, qos=1)
        self._acks.get(timeout=5)
        return self

    def says(self, topic: str, payload: str, retain: bool = False) -> None:
        self.mqtt.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)

    def next(self, timeout_s: float = 5.0) -> tuple[str, bytes]:
        return self.heard.get(timeout=timeout_s)

    def code(self) -> int:
        """The broker's answer to the next connect: 0 is yes."""
        return self.connects.get(timeout=5)


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(*args: object, **more: object) -> Client:
        made.append(Client(*args, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.mqtt.disconnect()
        one.mqtt.loop_stop()
