"""The fault proxy between real MQTT clients and a real mosquitto, plain and TLS 1.2."""

from __future__ import annotations

import asyncio
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from tests.tools.system import wait_for
from tools.broker import EmbeddedBroker
from tools.certificates import Authority
from tools.hil.fault_rules import (
    Blackhole,
    Chunk,
    Clear,
    DelayConnack,
    Fault,
    HalfOpen,
    Progress,
    Records,
    Slow,
    Step,
    Truncate,
    decide,
)
from tools.hil.faults import FaultProxy
from tools.listeners import Lan
from tools.ports import LOOPBACK, PortTaken, free_port

Clients = Callable[..., Any]
SILENCE_S = 0.4  # of what is to stay silent
COMES_S = 10.0  # what is to come, on a loaded machine


class Driven:
    """A FaultProxy in a loop of its own, in another thread, as the bench has it."""

    def __init__(self, host: str, port: int) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.proxy = FaultProxy(host, port)
        self("start")

    def __call__(self, name: str, *args: Any) -> None:
        work: Future[None] = asyncio.run_coroutine_threadsafe(
            getattr(self.proxy, name)(*args), self.loop
        )
        work.result(COMES_S)

    def said(self, text: str) -> bool:
        return any(text in line for _, line in list(self.proxy.log))

    def stop(self) -> None:
        self("stop")
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@dataclass
class Front:
    """Where a client finds the broker, as `conftest.Client` wants it: at the proxy."""

    port: int
    host: str = LOOPBACK

    @property
    def lan(self) -> Lan:
        return Lan(self.port)


@dataclass
class House:
    broker: EmbeddedBroker
    authority: Authority
    secret: str

    def trust(self) -> ssl.SSLContext:
        """As a board: mbedTLS on MicroPython speaks nothing newer than TLS 1.2."""
        context = ssl.create_default_context(cafile=str(self.authority.ca_pem))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


def certified(folder: Path) -> tuple[Authority, Lan]:
    authority = Authority(folder / "ca")
    authority.make(["localhost"])
    lan = Lan(
        free_port(), authority.broker_pem.read_text(), authority.broker_key.read_text(), LOOPBACK
    )
    return authority, lan


def opened(folder: Path) -> Path:
    """The broker runs as another user when we are root."""
    for path in (folder, *folder.parents):
        if path == folder or path.name.startswith(("pytest-", "popen-")):
            path.chmod(0o711)
    return folder


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, mosquitto: list[str]) -> Iterator[House]:
    folder = opened(tmp_path_factory.mktemp("house"))
    authority, lan = certified(folder)
    with EmbeddedBroker(folder / "broker", lan=lan, command=mosquitto) as broker:
        yield House(broker, authority, broker.add("kitchen"))


@pytest.fixture
def plain(house: House) -> Iterator[Driven]:
    driven = Driven(house.broker.host, house.broker.port)
    yield driven
    driven.stop()


@pytest.fixture
def tls(house: House) -> Iterator[Driven]:
    assert house.broker.lan is not None
    driven = Driven(LOOPBACK, house.broker.lan.port)
    yield driven
    driven.stop()


@pytest.fixture(params=["plain", "tls"])
def faults(request: pytest.FixtureRequest) -> Driven:
    driven: Driven = request.getfixturevalue(request.param)
    return driven


@pytest.fixture
def board(faults: Driven, house: House, client: Clients, request: pytest.FixtureRequest) -> Any:
    """A client behind the proxy that has a session and hears its commands."""
    trust = house.trust() if "tls" in request.fixturenames or _is_tls(request) else None
    one = client(Front(faults.proxy.port), "kitchen", house.secret, tls=trust)
    assert one.code() == 0
    return one.hears("gn/kitchen/down/do")


def _is_tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.callspec.params.get("faults") == "tls")


@pytest.fixture
def companion(house: House, client: Clients) -> Any:
    """A client at the broker itself."""
    one = client(house.broker, *house.broker.add_service("faults"))
    assert one.code() == 0
    return one.hears("gn/kitchen/up/#")


