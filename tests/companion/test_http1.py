"""The HTTP/1.1 client: its parser's side with what any server may send, cut anywhere, and its
connections over real sockets, on asyncio's loop and on uvloop."""

import asyncio
import contextlib
import random
import select
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop

from companion.backends import http
from companion.backends.base import BackendError
from companion.backends.http1 import HEAD_BYTES_MAX, UNREAD_BYTES_MAX, Connection, Cut, Pool
from tests.companion.conftest import until

# Its successor is a hook for whole folders.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="it looks at its sockets in /proc"
)

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nHello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;name=value\r\nHe\r\n3\r\nllo\r\n0\r\nTrailer: x\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + LENGTH
TO_THE_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nHello"


@pytest.fixture(
    params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"]
)
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


# -- what comes, cut anywhere


class FakeTransport(asyncio.Transport):
    """Takes what is written, and can be closed. No socket is behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: object) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""


async def exchange(*pieces: bytes, end: bool = False) -> tuple[Connection, bytes]:
    """What becomes of a response that comes in these pieces. Raises Cut; TimeoutError where more
    is waited for."""
    connection = Connection()
    connection.connection_made(FakeTransport())

    async def ask() -> bytes:
        await connection.ask(b"")
        return b"".join([piece async for piece in connection])

    asked = asyncio.ensure_future(ask())
    await asyncio.sleep(0)
    for piece in pieces:
        connection.data_received(piece)
    if end:
        connection.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    if not asked.done():
        asked.cancel()
        raise TimeoutError
    return connection, asked.result()


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED, INTERIM])
async def test_it_may_be_cut_into_pieces_anywhere(raw: bytes) -> None:
    ways = [[raw[:at], raw[at:]] for at in range(1, len(raw))]
    ways.append([raw[at : at + 1] for at in range(len(raw))])
    for pieces in ways:
        connection, body = await exchange(*pieces)
        assert (connection.status, body, connection.is_fit()) == (200, b"Hello", True)
    assert "trailer" not in connection.headers and "link" not in connection.headers


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED, INTERIM])
async def test_an_end_anywhere_within_is_no_answer(raw: bytes) -> None:
    for at in range(len(raw)):
        with pytest.raises(Cut):
            await exchange(raw[:at], end=True)


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    head = TO_THE_END.index(b"Hello")
    for at in range(head):
        with pytest.raises(Cut):
            await exchange(TO_THE_END[:at], end=True)
    for at in range(head, len(TO_THE_END) + 1):
        connection, body = await exchange(TO_THE_END[:at], end=True)
        assert body == TO_THE_END[head:at] and not connection.is_fit()
    with pytest.raises(TimeoutError):
        await exchange(TO_THE_END)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_some_statuses_have_no_body(status: bytes) -> None:
    connection, body = await exchange(b"HTTP/1.1 " + status + b"\r\n\r\n")
    assert body == b"" and connection.is_fit()


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nHello",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nHello",
        LENGTH + b"HTTP/1.1 200 OK\r\n",
        LENGTH + LENGTH,
        CHUNKED + b"\0\xff garbage",
    ],
)
async def test_an_answer_that_is_whole_counts_whatever_follows(raw: bytes) -> None:
    connection, body = await exchange(raw)
    assert body == b"Hello" and not connection.is_fit()


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nHello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nHello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nHello",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 " + b"o" * (HEAD_BYTES_MAX + 1),
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES_MAX + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * (HEAD_BYTES_MAX // 6),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 2 * HEAD_BYTES_MAX,
        CHUNKED[:-2] + b"T: " + b"x" * 2 * HEAD_BYTES_MAX,
        CHUNKED[:-2] + b"T: x\r\n" * HEAD_BYTES_MAX,
        b"HTTP/1.1 100 Continue\r\n\r\n" * HEAD_BYTES_MAX,
        b"\r\n" * HEAD_BYTES_MAX,
    ],
    ids=range(18),
)
async def test_what_is_no_http_or_endless_is_given_up(raw: bytes) -> None:
    for size in (60_000, 1000):
        with pytest.raises(Cut):
            await exchange(*(raw[at : at + size] for at in range(0, len(raw), size)))


async def test_no_bytes_do_worse_than_to_be_given_up() -> None:
    chance = random.Random(4)
    seen = set()
    for _ in range(3000):
        raw = bytearray(chance.choice([LENGTH, CHUNKED, INTERIM, TO_THE_END]))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(raw))
            raw[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        at = chance.randrange(len(raw) + 1)
        try:
            _, body = await exchange(bytes(raw[:at]), bytes(raw[at:]), end=chance.random() < 0.5)
            assert len(body) <= len(raw)
            seen.add("answer")
        except (Cut, TimeoutError) as error:
            seen.add(type(error).__name__)
    assert seen == {"answer", "Cut", "TimeoutError"}


async def test_headers_of_one_name_are_joined() -> None:
    connection, _ = await exchange(
        b"HTTP/1.1 204 x\r\nA: 1\r\na:2\r\nEmpty:\r\nUmlaut: \xe4\r\n\r\n"
    )
    assert connection.headers == {"a": "1, 2", "empty": "", "umlaut": "ä"}


# -- over sockets


@dataclass
class Server:
    """Answers each request with the next of ``script``: bytes are sent, a number waits, None
    closes. No model is behind it."""

    script: list[list[bytes | float | None]] = field(default_factory=list)
    requests: list[tuple[int, bytes]] = field(default_factory=list)
    """The connection's number and the request, head and body."""
    port: int = 0
    connections: int = 0
    open: int = 0
    most_open: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append((number, head + await reader.readexactly(length)))
                for part in self.script.pop(0) if self.script else [LENGTH]:
                    if part is None:
                        return
                    if isinstance(part, float):
                        # Whoever goes meanwhile is missed at once.
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(part):
                                assert not await reader.read(1)
                                return
                    else:
                        writer.write(part)
                        await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.open -= 1
            writer.close()


