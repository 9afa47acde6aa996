"""HTTP: routes, who may use them, and what is told to who does it wrong."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from companion.app import Companion
from companion.config import Config, HttpConfig
from tests.companion.conftest import House, MakeHouse, Phrases, free_port, until
from tests.companion.test_dispatch import obedient


@contextlib.asynccontextmanager
async def client(companion: Companion, token: str = "test-token") -> AsyncIterator[Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(base_url=companion.url, headers=headers) as http:
        yield http


class Logins:
    """Credentials in memory."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {"old": "s0"}
        self.broken = False

    def add(self, device: str) -> str:
        if self.broken:
            raise OSError("the disk is full")
        self.secrets[device] = f"s{len(self.secrets)}"
        return self.secrets[device]

    def admit(self, device: str, secret: str) -> None:
        self.secrets[device] = secret

    def remove(self, device: str) -> None:
        self.secrets.pop(device, None)

    def update_key(self, device: str) -> bytes | None:
        return None

    def known(self, device: str) -> bool:
        return device in self.secrets

    def add_sender(self, name: str, devices: Any = (), events: Any = ()) -> tuple[str, str]:
        raise NotImplementedError

    def remove_sender(self, name: str) -> None:
        raise NotImplementedError

    def senders(self) -> dict[str, tuple[str, ...]]:
        return {}


async def test_say_do_and_devices(house: MakeHouse) -> None:
    h: House = await house(http=True)
    d = await h.device("kitchen")
    obedient(d)
    d.on_do = lambda m: d.send("done", {"id": m["id"], "receipt": {"level": 0}})
    d.send("state", {"v": 1, "points": {"lamp": {"pin": 5, "dir": "out", "level": 1}}}, True)
    fleet = h.companion.fleet
    await until("the points", lambda: (k := fleet.get("kitchen")) and k.points)
    async with client(h.companion) as http:
        assert (await http.get("/healthz")).json() == {
            "ok": True,
            "broker": True,
            "backends": ["commands"],
        }
        (kitchen,) = [e for e in (await http.get("/devices")).json() if e["device"] == "kitchen"]
        assert list(kitchen) == [
            "device", "name", "online", "boot", "fw", "board", "heap", "up", "clock", "safe",
            "points",
        ]  # fmt: skip
        assert kitchen["points"]["lamp"]["level"] == 1
        turn = (await http.post("/devices/kitchen/say", json={"text": "turn on pin 5"})).json()
        assert list(turn) == [
            "say", "reply", "calls", "backend", "tier", "why", "others", "ms", "usd",
            "tokens", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "estimated",
            "energy_j", "energy_how", "bytes_up", "bytes_down", "answered",
        ]  # fmt: skip
        assert turn["reply"] == "Pin 5 is on."
        body = {"tool": "gpio_read", "args": {"pin": 5}}
        done = (await http.post("/devices/kitchen/do", json=body)).json()
        assert done["receipt"] == {"level": 0} and done["id"]


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/devices", {"headers": {"Authorization": ""}}, 401, "unauthorized"),
        ("GET", "/devices", {"headers": {"Authorization": "Bearer x"}}, 401, "unauthorized"),
        (
            "POST",
            "/devices/k/say",
            {"headers": {"Authorization": "test-token"}},
            401,
            "unauthorized",
        ),
        ("GET", "/healthz", {"headers": {"Host": "evil.example"}}, 421, "bad_host"),
        ("GET", "/devices", {"headers": {"Host": "127.0.0.1.evil.example"}}, 421, "bad_host"),
        ("GET", "/nothing", {}, 404, "not_found"),
        ("GET", "/docs", {}, 404, "not_found"),
        ("DELETE", "/devices", {}, 405, "bad_method"),
        ("POST", "/devices/k/say", {"json": {}}, 422, "bad_message"),
        ("POST", "/devices/k/say", {"json": {"text": ""}}, 422, "bad_message"),
        ("POST", "/devices/k/say", {"json": {"text": 5}}, 422, "bad_message"),
        ("POST", "/devices/k/say", {"json": {"text": "x", "form": "y"}}, 422, "bad_message"),
        ("POST", "/devices/k/say", {"json": {"text": "x" * 1025}}, 422, "bad_message"),
        ("POST", "/devices/k/say", {"json": ["x"]}, 422, "bad_message"),
        ("POST", "/devices/k/say", {"content": b'{"text": "x"}'}, 422, "bad_message"),
        ("POST", "/devices/k/say", {"json": {"text": "x", "from": "y" * 33}}, 422, "bad_message"),
        ("POST", "/devices/k/say", {"json": {"text": "x" * 20_000}}, 413, "too_big"),
        ("POST", "/devices/k/say", {"json": {"text": "x"}}, 404, "unknown_device"),
        ("POST", "/devices/K%20/say", {"json": {"text": "x"}}, 404, "unknown_device"),
        ("POST", "/devices/k/do", {"json": {"tool": "t", "args": 5}}, 422, "bad_message"),
        ("POST", "/devices", {"json": {"device": "x"}}, 409, "no_credentials"),
        ("POST", "/devices", {"json": {"device": "Bad Name"}}, 422, "bad_device"),
        ("GET", "/devices/k/settings", {}, 404, "not_found"),
        ("POST", "/devices/k/settings", {"json": {"name": "x"}}, 404, "unknown_device"),
        ("POST", "/devices/k/settings", {"json": {"ca": "no PEM"}}, 422, "bad_message"),
        ("POST", "/devices/k/settings", {"json": {"key": "00" * 32}}, 422, "bad_message"),
        (
            "POST",
            "/devices/k/settings",
            {"json": {"host": "h", "port": 0, "key": "0" * 64}},
            404,
            "unknown_device",
        ),
    ],
    ids=lambda v: str(v)[:30],
)
async def test_what_is_wrong_gets_a_status_a_code_and_words(
    house: MakeHouse, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    h: House = await house(http=True)
    async with client(h.companion) as http:
        response = await http.request(method, path, **options)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["code"] == code
    assert len(error["msg"]) > 5


async def test_malformed_json_and_a_body_without_end(house: MakeHouse) -> None:
    h: House = await house(http=True)
    json_type = {"Content-Type": "application/json"}

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b'{"text": "' + b"x" * 1000

    async with client(h.companion) as http:
        response = await http.post("/devices/k/say", content=b'{"text":', headers=json_type)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_json")
        # Chunked: no Content-Length to judge it by.
        response = await http.post("/devices/k/say", content=endless(), headers=json_type)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "too_big")
        response = await http.post("/devices/k/say", content=b'{"text":"\xff"}', headers=json_type)
        assert response.status_code in (400, 422)