def back(board: Any, companion: Any, text: str) -> None:
    """The board gets a session again, by itself, and both directions work."""
    assert board.code() == 0
    board.hears("gn/kitchen/down/do")
    board.says("gn/kitchen/up/event", text)
    topic, payload = companion.next(COMES_S)
    while payload != text.encode():
        topic, payload = companion.next(COMES_S)
    assert topic == "gn/kitchen/up/event"
    companion.says("gn/kitchen/down/do", text)
    assert board.next(COMES_S) == ("gn/kitchen/down/do", text.encode())


def connect_packet(secret: str, will: str = "") -> bytes:
    """CONNECT of the device `kitchen`, MQTT 3.1.1 section 3.1, with a will of QoS 0 on request."""
    fields = ["kitchen", *(["gn/kitchen/up/status", will] if will else []), "kitchen", secret]
    body = b"\x00\x04MQTT\x04" + bytes((0xC6 if will else 0xC2, 0, 60))
    for field in fields:
        body += len(field).to_bytes(2, "big") + field.encode()
    assert len(body) < 128
    return bytes((0x10, len(body))) + body


def dial(faults: Driven) -> socket.socket:
    return socket.create_connection((LOOPBACK, faults.proxy.port), timeout=COMES_S)


def take(line: socket.socket, n: int) -> bytes:
    """So many bytes, or those that came before the end."""
    got = b""
    while len(got) < n and (piece := line.recv(n - len(got))):
        got += piece
    return got


def session(faults: Driven, house: House, will: str = "") -> socket.socket:
    """A plain MQTT session, byte by byte."""
    line = dial(faults)
    line.sendall(connect_packet(house.secret, will))
    assert take(line, 4) == b"\x20\x02\x00\x00"
    return line


def is_silent(line: socket.socket) -> bool:
    line.settimeout(SILENCE_S)
    try:
        line.recv(1)
    except TimeoutError:
        return True
    return False


# -- what passes ---------------------------------------------------------------------------


def test_everything_passes_and_is_counted(faults: Driven, board: Any, companion: Any) -> None:
    board.says("gn/kitchen/up/event", "x" * 10000)
    assert companion.next(COMES_S) == ("gn/kitchen/up/event", b"x" * 10000)
    companion.says("gn/kitchen/down/do", "y" * 12000)
    assert board.next(COMES_S) == ("gn/kitchen/down/do", b"y" * 12000)
    proxy = faults.proxy
    assert (proxy.connections, proxy.accepted) == (1, 1)
    assert 10000 < proxy.bytes_up < 14000 and 12000 < proxy.bytes_down < 16000
    board.mqtt.disconnect()
    wait_for(lambda: proxy.connections == 0)
    assert faults.said("connection 1: from 127.0.0.1:")
    wait_for(lambda: faults.said("connection 1: ended"))


# -- each fault, and the way back ----------------------------------------------------------


def test_refuse(faults: Driven, board: Any, companion: Any) -> None:
    faults("refuse")
    board.losses.get(timeout=COMES_S)
    with pytest.raises(ConnectionRefusedError):
        dial(faults)
    # The port is kept, or somebody could have it when we want to listen again.
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((LOOPBACK, faults.proxy.port))
    faults("clear")
    back(board, companion, "after refuse")


def test_reset(faults: Driven, board: Any, companion: Any) -> None:
    faults("reset")
    board.losses.get(timeout=COMES_S)
    with dial(faults) as line:
        assert is_silent(line)  # not at once,
        line.settimeout(COMES_S)
        line.sendall(b"\x10")
        with pytest.raises(ConnectionResetError):  # but when the first bytes have come
            line.recv(1)
    faults("clear")
    back(board, companion, "after reset")


def test_reset_is_a_rst_for_the_established(plain: Driven, house: House) -> None:
    with session(plain, house) as line:
        plain("reset")
        with pytest.raises(ConnectionResetError):
            line.recv(1)