@contextlib.asynccontextmanager
async def serving(host: str = "127.0.0.1") -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, host, 0, backlog=512)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    await until("all have gone", lambda: server.open == 0)


@contextlib.asynccontextmanager
async def client(url: str) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    made = http.client(url, {"accept": "x"}, local=True)

    async def post(timeout_s: float = 5.0) -> bytes:
        async with made.post(b'{"a":1}', timeout_s) as reply:
            return await http.whole(reply)

    yield post
    await made.aclose()


async def code_of(post: Awaitable[bytes]) -> tuple[str, bool]:
    with pytest.raises(BackendError) as caught:
        await post
    return caught.value.code, caught.value.sent


async def test_what_goes_over_the_wire() -> None:
    async with serving() as server, client(f"{server.url}/a%20b?q=ä c#top") as post:
        assert await post() == b"Hello"
    host = f"host: 127.0.0.1:{server.port}"
    assert server.requests[0][1].decode() == (
        f"POST /v1/a%20b?q=%C3%A4%20c HTTP/1.1\r\n{host}\r\naccept: x\r\n"
        'content-length: 7\r\n\r\n{"a":1}'
    )


async def test_one_connection_serves_request_after_request() -> None:
    async with serving() as server, client(server.url) as post:
        server.script = [[CHUNKED], [LENGTH], [INTERIM], [LENGTH]]
        for _ in range(10):
            assert await post() == b"Hello"
    assert server.connections == 1 and len(server.requests) == 10


async def test_many_at_once_have_no_more_connections_than_may_be() -> None:
    async with serving() as server, client(server.url) as post:
        server.script = [[0.05, LENGTH] for _ in range(200)]
        assert await asyncio.gather(*(post() for _ in range(200))) == [b"Hello"] * 200
        assert server.most_open == server.connections == http.CONNECTIONS_MAX
        await asyncio.gather(*(post() for _ in range(50)))
        assert server.connections == http.CONNECTIONS_MAX


