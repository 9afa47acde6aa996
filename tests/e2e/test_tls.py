"""The virtual board at the broker's TLS listener. Its MicroPython verifies as the chip's does: both
are mbedTLS, given the authority as DER. The clock it looks at is the host's, though."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tools.broker import EmbeddedBroker
from tools.certificates import Authority, broker_certificate
from tools.listeners import Lan
from tools.ports import free_port
from tools.vboard import BoardConfig, VirtualBoard


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("house") / "ca")
    authority.make(["localhost"])
    return authority


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    ours = [p for p in tmp_path.parents if p.name.startswith(("pytest-", "popen-"))]
    for path in (tmp_path, *ours):
        path.chmod(0o711)  # the broker runs as another user when we are root
    yield tmp_path


def lan(house: Authority, certificate: str | None = None) -> Lan:
    return Lan(
        free_port(), certificate or house.broker_pem.read_text(), house.broker_key.read_text(),
        address="127.0.0.1",
    )  # fmt: skip


def signed_by(house: Authority, name: str, now: datetime, days: int) -> str:
    """A certificate of the house's authority for the house's own broker key."""
    key = load_pem_private_key(house.broker_key.read_bytes(), None)
    ca_key = load_pem_private_key((house.folder / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(house.ca_pem.read_bytes())
    made = broker_certificate(key, [name], issuer, ca_key, now=now, days=days)
    return made.public_bytes(Encoding.PEM).decode()


@pytest_asyncio.fixture
async def kitchen(
    house: Authority, folder: Path
) -> AsyncIterator[tuple[EmbeddedBroker, BoardConfig]]:
    """A broker with the right certificate, and what a board of it is told."""
    with EmbeddedBroker(folder / "broker", lan=lan(house)) as broker:
        assert broker.lan is not None
        secret = broker.add("kitchen")
        yield (
            broker,
            BoardConfig(
                secret=secret, host="localhost", port=broker.lan.port, ca=house.ca_der.read_bytes()
            ),
        )


async def connected(broker: EmbeddedBroker) -> None:
    log = broker.folder / "mosquitto.log"
    async with asyncio.timeout(15):
        while "as kitchen (" not in log.read_text():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.05)


async def test_the_right_authority_and_name_connect(
    kitchen: tuple[EmbeddedBroker, BoardConfig], folder: Path
) -> None:
    broker, config = kitchen
    assert broker.lan is not None
    async with VirtualBoard(folder, "kitchen", config):
        await connected(broker)
    log = (broker.folder / "mosquitto.log").read_text()
    assert f"on port {broker.lan.port}." in log


async def test_without_the_time_nothing_is_sent(
    kitchen: tuple[EmbeddedBroker, BoardConfig], folder: Path
) -> None:
    broker, config = kitchen
    assert broker.lan is not None
    board = VirtualBoard(folder, "kitchen", config, powered=False)
    async with board:
        board.clock(False)
        await board.power(True)
        await board.wait_serial("TLS needs the time, and NTP does not answer")
        assert f"on port {broker.lan.port}." not in (broker.folder / "mosquitto.log").read_text()
        board.clock(True)
        await connected(broker)


@pytest.mark.parametrize("wrong", ["authority", "name", "expired"])
async def test_what_it_does_not_trust_it_leaves(house: Authority, folder: Path, wrong: str) -> None:
    """It says why, stays alive, and has sent neither its secret nor a word."""
    now = datetime.now(UTC)
    ca = house.ca_der.read_bytes()
    certificate, told = {
        "authority": (None, "not correctly signed by the trusted CA"),
        "name": (signed_by(house, "elsewhere.test", now, 10), "does not match"),
        "expired": (signed_by(house, "localhost", now - timedelta(20), 10), "has expired"),
    }[wrong]
    if wrong == "authority":
        other = Authority(folder / "other")
        other.make(["localhost"])
        ca = other.ca_der.read_bytes()
    with EmbeddedBroker(folder / "broker", lan=lan(house, certificate)) as broker:
        assert broker.lan is not None
        config = BoardConfig(
            secret=broker.add("kitchen"), host="localhost", port=broker.lan.port, ca=ca
        )
        async with VirtualBoard(folder, "kitchen", config) as board:
            printed = await board.wait_serial(told)
            assert f"broker localhost:{broker.lan.port}: TLS: The certificate" in printed
            at = len(printed)
            board.send("status\r")
            await board.wait_serial(told, since=at)  # its console lives, and tells it, too
            assert board.boots == 1
        assert "kitchen" not in (broker.folder / "mosquitto.log").read_text()


async def test_a_ca_file_that_is_none_is_named(
    kitchen: tuple[EmbeddedBroker, BoardConfig], folder: Path
) -> None:
    _, config = kitchen
    bad = BoardConfig(secret="x", host="localhost", port=config.port, ca=b"no certificate")
    async with VirtualBoard(folder, "kitchen", bad) as board:
        await board.wait_serial("/ca.der is no certificate: provision this board")
        assert board.boots == 1