def test_blackhole(faults: Driven, board: Any, companion: Any) -> None:
    faults("blackhole")
    companion.says("gn/kitchen/down/do", "lost")
    board.mqtt.publish("gn/kitchen/up/event", "lost", qos=1)
    with dial(faults) as line:  # is accepted
        line.sendall(b"\x10\x16\x03\x01")
        assert is_silent(line)
        assert faults.proxy.connections == 2
    assert board.losses.empty() and board.heard.empty() and companion.heard.empty()
    faults("clear")
    board.losses.get(timeout=COMES_S)
    assert board.heard.empty()
    back(board, companion, "after blackhole")


def test_blackhole_takes_goodbyes_too(plain: Driven, house: House, companion: Any) -> None:
    """Neither a FIN nor a RST of the board gets to the broker, which would send the will."""
    line = session(plain, house, will="gone")
    plain("blackhole")
    line.close()
    wait_for(lambda: plain.proxy.connections == 0)
    with pytest.raises(queue.Empty):
        companion.next(SILENCE_S)
    plain("clear")
    assert companion.next(COMES_S) == ("gn/kitchen/up/status", b"gone")


def test_half_open(plain: Driven, house: House, companion: Any) -> None:
    with session(plain, house, will="gone") as line:
        plain("half_open")
        assert companion.next(COMES_S) == ("gn/kitchen/up/status", b"gone")
        line.sendall(b"\xc0\x00")  # PINGREQ
        assert is_silent(line)
        assert plain.proxy.connections == 1
        with session(plain, house):  # a new one is as usual
            assert plain.proxy.connections == 2
        plain("clear")
        line.settimeout(COMES_S)
        with pytest.raises(ConnectionResetError):
            line.recv(1)


def test_half_open_is_left_by_its_keepalive(tls: Driven, house: House, companion: Any) -> None:
    """A client that pings finds out and comes back, with the fault still there."""
    one = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "kitchen")
    one.username_pw_set("kitchen", house.secret)
    one.will_set("gn/kitchen/up/status", "gone", qos=1)
    one.tls_set_context(house.trust())
    one.reconnect_delay_set(0.1, 0.2)
    sessions: list[float] = []
    one.on_connect = lambda *_: sessions.append(time.monotonic())
    one.connect("localhost", tls.proxy.port, keepalive=1)
    one.loop_start()
    try:
        wait_for(lambda: len(sessions) == 1)
        tls("half_open")
        assert companion.next(COMES_S) == ("gn/kitchen/up/status", b"gone")
        wait_for(lambda: len(sessions) == 2)
    finally:
        one.disconnect()
        one.loop_stop()


def test_slow(faults: Driven, board: Any, companion: Any) -> None:
    """Each way at its pace, and each byte later by the delay."""
    faults("slow", 8000, 100)
    began = time.monotonic()
    companion.says("gn/kitchen/down/do", "y" * 4000)
    assert board.next(COMES_S) == ("gn/kitchen/down/do", b"y" * 4000)
    assert time.monotonic() - began >= 0.1 + 4000 / 8000
    began = time.monotonic()
    board.mqtt.publish("gn/kitchen/up/event", "x" * 4000, qos=0)
    assert companion.next(COMES_S) == ("gn/kitchen/up/event", b"x" * 4000)
    assert time.monotonic() - began >= 0.1 + 4000 / 8000
    faults("clear")
    assert board.losses.empty()
    companion.says("gn/kitchen/down/do", "again")
    assert board.next(COMES_S) == ("gn/kitchen/down/do", b"again")


