"""The connection: it comes back, resubscribes, keeps what it took, and says what is wrong."""

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from companion.link import BrokerUrl, LinkFull, PahoLink
from companion.link.buffer import BufferedSocket
from companion.link.pahomqtt import OUTSTANDING_MAX, QUEUE_MAX
from tests.companion.conftest import Broker, free_port, until


@contextlib.asynccontextmanager
async def running(*links: PahoLink, connected: bool = True) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(link.run()) for link in links]
    try:
        if connected:
            for link in links:
                await asyncio.wait_for(link.connected.wait(), 5)
        yield
    finally:
        for link in links:
            await link.close()
        for task in tasks:
            await asyncio.wait_for(task, 5)


async def test_messages_go_both_ways_in_order(broker: Broker) -> None:
    heard: list[tuple[str, bytes, bool]] = []
    a, b = PahoLink(broker.url), PahoLink(broker.url)
    b.subscribe("x/+/y", lambda *message: heard.append(message))
    async with running(a, b):
        for n in range(500):
            a.publish(f"x/{n % 3}/y", b"%d" % n)
        await until("all of them", lambda: len(heard) == 500)
    assert [int(payload) for _, payload, _ in heard] == list(range(500))
    assert not any(retained for _, _, retained in heard)


async def test_a_large_message_arrives_whole(broker: Broker) -> None:
    heard: list[bytes] = []
    link = PahoLink(broker.url)
    link.subscribe("big", lambda topic, payload, retained: heard.append(payload))
    payload = bytes(range(256)) * 200
    async with running(link):
        for _ in range(50):
            link.publish("big", payload)
        await until("all of them", lambda: len(heard) == 50)
    assert set(heard) == {payload}


async def test_retained_messages_are_told_apart(broker: Broker) -> None:
    a = PahoLink(broker.url)
    async with running(a):
        a.publish("kept", b"1", 1, True)
        await asyncio.sleep(0.05)
        heard: list[bool] = []
        b = PahoLink(broker.url)
        b.subscribe("kept", lambda topic, payload, retained: heard.append(retained))
        async with running(b):
            await until("it", lambda: heard)
            a.publish("kept", b"", 1, True)
    assert heard[0] is True


