"""Who gets what at the embedded broker: on loopback, and at the TLS listener for boards."""

from __future__ import annotations

import contextlib
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.tools.system import ganglion
from tools.broker import EmbeddedBroker
from tools.certificates import Authority
from tools.listeners import Lan
from tools.ports import PortTaken, free_port
from tools.problem import Problem, Usage

REFUSED = 135  # paho's name for CONNACK 5, "not authorized"


@dataclass
class Door:
    """One of the broker's listeners, and how a client comes in there."""

    broker: EmbeddedBroker
    tls: ssl.SSLContext | None
    make: Callable[..., Any]

    def client(self, user: str, secret: str, client_id: str = "") -> Any:
        return self.make(self.broker, user, secret, client_id, self.tls)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("house") / "ca")
    made.make(["localhost"])
    return made


def lan(authority: Authority) -> Lan:
    pem, key = authority.broker_pem.read_text(), authority.broker_key.read_text()
    return Lan(free_port(), pem, key, address="127.0.0.1")


@pytest.fixture
def house(home: Path, mosquitto: list[str], authority: Authority) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(home / "broker", lan=lan(authority), command=mosquitto) as broker:
        yield broker


@pytest.fixture(params=["loopback", "tls"])
def door(
    request: pytest.FixtureRequest,
    house: EmbeddedBroker,
    authority: Authority,
    client: Callable[..., Any],
) -> Door:
    wants_tls = request.param == "tls"
    context = ssl.create_default_context(cafile=authority.ca_pem) if wants_tls else None
    return Door(house, context, client)


# -- who comes in ----------------------------------------------------------------------------


def test_no_credentials_get_nothing(door: Door) -> None:
    door.broker.add("kitchen")
    for user, secret in (("", ""), ("kitchen", ""), ("kitchen", "guess"), ("ghost", "x")):
        assert door.client(user, secret, client_id="kitchen").code() == REFUSED


def test_an_old_secret_gets_nothing(door: Door) -> None:
    old = door.broker.add("kitchen")
    holder = door.client("kitchen", old)
    assert holder.code() == 0
    new = door.broker.add("kitchen")
    holder.losses.get(timeout=5)  # and the session that it had is over
    assert holder.code() == REFUSED
    assert door.client("kitchen", new).code() == 0


def test_another_devices_secret_gets_nothing(door: Door) -> None:
    door.broker.add("kitchen")
    assert door.client("kitchen", door.broker.add("garage")).code() == REFUSED


def test_a_removed_device_gets_nothing(door: Door) -> None:
    secret = door.broker.add("kitchen")
    door.broker.remove("kitchen")
    assert door.client("kitchen", secret).code() == REFUSED


# -- what it may there -----------------------------------------------------------------------


def test_a_device_reads_and_writes_its_own_topics_only(door: Door) -> None:
    mine, other = (door.client(name, door.broker.add(name)) for name in ("mine", "other"))
    service = door.make(door.broker, *door.broker.add_service("companion")).hears("#")
    mine.hears("#").hears("gn/other/#").hears("gn/+/down/do").hears("$SYS/#")
    for topic in ("gn/other/up/reply", "gn/other/up/status", "gn/other/down/do", "gn/mine/down/do",
                  "gn/all/down/event/bell", "elsewhere"):  # fmt: skip
        mine.says(topic, "forged")
        mine.says(topic, "forged", retain=True)
    mine.says("gn/mine/up/reply", "true")
    assert service.next() == ("gn/mine/up/reply", b"true")

    other.says("gn/other/up/reply", "private")
    service.says("gn/other/down/do", "private")
    service.says("gn/mine/down/do", "for mine")
    assert mine.next() == ("gn/mine/down/do", b"for mine")
    assert mine.heard.empty()


def test_a_will_reaches_its_own_topics_only(door: Door) -> None:
    service = door.make(door.broker, *door.broker.add_service("companion")).hears("#")
    for name, topic in (("thief", "gn/victim/up/status"), ("honest", "gn/honest/up/status")):
        client = door.client(name, door.broker.add(name))
        assert client.code() == 0
        # paho takes a will for the next connect.
        client.mqtt.disconnect()
        client.losses.get(timeout=5)
        client.mqtt.loop_stop()
        client.mqtt.will_set(topic, "gone", qos=1)
        client.mqtt.reconnect()
        client.mqtt.loop_start()
        assert client.code() == 0
        client.mqtt._sock_close()  # as a cable that is pulled
    assert service.next() == ("gn/honest/up/status", b"gone")


def test_a_client_id_takes_over_nobody(door: Door) -> None:
    victim = door.client("kitchen", door.broker.add("kitchen"))
    assert victim.code() == 0
    thief = door.client("garage", door.broker.add("garage"), client_id="kitchen")
    assert thief.code() == 0  # let in, but under its own name
    thief.hears("gn/kitchen/down/say")
    victim.hears("gn/kitchen/down/say")
    service = door.make(door.broker, *door.broker.add_service("companion"))
    service.says("gn/kitchen/down/say", "for you")
    assert victim.next() == ("gn/kitchen/down/say", b"for you")
    assert victim.losses.empty() and thief.heard.empty()