def test_truncate_ends_at_the_byte(plain: Driven, house: House, companion: Any) -> None:
    with session(plain, house) as line:
        line.sendall(bytes.fromhex("82 17 0001 0012") + b"gn/kitchen/down/do\x00")
        assert take(line, 5) == bytes.fromhex("90 03 0001 00")
        plain("truncate", 100)
        companion.says("gn/kitchen/down/do", "z" * 200)
        # PUBLISH, QoS 0: 2 + 1 of fixed header, the topic with its length, 200 of payload.
        whole = bytes.fromhex("30 dc01 0012") + b"gn/kitchen/down/do" + b"z" * 200
        got = b""
        while piece := line.recv(4096):
            got += piece
            line.sendall(b"\xc0\x00")  # what it sends meanwhile makes no RST of the end
        assert got == whole[:100]
    assert plain.said("cut after 100 bytes")


def test_truncate_counts_anew_on_each_connection(plain: Driven, house: House) -> None:
    plain("truncate", 3)
    for _ in range(2):
        with dial(plain) as line:
            line.sendall(connect_packet(house.secret))
            assert take(line, 4) == b"\x20\x02\x00"
    plain("clear")
    session(plain, house).close()


def test_truncate_lets_the_handshake_pass(tls: Driven, house: House) -> None:
    tls("truncate", 0)
    with house.trust().wrap_socket(dial(tls), server_hostname="localhost") as line:
        assert line.version() == "TLSv1.2"
        line.sendall(connect_packet(house.secret))
        assert line.recv(4) == b""


def test_truncate_ends_a_client(faults: Driven, board: Any, companion: Any) -> None:
    faults("truncate", 60)
    companion.says("gn/kitchen/down/do", "z" * 200)
    board.losses.get(timeout=COMES_S)
    assert board.heard.empty()
    faults("clear")
    back(board, companion, "after truncate")


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "tls"])
def test_delay_connack(
    wrapped: bool, house: House, request: pytest.FixtureRequest, companion: Any
) -> None:
    faults: Driven = request.getfixturevalue("tls" if wrapped else "plain")

    def dialed() -> socket.socket:
        line = dial(faults)
        return house.trust().wrap_socket(line, server_hostname="localhost") if wrapped else line

    faults("delay_connack", 1.0)
    with dialed() as line:
        began = time.monotonic()  # a delay of the handshake would be over by now
        line.sendall(connect_packet(house.secret))
        assert take(line, 4) == b"\x20\x02\x00\x00"
        assert time.monotonic() - began >= 1.0
    faults("delay_connack", 3600)
    with dialed() as line:
        line.sendall(connect_packet(house.secret))
        assert is_silent(line)
        faults("clear")
        line.settimeout(COMES_S)
        assert take(line, 4) == b"\x20\x02\x00\x00"
        # Only what came first was held.
        faults("delay_connack", 3600)
        line.sendall(b"\xc0\x00")
        assert take(line, 2) == b"\xd0\x00"


def test_retarget(
    tls: Driven, house: House, tmp_path: Path, mosquitto: list[str], client: Clients, companion: Any
) -> None:
    """An impostor's certificate is seen, and `clear` leads back."""
    one = client(Front(tls.proxy.port), "kitchen", house.secret, tls=house.trust())
    assert one.code() == 0
    _, lan = certified(opened(tmp_path))
    with EmbeddedBroker(tmp_path / "broker", lan=lan, command=mosquitto):
        tls("retarget", LOOPBACK, lan.port)
        one.losses.get(timeout=COMES_S)
        with dial(tls) as line, pytest.raises(ssl.SSLCertVerificationError):
            house.trust().wrap_socket(line, server_hostname="localhost")
        tls("clear")
        back(one, companion, "after retarget")


# -- TCP -----------------------------------------------------------------------------------


@pytest.fixture
def bare() -> Iterator[tuple[Driven, socket.socket]]:
    """A proxy before a socket that listens and does nothing by itself."""
    with socket.create_server((LOOPBACK, 0)) as target:
        target.settimeout(COMES_S)
        driven = Driven(LOOPBACK, target.getsockname()[1])
        yield driven, target
        driven.stop()