async def test_a_handler_that_raises_harms_nobody(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    def handler(topic: str, payload: bytes, retained: bool) -> None:
        if payload == b"bad":
            raise RuntimeError("a fault of the handler")
        heard.append(topic)

    link = PahoLink(broker.url)
    link.subscribe("h/#", handler)
    async with running(link):
        link.publish("h/1", b"bad")
        link.publish("h/2", b"good")
        await until("the good one", lambda: heard)
        assert link.connected.is_set()
    assert "a fault of the handler" in caplog.text


async def test_it_comes_back_and_nothing_taken_is_lost(own_broker: Broker) -> None:
    heard: list[int] = []
    link = PahoLink(own_broker.url)
    link.subscribe("n", lambda topic, payload, retained: heard.append(int(payload)))
    async with running(link):
        link.publish("n", b"0")
        await until("the first", lambda: heard == [0])
        own_broker.kill()
        await until("the loss", lambda: not link.connected.is_set())
        await until("a reason", lambda: "lost" in link.problem or "nothing" in link.problem)
        for n in range(1, 21):
            link.publish("n", b"%d" % n)
        own_broker.start()
        await until("the rest", lambda: len(heard) == 21, 10)
        assert link.connected.is_set() and link.problem == ""
    assert heard == list(range(21))


async def test_what_was_sent_and_not_acknowledged_is_sent_again(own_broker: Broker) -> None:
    link = PahoLink(own_broker.url)
    heard: list[bytes] = []
    link.subscribe("n", lambda topic, payload, retained: heard.append(payload))
    async with running(link):
        own_broker.kill()
        # Taken while the loss is not yet noticed.
        link.publish("n", b"in flight")
        await until("the loss", lambda: not link.connected.is_set())
        own_broker.start()
        await until("it", lambda: b"in flight" in heard, 10)


async def test_a_full_queue_refuses_with_a_reason() -> None:
    port = free_port()
    link = PahoLink(f"mqtt://someone:secret@127.0.0.1:{port}")
    for _ in range(QUEUE_MAX):
        link.publish("n", b"x")
    with pytest.raises(LinkFull) as caught:
        link.publish("n", b"x")
    assert str(port) in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_slow_reader_does_not_stop_the_writer(broker: Broker) -> None:
    """More than the window at once: the rest waits its turn."""
    heard: list[int] = []
    a, b = PahoLink(broker.url), PahoLink(broker.url)
    b.subscribe("w", lambda topic, payload, retained: heard.append(int(payload)))
    async with running(a, b):
        for n in range(OUTSTANDING_MAX + 500):
            a.publish("w", b"%d" % n)
        await until("all", lambda: len(heard) == OUTSTANDING_MAX + 500, 10)
    assert heard == sorted(heard)


async def test_no_broker_is_a_problem_in_words() -> None:
    port = free_port()
    link = PahoLink(f"mqtt://127.0.0.1:{port}")
    async with running(link, connected=False):
        await until("the problem", lambda: "nothing listens there" in link.problem)
        assert str(port) in link.problem
        assert not link.connected.is_set()


async def test_closing_does_not_wait_for_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("companion.link.pahomqtt.BACKOFF_FIRST_S", 30.0)
    link = PahoLink(f"mqtt://127.0.0.1:{free_port()}")
    task = asyncio.create_task(link.run())
    await until("the first attempt", lambda: "nothing listens" in link.problem)
    await link.close()
    await asyncio.wait_for(task, 0.5)


async def test_something_that_is_no_broker_is_survived() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = PahoLink(f"mqtt://127.0.0.1:{port}")
    async with running(link, connected=False):
        await until("the problem", lambda: "lost" in link.problem)
    server.close()


async def test_a_wrong_password_is_named(tmp_path: Path) -> None:
    from tools.broker import EmbeddedBroker

    with EmbeddedBroker(tmp_path / "broker") as broker:
        user, secret = broker.add_service("companion")
        good = PahoLink(f"mqtt://{user}:{secret}@127.0.0.1:{broker.port}")
        async with running(good):
            assert good.problem == ""
        bad = PahoLink(f"mqtt://{user}:wrong-one@127.0.0.1:{broker.port}")
        async with running(bad, connected=False):
            await until("the refusal", lambda: "refuses this companion" in bad.problem)
            assert "password" in bad.problem
            assert "wrong-one" not in bad.problem


def certificate(folder: Path) -> tuple[Path, Path]:
    """A P-256 certificate for 127.0.0.1 that is its own authority."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=ganglion test", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return cert, key


async def test_tls_with_a_ca_of_ones_own(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    broker = Broker(tmp_path, f"cafile {cert}\ncertfile {cert}\nkeyfile {key}\n")
    broker.start()
    try:
        url = broker.url.replace("mqtt://", "mqtts://")
        heard: list[bytes] = []
        link = PahoLink(url, ca=cert)
        link.subscribe("n", lambda topic, payload, retained: heard.append(payload))
        async with running(link):
            # Several records at once: what OpenSSL has buffered raises no event.
            for n in range(200):
                link.publish("n", b"%d" % n * 500)
            await until("all of them", lambda: len(heard) == 200)
        stranger = PahoLink(url)
        async with running(stranger, connected=False):
            await until("the refusal", lambda: "not trusted" in stranger.problem)
    finally:
        broker.kill()


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("mqtt://h", BrokerUrl("h", 1883, False)),
        ("mqtts://h", BrokerUrl("h", 8883, True)),
        ("mqtt://u:p%40ss@h:99/", BrokerUrl("h", 99, False, "u", "p@ss")),
        ("mqtt://[::1]:1", BrokerUrl("::1", 1, False)),
    ],
)
def test_urls(url: str, want: BrokerUrl) -> None:
    assert BrokerUrl.parse(url) == want
    assert "p@ss" not in repr(BrokerUrl.parse(url))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:1883",
        "http://h",
        "mqtt://",
        "mqtt://h:0",
        "mqtt://h:70000",
        "mqtt://h/x",
        "mqtt://h?q",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        BrokerUrl.parse(url)


def test_two_links_never_share_a_client_id() -> None:
    a, b = PahoLink("mqtt://h"), PahoLink("mqtt://h")
    assert a._client._client_id != b._client._client_id


def test_the_buffer_reads_once_an_event_and_writes_what_fits() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    buffered = BufferedSocket(ours)
    theirs.sendall(b"abcdef")
    assert buffered.recv(2) == b"ab"
    assert buffered.pending()
    assert buffered.recv(10) == b"cdef"
    theirs.sendall(b"more")
    with pytest.raises(BlockingIOError):
        buffered.recv(1)
    buffered.readable()
    assert buffered.recv(4) == b"more"
    assert buffered.send(b"x" * 10_000_000) == 10_000_000
    assert buffered.flush() is False
    received = 0
    while received < 10_000_000:
        received += len(theirs.recv(1 << 20))
        with contextlib.suppress(BlockingIOError):
            buffered.flush()
    assert buffered.flush() is True
    theirs.close()
    buffered.readable()
    assert buffered.recv(1) == b""
    buffered.close()