async def test_one_that_waits_for_room_can_go_and_holds_nobody_up() -> None:
    async with serving() as server:
        pool = Pool("127.0.0.1", server.port, 1, 300)
        first = await pool.take(1)
        waiting = [asyncio.create_task(pool.take(1)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        pool.release(first)
        assert await waiting[1] is first
        pool.release(first)
        await pool.aclose()


async def test_what_nobody_asked_for_is_no_answer() -> None:
    async with serving() as server, client(server.url) as post:
        other = LENGTH.replace(b"Hello", b"Wrong")
        server.script = [[LENGTH + other], [LENGTH, 0.02, other], [LENGTH]]
        assert await post() == b"Hello"
        assert await post() == b"Hello"
        await until("it is sent and its connection given up", lambda: server.open == 0)
        assert await post() == b"Hello"
    assert server.connections == 3


async def test_a_cancel_or_an_early_end_closes_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    async with serving() as server:
        made = http.client(server.url, {}, local=True)
        for parts in ([5.0], [head, b"x", 5.0]):
            server.script = [list(parts)]

            async def read() -> None:
                async with made.post(b"", 5) as reply:
                    await http.whole(reply)

            asked = asyncio.create_task(read())
            await until("it is asked", lambda: not server.script)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            await until("its end is seen", lambda: server.open == 0)
        server.script = [[head, b"x", 5.0]]
        async with made.post(b"", 5) as reply:
            assert [await anext(reply.chunks)] == [b"x"]
        await until("its end is seen", lambda: server.open == 0)
        await made.aclose()


@pytest.mark.parametrize("drip", [b"X", b"X: y\r\n"])
async def test_headers_that_drip_end_at_the_deadline(drip: bytes) -> None:
    async with serving() as server, client(server.url) as post:
        server.script = [[b"HTTP/1.1 200 OK\r\n", *([drip, 0.02] * 100)]]
        began = asyncio.get_running_loop().time()
        assert await code_of(post(0.2)) == ("timeout", True)
        assert asyncio.get_running_loop().time() - began < 1
        await until("its end is seen", lambda: server.open == 0)


@pytest.mark.parametrize(
    "parts",
    [[None], [LENGTH[:20], None], [LENGTH[:-2], None], [CHUNKED[:60], None], [b"SSH-2.0\r\n"]],
)
async def test_what_ends_early_is_asked_no_second_time(parts: list[bytes | float | None]) -> None:
    async with serving() as server, client(server.url) as post:
        await post()
        server.script = [parts]
        assert await code_of(post()) == ("connection", True)
        assert len(server.requests) == 2
        assert await post() == b"Hello"


def _wait_for_end_of(port: int) -> None:
    """Holds the loop until the end has come to the socket that is connected to a port."""
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(fd.readlink()).startswith("socket:"):
                with socket.socket(fileno=socket.dup(int(fd.name))) as sock:
                    if sock.family == socket.AF_INET and sock.getpeername()[1] == port:
                        assert select.select([sock], [], [], 5)[0]


@needs_proc
async def test_a_kept_connection_that_ended_while_the_loop_was_busy_is_not_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        async with client(f"http://127.0.0.1:{port}/") as post:
            for _ in range(2):
                asked = asyncio.ensure_future(post())
                taken, _ = await asyncio.to_thread(listening.accept)
                with taken:
                    await asyncio.to_thread(taken.recv, 65536)
                    taken.sendall(LENGTH)
                    assert await asked == b"Hello"
                _wait_for_end_of(port)


async def test_an_idle_connection_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server:
        pool = Pool("127.0.0.1", server.port, 10, keep_s=0.05)
        first = await pool.take(1)
        pool.release(first)
        assert await pool.take(1) is first
        pool.release(first)
        await asyncio.sleep(0.06)
        second = await pool.take(1)
        assert second is not first
        await until("it is closed", lambda: server.open == 1)
        pool.release(second, keep=False)
        await until("it is closed", lambda: server.open == 0)
        await pool.aclose()


async def test_a_slow_reader_makes_the_server_wait() -> None:
    size = 40 * UNREAD_BYTES_MAX
    async with serving() as server:
        made = http.client(server.url, {}, local=True)
        server.script = [[b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, bytes(size)]]
        async with made.post(b"", 20) as reply:
            connection = reply.chunks
            assert isinstance(connection, Connection)
            await until("it is full", lambda: connection._paused)
            assert connection._unread_bytes < 4 * UNREAD_BYTES_MAX
            assert sum([len(piece) async for piece in connection]) == size
        assert server.connections == 1
        server.script = [[b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, bytes(size)]]
        with pytest.raises(BackendError) as caught:
            async with made.post(b"", 20) as reply:
                await http.whole(reply)
        assert caught.value.code == "bad_response"
        await made.aclose()


async def test_after_a_stream_of_llama_cpp_each_connection_serves_one_request() -> None:
    """It closes behind a stream, and says so nowhere: real, it is asked in test_openai.py."""
    stream = (
        b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nContent-Type: text/event-stream\r\n"
        b"Keep-Alive: timeout=5, max=100\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nHello\r\n0\r\n\r\n"
    )
    async with serving() as server, client(server.url) as post:
        await post()
        server.script = [[stream, None]]
        for _ in range(4):
            assert await post() == b"Hello"
    assert [number for number, _ in server.requests] == [0, 0, 1, 2, 3]
    told = [b"connection: close" in request for _, request in server.requests]
    assert told == [False, False, True, True, True]


async def test_an_answer_that_is_compressed_unasked_is_said_so() -> None:
    async with serving() as server, client(server.url) as post:
        packed = LENGTH.replace(b"Content-Type: application/json", b"Content-Encoding: gzip")
        server.script = [[packed]]
        assert await code_of(post()) == ("bad_response", True)


async def test_addresses_of_every_kind() -> None:
    async with serving() as server, client(f"http://localhost:{server.port}/v1") as post:
        # Where it is ::1 first, that one refuses.
        assert await post() == b"Hello"
    try:
        async with serving("::1") as server, client(f"http://[::1]:{server.port}/v1") as post:
            assert await post() == b"Hello"
            assert f"host: [::1]:{server.port}".encode() in server.requests[0][1]
    except OSError:
        pytest.skip("there is no IPv6 here")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://no-such-host.invalid/v1"])
async def test_who_cannot_be_reached_was_sent_nothing(url: str) -> None:
    async with client(url) as post:
        assert await code_of(post()) == ("connection", False)


async def test_a_name_and_a_password_of_the_url_are_sent_as_such() -> None:
    async with serving() as server:
        url = server.url.replace("//", "//some%20one:p%40ss@")
        async with client(url) as post:
            await post()
        assert b"authorization: Basic c29tZSBvbmU6cEBzcw==" in server.requests[0][1]
        made = http.client(url, {"Authorization": "Bearer k"}, local=True)
        async with made.post(b"", 5):
            pass
        await made.aclose()
    assert server.requests[1][1].lower().count(b"authorization") == 1


def test_no_header_is_slipped_in() -> None:
    for key in ("a\r\nx: 1", "ä", "a\0"):
        with pytest.raises(ValueError, match="header") as caught:
            http.client("http://127.0.0.1/v1", {"authorization": key}, local=True)
        assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", f"http://{'a' * 70}.b/v1"])
def test_a_host_or_a_port_that_cannot_be_is_said_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        http.client(url, {}, local=True)


async def test_closing_ends_what_is_under_way() -> None:
    async with serving() as server:
        made = http.client(server.url, {}, local=True)
        server.script = [[5.0]]

        async def post() -> bytes:
            async with made.post(b"", 5) as reply:
                return await http.whole(reply)

        asked = asyncio.ensure_future(post())
        await until("it is asked", lambda: bool(server.requests))
        await made.aclose()
        assert (await code_of(asked))[0] == "connection"
        await until("its end is seen", lambda: server.open == 0)


async def test_warming_opens_the_connection_of_the_first_request() -> None:
    async with serving() as server:
        made = http.client(server.url, {}, local=True)
        await made.warm()
        async with made.post(b"", 5) as reply:
            assert await http.whole(reply) == b"Hello"
        await made.aclose()
    assert server.connections == 1 and len(server.requests) == 1


@pytest.fixture(autouse=True)
def no_noise(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """asyncio logs what its callbacks raise, and a transport that is written to after its end."""
    yield
    assert not [record for record in caplog.records if record.name == "asyncio"]