def test_a_half_closed_connection_goes_on(bare: tuple[Driven, socket.socket]) -> None:
    faults, target = bare
    with dial(faults) as line, target.accept()[0] as far:
        line.sendall(b"a question")
        line.shutdown(socket.SHUT_WR)
        assert take(far, 10) == b"a question"
        far.sendall(b"an answer" * 10000)
        far.shutdown(socket.SHUT_WR)
        assert take(line, 90001) == b"an answer" * 10000
        wait_for(lambda: faults.said("connection 1: ended"))


def test_a_cut_is_no_rst_for_who_is_writing(bare: tuple[Driven, socket.socket]) -> None:
    """A RST would take what has passed, and was not read yet, from the board."""
    faults, target = bare
    with dial(faults) as line, target.accept()[0] as far:
        line.settimeout(0.2)
        with pytest.raises(TimeoutError):  # the other side reads nothing of it
            while True:
                line.send(b"x" * 65536)
        faults("truncate", 100)
        far.sendall(b"y" * 200)
        wait_for(lambda: faults.said("cut after 100 bytes"))
        line.settimeout(COMES_S)
        assert take(line, 200) == b"y" * 100


def test_a_rst_is_passed_on(bare: tuple[Driven, socket.socket]) -> None:
    faults, target = bare
    with dial(faults) as line:
        far = target.accept()[0]
        line.sendall(b"x")
        assert far.recv(1) == b"x"
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        far.close()
        with pytest.raises(ConnectionResetError):
            line.recv(1)
    assert faults.said("reset after the broker")


def test_who_sends_faster_than_it_goes_has_to_wait(bare: tuple[Driven, socket.socket]) -> None:
    """And the proxy's memory is not where it waits."""
    faults, target = bare
    faults("slow", 1000)
    with dial(faults) as line, target.accept()[0] as far:
        line.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 64 << 20:
                sent += line.send(b"x" * 65536)
        faults("clear")
        got = 0
        far.settimeout(COMES_S)
        while got < sent:
            got += len(far.recv(1 << 20))


def test_a_broker_that_is_down_is_a_reset(plain: Driven) -> None:
    plain("retarget", LOOPBACK, free_port())
    with pytest.raises(ConnectionResetError), dial(plain) as line:
        line.recv(1)
    assert plain.said("out of reach")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(probe: Callable[[], object]) -> None:
    async with asyncio.timeout(COMES_S):
        while not probe():  # noqa: ASYNC110 - what it looks at has no event
            await asyncio.sleep(0.01)


async def test_nothing_is_left_when_it_stops() -> None:
    """No task, no open file, whatever it was at."""
    tasks, files = asyncio.all_tasks(), open_files()
    # A target whose queue is full: whoever dials it waits.
    full = socket.socket()
    full.bind((LOOPBACK, 0))
    full.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
    with socket.create_server((LOOPBACK, 0)) as target:
        proxy = FaultProxy(LOOPBACK, target.getsockname()[1])
        await proxy.start()
        lines = [await asyncio.open_connection(LOOPBACK, proxy.port)]
        await proxy.slow(10)
        lines[0][1].write(b"x" * 1000)
        await until(lambda: proxy.bytes_up)  # a timer of the slow line is set now
        hanging = FaultProxy(LOOPBACK, full.getsockname()[1])
        await hanging.start()
        lines.append(await asyncio.open_connection(LOOPBACK, hanging.port))
        await until(lambda: hanging.connections)
        assert len(asyncio.all_tasks()) == len(tasks) + 1  # that dials
        async with asyncio.timeout(5):  # and not until the dialing has failed
            await proxy.stop()
            await hanging.stop()
        assert asyncio.all_tasks() == tasks
        assert (proxy.connections, hanging.connections) == (0, 0)
        for reader, writer in lines:
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
        await proxy.stop()
    for sock in (full, *fillers):
        sock.close()
    await until(lambda: open_files() == files)


