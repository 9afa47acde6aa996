"""The HTTP client of a backend: real sockets on loopback, and HTTP/2 over real TLS."""

import asyncio
import contextlib
import json
import logging
import os
import select
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from companion.backends import http
from companion.backends.base import BackendError, Card
from companion.backends.openai import OpenAIBackend
from tests.companion.conftest import until
from tests.companion.scripted_upstream import ScriptedUpstream, completion
from tests.companion.test_openai import KEY, request
from tests.companion.tls_server import Seen, tls_server

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="it looks at its sockets in /proc"
)
H2, H1 = ("h2", "http/1.1"), ("http/1.1",)


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as u:
        yield u


@pytest_asyncio.fixture
async def h2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, Seen]]:
    async with tls_server(tmp_path, H2) as (url, seen):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        yield url, seen


@contextlib.asynccontextmanager
async def made(url: str, *, local: bool = True) -> AsyncIterator[OpenAIBackend]:
    backend = OpenAIBackend(Card("cloud", model="small", local=local), url, key=KEY)
    yield backend
    await backend.aclose()


# -- HTTP/2


def _connected_to(port: int) -> Iterator[socket.socket]:
    """A duplicate of each of this process's sockets that is connected to a port."""
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if not str(fd.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(fd.name))) as sock:
                if sock.family == socket.AF_INET and sock.getpeername()[1] == port:
                    yield sock


def _pending_from(port: int) -> bool:
    """Whether bytes or an end have come that nobody has read."""
    return any(select.select([sock], [], [], 0)[0] for sock in _connected_to(port))


async def test_http_2_is_spoken_where_it_is_offered_on_one_connection(
    h2: tuple[str, Seen],
) -> None:
    url, seen = h2
    async with made(url) as backend:
        seen.hang.clear()
        asks = [asyncio.create_task(backend.answer(request())) for _ in range(5)]
        await until("all at once", lambda: len(seen.versions) == 5)
        seen.hang.set()
        answers = await asyncio.gather(*asks)
        await backend.answer(request())
    assert [a.say for a in answers] == ["Hi."] * 5
    assert set(seen.versions) == {"2"} and len(set(seen.connections)) == 1
    assert seen.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_without_http_2_it_is_http_1_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tls_server(tmp_path, H1) as (url, seen):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with made(url) as backend:
            for _ in range(2):
                assert (await backend.answer(request())).say == "Hi."
    assert seen.versions == ["1.1"] * 2 and len(set(seen.connections)) == 1


async def test_a_certificate_of_an_unknown_ca_is_refused(tmp_path: Path) -> None:
    async with tls_server(tmp_path, H2) as (url, seen), made(url) as backend:
        with pytest.raises(BackendError) as caught:
            await backend.answer(request())
    assert caught.value.code == "connection" and "certificate" in caught.value.msg
    assert seen.versions == []


async def test_cancelling_one_leaves_the_others_their_connection(h2: tuple[str, Seen]) -> None:
    url, seen = h2
    async with made(url) as backend:
        seen.hang.clear()
        one, two = (asyncio.create_task(backend.answer(request())) for _ in range(2))
        await until("both", lambda: len(seen.versions) == 2)
        one.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one
        seen.hang.set()
        assert (await two).say == "Hi."
        assert (await backend.answer(request())).say == "Hi."
    assert len(set(seen.connections)) == 1


async def test_a_hang_over_http_2_ends_at_the_deadline(h2: tuple[str, Seen]) -> None:
    url, seen = h2
    async with made(url) as backend:
        await backend.answer(request())
        seen.hang.clear()
        began = time.monotonic()
        with pytest.raises(BackendError) as caught:
            await backend.answer(request(seconds=0.3))
        assert caught.value.code == "timeout" and time.monotonic() - began < 1


@needs_proc
@pytest.mark.parametrize("alpn", [H2, H1])
async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alpn: tuple[str, ...]
) -> None:
    async with tls_server(tmp_path, alpn, idle_s=0.05) as (url, seen):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        port = int(url.split(":")[2].split("/")[0])
        async with made(url) as backend:
            for _ in range(3):
                assert (await backend.answer(request())).say == "Hi."
                await until("its end", lambda: _pending_from(port))
    assert len(set(seen.connections)) == len(seen.versions) == 3


@needs_proc
async def test_nor_is_one_without_tls() -> None:
    body = json.dumps(completion("Hi.")).encode()
    seen = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()  # without having said so in a header

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with made(f"http://127.0.0.1:{port}/v1") as backend:
            for _ in range(3):
                assert (await backend.answer(request())).say == "Hi."
                await until("its end", lambda: not list(_connected_to(port)))
    assert len(seen) == 3