async def test_logins_are_made_and_renewed(house: MakeHouse) -> None:
    logins = Logins()
    h: House = await house(http=True, credentials=logins)
    async with client(h.companion) as http:
        made = (await http.post("/devices", json={"device": "new"})).json()
        assert made == {
            "device": "new",
            "secret": logins.secrets["new"],
            "broker": {"host": "127.0.0.1", "port": h.companion.broker.port},
        }
        again = await http.post("/devices", json={"device": "old"})
        assert again.status_code == 409 and "renew" in again.json()["error"]["msg"]
        assert logins.secrets["old"] == "s0"
        renewed = (await http.post("/devices", json={"device": "old", "renew": True})).json()
        assert renewed["secret"] == logins.secrets["old"] != "s0"
        logins.broken = True
        broken = await http.post("/devices", json={"device": "x"})
        assert broken.status_code == 500 and "disk is full" in broken.json()["error"]["msg"]


async def test_what_keeps_an_update_from_beginning_is_told_in_order(house: MakeHouse) -> None:
    h: House = await house(http=True, credentials=Logins())  # which hold nobody's key
    board = await h.device("kitchen")
    async with client(h.companion) as http:

        async def refused(device: str, **more: Any) -> tuple[int, str, str]:
            body = {"devices": [device], "manifest": "{}", "files": {}, **more}
            response = await http.post("/updates", json=body)
            error = response.json()["error"]
            return response.status_code, error["code"], error["msg"]

        status, code, msg = await refused("nobody")
        assert (status, code) == (404, "unknown_device") and "key" not in msg
        status, code, msg = await refused("kitchen")
        assert (status, code) == (409, "no_key") and "--renew" in msg
        assert (await refused("kitchen", keys={"kitchen": "ab" * 32}))[1] == "bad_manifest"
        answer = await http.post("/devices/kitchen/settings", json={"name": "hall"})
        assert answer.json()["error"]["code"] == "no_key"
        board.send("status", {"online": False, "boot": 3, "tools": "tools1"}, True)
        fleet = h.companion.fleet
        await until("it is off", lambda: (k := fleet.get("kitchen")) and not k.online)
        status, code, msg = await refused("kitchen")
        assert (status, code) == (409, "offline") and "key" not in msg


async def test_health_tells_of_the_broker_and_the_store(
    house: MakeHouse, own_broker: Any, tmp_path: Path
) -> None:
    (tmp_path / "bad.db").write_bytes(b"no database" * 100)
    h: House = await house(on=own_broker, http=True, store=tmp_path / "bad.db")
    async with client(h.companion, token="") as http:
        health = await http.get("/healthz")
        assert health.status_code == 200
        assert "damaged" in str(health.json()["problems"])
        own_broker.kill()
        await until("the loss", lambda: not h.companion.link.connected.is_set())
        health = await http.get("/healthz")
        assert health.status_code == 503
        assert health.json()["broker"] is False
        assert str(own_broker.port) in str(health.json()["problems"])


async def test_metrics_tell_of_answers_devices_and_the_store(house: MakeHouse) -> None:
    h: House = await house(http=True)
    d = await h.device("kitchen")
    d.ask("t1.1", ["u", "turn on pin 5"])
    await d.answer("t1.1")
    async with client(h.companion) as http:
        response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    answered = 'ganglion_answers_total{backend="commands",outcome="answered",tier="edge"} 1.0'
    assert answered in lines
    for line in ("open_asks 0.0", "broker_connected 1.0", "store_ok 1.0", "store_rows_dropped 0.0"):
        assert f"ganglion_{line}" in lines
    (online,) = [line for line in lines if line.startswith("ganglion_devices_online ")]
    assert float(online.split()[1]) >= 1


async def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        companion = Companion(Config(http=HttpConfig(port=port)), backends=[Phrases()])
        with pytest.raises(OSError, match=f"{port}.*in use.*another"):
            await companion.start()
        await companion.stop()


async def test_it_starts_without_a_broker_and_stops_at_once() -> None:
    from companion.config import BrokerConfig

    config = Config(broker=BrokerConfig(f"mqtt://127.0.0.1:{free_port()}"))
    companion = Companion(config, backends=[Phrases()])
    await companion.start()
    async with client(companion, companion.token) as http:
        assert (await http.get("/healthz")).status_code == 503
        response = await http.post("/devices/k/say", json={"text": "hi"})
        assert response.json()["error"]["code"] == "no_broker"
    await asyncio.wait_for(companion.stop(), 3)