async def test_wrong_use_is_told() -> None:
    async with FaultProxy(LOOPBACK, 9) as proxy:
        for wrong in (proxy.slow(0), proxy.slow(1, -1), proxy.truncate(-1)):
            with pytest.raises(ValueError, match="has to be"):
                await wrong
        with pytest.raises(ValueError, match="has to be"):
            await proxy.delay_connack(-1)
        second = FaultProxy(LOOPBACK, 9, port=proxy.port)
        with pytest.raises(PortTaken, match="fault proxy"):
            await second.start()


# -- decisions -----------------------------------------------------------------------------


def record(kind: int, n: int) -> bytes:
    return bytes((kind, 3, 3)) + n.to_bytes(2, "big") + bytes(n)


def test_records_wherever_they_are_cut() -> None:
    stream = record(22, 80) + record(20, 1) + record(22, 40) + record(23, 30) + record(21, 2)
    stream += record(23, 0) + record(23, 300)
    first = 80 + 1 + 40 + 3 * 5
    wanted = bytearray(len(stream))
    for at, kind, n in ((first, 23, 35), (first + 35 + 7, 23, 5 + 305)):
        wanted[at : at + n] = bytes((1,)) * n
        assert kind == 23
    for size in (1, 2, 3, 4, 5, 6, 7, 64, len(stream)):
        records = Records()
        marks, data = b"", b""
        for at in range(0, len(stream), size):
            for piece, application in records.split(stream[at : at + size]):
                data += piece
                marks += bytes((application,)) * len(piece)
        assert data == stream and marks == wanted, size


def test_what_is_no_tls_is_all_application_data() -> None:
    assert Records().split(b"\x20\x02\x00\x00") == [(b"\x20\x02\x00\x00", True)]
    assert Records().split(b"") == []


@pytest.mark.parametrize(
    "fault, application, progress, step",
    [
        (Clear(), True, Progress(True), Step(100)),
        (Blackhole(), True, Progress(True), Step()),
        (HalfOpen(), True, Progress(False), Step()),
        (Slow(200, 0), True, Progress(True), Step(again_s=10.05)),
        (Slow(200, 0), True, Progress(True, free_s=9.9), Step(again_s=10.05)),
        (Slow(200, 0), True, Progress(True, free_s=11.0), Step(again_s=11.05)),
        (Slow(200, 0.5), True, Progress(False), Step(again_s=10.55)),
        (Slow(1, 0), True, Progress(False), Step(again_s=11.0)),
        (Slow(1e9, 0), True, Progress(False, free_s=1.0), Step(100, free_s=10.0 + 1e-7)),
        (Truncate(30), True, Progress(True), Step(30, cut=True)),
        (Truncate(100), True, Progress(True), Step(100, cut=True)),
        (Truncate(101), True, Progress(True), Step(100)),
        (Truncate(101), True, Progress(True, counted=90), Step(11, cut=True)),
        (Truncate(0), True, Progress(True), Step(0, cut=True)),
        (Truncate(0), False, Progress(True), Step(100)),
        (Truncate(0), True, Progress(False), Step(100)),
        (DelayConnack(2), True, Progress(True), Step(again_s=12.0)),
        (DelayConnack(2), False, Progress(True), Step(100)),
        (DelayConnack(2), True, Progress(True, spoken=True), Step(100)),
        (DelayConnack(2), True, Progress(False), Step(100)),
    ],
)
def test_what_becomes_of_100_bytes(
    fault: Fault, application: bool, progress: Progress, step: Step
) -> None:
    """That came at 10 s, at 10.001 s."""
    found = decide(fault, Chunk(bytes(100), 10.0, application), progress, 10.001)
    assert (found.n, found.cut) == (step.n, step.cut)
    assert found.again_s == pytest.approx(step.again_s)
    assert found.free_s == pytest.approx(step.free_s)


def test_a_fault_says_what_it_is() -> None:
    assert str(Slow(200, 0.5)) == "slow, bytes_per_s 200, delay_s 0.5"
    assert str(HalfOpen()) == "half open"