# -- the listener for boards -----------------------------------------------------------------


def test_plain_mqtt_gets_no_answer_there(house: EmbeddedBroker) -> None:
    assert house.lan is not None
    with socket.create_connection(("127.0.0.1", house.lan.port)) as raw:
        raw.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x05\x00\x01a")
        raw.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(4)[:1] != b"\x20"  # no CONNACK; an alert, or nothing


def test_without_tls_it_wants_a_login_all_the_same(home: Path, mosquitto: list[str]) -> None:
    listener = Lan(free_port(), address="127.0.0.1")
    with (
        EmbeddedBroker(home / "broker", lan=listener, command=mosquitto),
        socket.create_connection(("127.0.0.1", listener.port)) as raw,
    ):
        raw.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x05\x00\x01a")
        raw.settimeout(5)
        assert raw.recv(4) == b"\x20\x02\x00\x05"


def test_who_trusts_another_authority_or_name_leaves(
    house: EmbeddedBroker, authority: Authority, tmp_path: Path
) -> None:
    assert house.lan is not None
    address = ("127.0.0.1", house.lan.port)
    other = Authority(tmp_path / "other")
    other.make(["localhost"])
    for ca, name in ((other, "localhost"), (authority, "elsewhere.test")):
        context = ssl.create_default_context(cafile=ca.ca_pem)
        with socket.create_connection(address) as raw, pytest.raises(ssl.SSLError, match="verify"):
            context.wrap_socket(raw, server_hostname=name)


def test_its_key_is_the_brokers_alone_and_goes_with_it(
    home: Path, house: EmbeddedBroker, mosquitto: list[str]
) -> None:
    key = house.folder / "lan.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    house.stop()
    with EmbeddedBroker(house.folder, command=mosquitto):
        assert not key.exists()


def test_a_taken_port_for_boards_is_named(
    home: Path, mosquitto: list[str], authority: Authority
) -> None:
    listener = lan(authority)
    with (
        socket.create_server(("127.0.0.1", listener.port)),
        pytest.raises(PortTaken, match="--lan-port"),
    ):
        EmbeddedBroker(home / "broker", lan=listener, command=mosquitto).start()


# -- the authority ---------------------------------------------------------------------------


def test_an_authority_of_p256_for_ten_years_and_a_broker_for_two(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    made = authority.make(["Broker.LAN", "192.0.2.7"])
    assert made.names == ("broker.lan", "192.0.2.7")
    assert made.covers("broker.lan") and made.covers("192.0.2.7") and not made.covers("other.lan")
    assert 725 <= made.days_left(datetime.now(UTC)) <= 730
    for path in authority.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    ca = x509.load_der_x509_certificate(authority.ca_der.read_bytes())
    key = ca.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"
    assert 3640 <= (ca.not_valid_after_utc - datetime.now(UTC)).days <= 3650
    with pytest.raises(Problem, match="boards trust it"):
        authority.make(["broker.lan"])

    before = authority.broker_pem.read_text(), authority.broker_key.read_text()
    der = authority.ca_der.read_bytes()
    assert authority.renew(["new.lan"]).names == ("new.lan", "broker.lan", "192.0.2.7")
    after = authority.broker_pem.read_text(), authority.broker_key.read_text()
    assert before[0] != after[0] and before[1] != after[1]
    assert authority.ca_der.read_bytes() == der  # boards go on as they are
    x509.load_pem_x509_certificate(after[0].encode()).verify_directly_issued_by(ca)


@pytest.mark.parametrize("name", ["", "a b", "*.lan", "ä.lan", "a/b"])
def test_what_no_certificate_can_say(tmp_path: Path, name: str) -> None:
    with pytest.raises(Usage, match="no host name"):
        Authority(tmp_path / "ca").make([name])
    assert not (tmp_path / "ca").exists()


def test_the_commands(tmp_path: Path) -> None:
    told = ganglion("ca", "show", home=tmp_path)
    assert told.returncode == 1 and "ganglion ca init" in told.stderr
    told = ganglion("ca", "init", "--name", "broker.lan", home=tmp_path)
    assert told.returncode == 0 and "broker.lan" in told.stdout and "localhost" in told.stdout
    assert ganglion("ca", "init", home=tmp_path).returncode == 1
    told = ganglion("serve", "--lan", "--lan-host", "elsewhere.lan", home=tmp_path)
    assert told.returncode == 1 and "ca renew --name elsewhere.lan" in told.stderr
    told = ganglion("ca", "renew", "--name", "elsewhere.lan", home=tmp_path)
    assert told.returncode == 0 and "elsewhere.lan" in told.stdout and "broker.lan" in told.stdout