async def test_the_key_is_in_no_log_of_the_http_2_stack(
    h2: tuple[str, Seen], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with made(h2[0]) as backend:
        await backend.answer(request())
    assert caplog.text and KEY not in caplog.text
    # What is compressed is not seen in a text, and can be read from it all the same.
    assert not [record for record in caplog.records if record.name.startswith("hpack")]


async def test_a_warm_connection_is_the_first_request_s(h2: tuple[str, Seen]) -> None:
    url, seen = h2
    async with made(url) as backend:
        await backend.warm()
        await backend.answer(request())
    assert seen.methods == ["HEAD", "POST"] and len(set(seen.connections)) == 1
    assert "authorization" not in seen.headers[0]


async def test_warming_what_is_not_there_says_nothing() -> None:
    for url in ("http://127.0.0.1:9/v1", "https://127.0.0.1:9/v1"):
        async with made(url) as backend:
            await backend.warm()


# -- where it goes


async def test_no_redirect_is_followed(upstream: ScriptedUpstream, h2: tuple[str, Seen]) -> None:
    with ScriptedUpstream() as outside:
        location = f"{outside.url}/chat/completions"
        upstream.script([{"status": 307, "headers": {"Location": location}}])
        h2[1].location = location
        for url in (upstream.url, h2[0]):
            async with made(url) as backend:
                with pytest.raises(BackendError) as caught:
                    await backend.answer(request())
                assert caught.value.code == "bad_request" and "redirects" in caught.value.msg
        assert outside.requests == []


async def test_a_proxy_is_asked_for_the_outside_and_never_for_the_house(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedUpstream() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        upstream.script([{"text": "direct"}])
        proxy.script([{"text": "by proxy"}])
        async with made(upstream.url) as backend:
            assert (await backend.answer(request())).say == "direct"
        assert proxy.paths == []
        async with made(upstream.url, local=False) as backend:
            assert (await backend.answer(request())).say == "by proxy"
        assert proxy.paths == [f"{upstream.url}/chat/completions"]
        # What is exempt needs no proxy either.
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        upstream.script([{"text": "direct"}])
        async with made(upstream.url, local=False) as backend:
            assert (await backend.answer(request())).say == "direct"


async def test_over_tls_the_house_is_reached_without_a_proxy_too(
    h2: tuple[str, Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    async with made(h2[0]) as backend:
        assert (await backend.answer(request())).say == "Hi."


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/v1", "127.0.0.1:8080/v1", "http:///v1"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        OpenAIBackend(Card("c"), url)


async def test_a_query_stays_behind_the_path(upstream: ScriptedUpstream) -> None:
    upstream.script([{"text": "ok"}])
    async with made(f"{upstream.url}/?version=2") as backend:
        await backend.answer(request())
    assert upstream.paths == ["/v1/chat/completions?version=2"]


# -- time and size


@needs_proc
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nagle_is_off(scheme: str, upstream: ScriptedUpstream, h2: tuple[str, Seen]) -> None:
    upstream.script([{"text": "ok"}])
    url = upstream.url if scheme == "http" else h2[0]
    async with made(url) as backend:
        await backend.answer(request())
        port = int(url.split(":")[2].split("/")[0])
        option = socket.IPPROTO_TCP, socket.TCP_NODELAY
        assert [sock.getsockopt(*option) for sock in _connected_to(port)] == [1]


async def test_who_takes_no_connection_is_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECT_S", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:  # past the backlog the kernel drops what knocks
            sock.setblocking(False)
            sock.connect_ex(address)
        for scheme in ("http", "https"):
            async with made(f"{scheme}://127.0.0.1:{address[1]}/v1") as backend:
                began = time.monotonic()
                with pytest.raises(BackendError) as caught:
                    await backend.answer(request(seconds=10))
                assert caught.value.code == "connection"
                assert "reached" in caught.value.msg and time.monotonic() - began < 2
        for sock in waiting:
            sock.close()


async def test_a_body_that_drips_ends_at_the_deadline(upstream: ScriptedUpstream) -> None:
    upstream.script([{"stream": [b" ", 0.05] * 100, "content_type": "application/json"}])
    async with made(upstream.url) as backend:
        began = time.monotonic()
        with pytest.raises(BackendError) as caught:
            await backend.answer(request(seconds=0.3))
        assert caught.value.code == "timeout" and time.monotonic() - began < 1


async def test_a_status_counts_whatever_becomes_of_its_body(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = {"status": 429, "retry_after_s": 7}
    upstream.script(
        [
            {**limit, "stream": [b"{", 30]},
            {**limit, "stream": [b"{"], "cut": True},
            {**limit, "body": b" " * (http.BODY_BYTES_MAX + 1)},
        ]
    )
    async with made(upstream.url) as backend:
        for _ in range(3):
            with pytest.raises(BackendError) as caught:
                await backend.answer(request())
            assert (caught.value.code, caught.value.retry_after_s) == ("rate_limit", 7)


async def test_without_a_key_none_is_sent_and_a_broken_one_is_no_header(
    upstream: ScriptedUpstream,
) -> None:
    upstream.script([{"text": "ok"}])
    card = Card("c", model="m")
    plain = OpenAIBackend(card, upstream.url)
    await plain.answer(request())
    assert "authorization" not in upstream.headers[0]
    await plain.aclose()
    for key in ("sk-a\r\nx-evil: 1", "sk-ä"):
        broken = OpenAIBackend(card, upstream.url, key=key)
        with pytest.raises(BackendError) as caught:
            await broken.answer(request())
        assert caught.value.code == "auth" and key not in caught.value.msg
        await broken.aclose()
    assert len(upstream.requests) == 1


# -- nobody there


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("127.0.0.1:9", "nothing listens there"),
        ("gone.invalid", "the name of its host is not known"),
    ],
)
async def test_who_cannot_be_reached_is_told_why(scheme: str, host: str, words: str) -> None:
    async with made(f"{scheme}://{host}/v1") as backend:
        with pytest.raises(BackendError) as caught:
            await backend.answer(request())
    assert caught.value.msg == f"it cannot be reached: {words}"
    assert (caught.value.code, caught.value.sent) == ("connection", False)
