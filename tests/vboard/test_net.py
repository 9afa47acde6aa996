"""Wi-Fi and the connections behind it."""

import asyncio
import time

import pytest

from tests.vboard.conftest import JOIN, Bench
from tools.vboard import BoardConfig

CLIENT = (
    JOIN
    + """
import socket, select
def errno(f, *a):
    try: f(*a)
    except OSError as e: return e.errno
def dial(port):
    s = socket.socket()
    s.connect(socket.getaddrinfo('127.0.0.1', port)[0][-1])
    s.setsockopt(6, 1, 1)
    return s
def readable(s, ms):
    p = select.poll()
    p.register(s, 1)
    return len(p.poll(ms))
def trips(s, n):
    began = time.ticks_us()
    for i in range(n):
        s.send(b'x' * 64)
        s.recv(64)
    return time.ticks_diff(time.ticks_us(), began) // n
"""
)


@pytest.fixture
async def echo():
    """A server that sends back what it gets; `.closed` counts the connections that ended."""

    class Echo(asyncio.Protocol):
        closed = 0
        opened = 0
        port = 0

        def connection_made(self, transport):
            self.transport = transport
            Echo.opened += 1

        def data_received(self, data):
            self.transport.write(data)

        def connection_lost(self, exc):
            Echo.closed += 1

    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    Echo.port = server.sockets[0].getsockname()[1]
    yield Echo
    server.close()


async def test_joining_says_what_is_wrong(make):
    main = (
        "import network, time\nw = network.WLAN(network.STA_IF)\n"
        "def join(*a):\n"
        "  w.disconnect()\n"
        "  w.connect(*a)\n"
        "  seen = w.status()\n"
        "  time.sleep_ms(60)\n"
        "  return (seen, w.status(), w.isconnected())\n"
    )
    board = await make(main)
    assert await board.ask("(w.active(True), w.isconnected(), w.status())") == (None, False, 1000)
    assert await board.ask("join('virtual', 'virtual-password')") == (1001, 1010, True)
    assert await board.ask("join('virtual', 'wrong')") == (1001, 202, False)
    assert await board.ask("join('other', 'x')") == (1001, 201, False)
    assert await board.ask("join('virtual')") == (1001, 202, False)
    open_ap = await make(main, device="open", ap=("cafe", ""))
    await open_ap.do("w.active(True)")
    assert await open_ap.ask("join('cafe', 'x')") == (1001, 210, False)
    assert await open_ap.ask("join('cafe')") == (1001, 1010, True)


async def test_the_network_goes_silent_and_comes_back(make, echo):
    board = await make(CLIENT)
    await board.do("w = join()")
    await board.do(f"s = dial({echo.port})")
    assert await board.ask("s.send(b'a') and s.recv(1)") == b"a"
    await board.net(False)
    assert await board.ask("(w.isconnected(), w.status())") == (False, 200)
    assert await board.ask("s.send(b'b') and readable(s, 100)") == 0
    assert await board.ask(f"errno(dial, {echo.port})") == -202
    assert echo.closed == 0
    await board.net(True)
    assert await board.ask("w.isconnected()") is True
    assert await board.ask("s.recv(1)") == b"b"


async def test_a_kept_address_is_refused_while_the_network_is_down(make, echo):
    board = await make(CLIENT)
    await board.do("join()")
    await board.do(f"a = socket.getaddrinfo('127.0.0.1', {echo.port})[0][-1]")
    await board.do("s = socket.socket()")
    await board.net(False)
    assert await board.ask("errno(s.connect, a)") == 111
    await board.net(True)
    await board.do("s = socket.socket();s.connect(a);s.send(b'q')")
    assert await board.ask("s.recv(1)") == b"q"


async def test_no_name_before_joining_and_no_server(make):
    board = await make(CLIENT)
    assert await board.ask("errno(dial, 1)") == -202
    await board.do("join()")
    await board.do("s = dial(1)")  # nobody listens there
    assert await board.ask("errno(s.recv, 1)") == 104


async def test_more_targets_than_ports(make, echo):
    board = await make(CLIENT)
    await board.do("join()")
    await board.do("[socket.getaddrinfo('127.0.0.1', n) for n in range(1, 7)]")
    await board.do(f"s = dial({echo.port})")
    assert await board.ask("s.send(b'a') and s.recv(1)") == b"a"


async def test_a_close_is_passed_on_and_a_death_is_silent(make, echo):
    board = await make(CLIENT)
    await board.do("join()")
    await board.do(f"s = dial({echo.port})")
    await board.do("s.send(b'a');s.recv(1);s.close()")
    await asyncio.sleep(0.1)
    assert (echo.opened, echo.closed) == (1, 1)
    await board.do(f"s = dial({echo.port})")
    await board.do("s.send(b'a');s.recv(1)")
    await board.power(False)
    await board.power(True)
    await board.ready(2)
    await asyncio.sleep(0.1)
    assert (echo.opened, echo.closed) == (2, 1)


async def test_the_way_through_is_quick(make, echo):
    board = await make(CLIENT)
    await board.do("join()")
    await board.do(f"s = dial({echo.port})")
    await board.ask("trips(s, 50)")
    began = time.monotonic()
    us = await board.ask("trips(s, 300)")
    # 300 round trips through one event loop that also serves the far end; a loaded machine may
    # take a while, Nagle's 40 ms must not be in it.
    assert us < 5000, (us, time.monotonic() - began)


def test_it_runs_on_uvloop_too(tmp_path):
    """Its transports and its child processes are not asyncio's own."""
    uvloop = pytest.importorskip("uvloop")

    async def session():
        async def serve(reader, writer):
            writer.write(await reader.readexactly(3))

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        (tmp_path / "main.py").write_text(CLIENT)
        async with Bench(tmp_path / "home", "uv", BoardConfig(), firmware=tmp_path) as board:
            await board.ready()
            await board.do("join()")
            # At once: before the launcher has reached the target.
            await board.do(f"s = dial({port});s.send(b'abc')")
            assert await board.ask("s.recv(3)") == b"abc"
            await board.net(False)
            await board.reset()
            await board.ready(2)
        server.close()

    uvloop.run(session())
