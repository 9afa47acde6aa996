"""Who may ask what over HTTP."""

import hashlib
import logging
import sqlite3
from pathlib import Path
from typing import Any

import httpx2
import pytest

from companion.app import Companion
from companion.config import Config, StoreConfig
from companion.config.keys import secrets
from companion.store import StoreError
from companion.store.tokens import TokenRow
from companion.web.gate import needed_scope
from companion.web.tokens import FRESH_S, Grant, TokenBook
from tests.companion.conftest import House, MakeHouse, Phrases


def http(companion: Companion, token: str) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(base_url=companion.url, headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/devices", "read"),
        ("GET", "/metrics", "read"),
        ("GET", "/reports/days", "read"),
        ("HEAD", "/devices", "read"),
        ("POST", "/devices/kitchen/explain", "read"),
        ("POST", "/devices/kitchen/say", "act"),
        ("POST", "/devices/kitchen/do", "act"),
        ("POST", "/devices/kitchen/say/", "admin"),
        ("POST", "/devices/a/b/say", "admin"),
        ("POST", "/devices", "admin"),
        ("POST", "/senders", "admin"),
        ("DELETE", "/senders/x", "admin"),
        ("GET", "/tokens", "admin"),
        ("DELETE", "/tokens/x", "admin"),
        ("PATCH", "/anything", "admin"),
    ],
)
def test_what_a_route_wants(method: str, path: str, scope: str) -> None:
    assert needed_scope(method, path) == scope


async def test_a_token_is_made_used_listed_and_removed(house: MakeHouse, tmp_path: Path) -> None:
    h: House = await house(http=True)
    async with http(h.companion, "test-token") as root:
        made = {}
        for scope in ("read", "act", "admin"):
            response = await root.post("/tokens", json={"name": f"my-{scope}", "scope": scope})
            assert response.status_code == 200
            made[scope] = response.json()["token"]
        rows = (await root.get("/tokens")).json()
        assert [(r["name"], r["scope"], r["last_used"]) for r in rows] == [
            ("my-act", "act", None),
            ("my-admin", "admin", None),
            ("my-read", "read", None),
        ]
        assert not any(token in str(rows) for token in made.values())

        say = {"json": {"text": "turn on pin 5"}}
        for scope, gets, says, adds in (
            ("read", 200, 403, 403),
            ("act", 200, 404, 403),  # There is no such device, but it may ask.
            ("admin", 200, 404, 409),
        ):
            async with http(h.companion, made[scope]) as named:
                assert (await named.get("/devices")).status_code == gets
                assert (await named.get("/metrics")).status_code == gets
                assert (await named.post("/devices/k/say", **say)).status_code == says
                again = await named.post("/tokens", json={"name": "my-act", "scope": "act"})
                assert again.status_code == adds
        async with http(h.companion, made["read"]) as named:
            error = (await named.post("/devices/k/say", **say)).json()["error"]
            assert error["code"] == "forbidden"
            assert "'my-read' is good for 'read'; this wants 'act'" in error["msg"]

        assert (await root.delete("/tokens/my-act")).status_code == 200
        assert (await root.delete("/tokens/my-act")).status_code == 404
        async with http(h.companion, made["act"]) as named:
            refused = await named.get("/devices")
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
    # Only hashes are kept.
    with sqlite3.connect(tmp_path / "companion.db") as db:
        kept = {name: hash_ for name, hash_ in db.execute("SELECT name, hash FROM tokens")}
    assert kept.keys() == {"my-read", "my-admin"}
    assert kept["my-read"] == hashlib.sha256(made["read"].encode()).hexdigest()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "x", "scope": "all"}, 422, "bad_message"),
        ({"name": "Bad Name", "scope": "read"}, 422, "bad_name"),
        ({"name": "root", "scope": "read"}, 422, "bad_name"),
        ({"name": "x"}, 422, "bad_message"),
    ],
)
async def test_what_no_token_can_be(
    house: MakeHouse, body: dict[str, str], status: int, code: str
) -> None:
    h: House = await house(http=True)
    async with http(h.companion, "test-token") as root:
        response = await root.post("/tokens", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_without_a_store_there_are_no_named_tokens() -> None:
    async with Companion(Config(), backends=[Phrases()]) as companion:
        async with http(companion, companion.token) as root:
            response = await root.post("/tokens", json={"name": "x", "scope": "read"})
            assert (response.status_code, response.json()["error"]["code"]) == (503, "no_store")
        async with http(companion, "gn_whatever") as named:
            assert (await named.get("/devices")).status_code == 401


async def test_another_companions_token_works_here(house: MakeHouse, tmp_path: Path) -> None:
    h: House = await house(http=True)
    async with http(h.companion, "test-token") as root:
        made = (await root.post("/tokens", json={"name": "app", "scope": "read"})).json()
    config = Config(store=StoreConfig(f"sqlite:///{tmp_path / 'companion.db'}"))
    async with Companion(config, backends=[Phrases()]) as other:
        assert other.token != made["token"]
        async with http(other, made["token"]) as named:
            assert (await named.get("/devices")).status_code == 200


class Kept:
    """A database in memory that can be away and counts how often it is read."""

    def __init__(self) -> None:
        self.rows: dict[str, TokenRow] = {}
        self.away = False
        self.reads = 0
        self.uses: list[tuple[str, float]] = []

    async def load(self) -> dict[str, TokenRow]:
        self.reads += 1
        if self.away:
            raise StoreError("the database is away")
        return dict(self.rows)

    async def add(self, row: TokenRow) -> bool:
        if row.name in self.rows:
            return False
        self.rows[row.name] = row
        return True

    async def remove(self, name: str) -> bool:
        return self.rows.pop(name, None) is not None

    async def used(self, name: str, when: float) -> None:
        self.uses.append((name, when))


async def test_tokens_are_read_again_after_two_seconds_and_survive_the_database(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept, now = Kept(), [100.0]
    book = TokenBook("root-token", kept, clock=lambda: now[0], monotonic=lambda: now[0])
    header = f"Bearer {await book.add('app', 'act')}".encode()
    assert await book.grant(header) == Grant("app", "act")
    for _ in range(5):
        await book.grant(header)
        # Guessing reads the database no more often than that.
        assert await book.grant(b"Bearer gn_guessed") is None
    assert kept.reads == 1
    # Another companion removes it.
    kept.rows.clear()
    now[0] += FRESH_S / 2
    assert await book.grant(header) == Grant("app", "act")
    now[0] += FRESH_S / 2
    assert await book.grant(header) is None
    # The database goes away: who was known stays known, and one line says so.
    header = f"Bearer {await book.add('app', 'read')}".encode()
    assert await book.grant(header) == Grant("app", "read")
    kept.away = True
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            now[0] += FRESH_S
            assert await book.grant(header) == Grant("app", "read")
    assert caplog.messages == ["API tokens cannot be read, those known go on: the database is away"]


async def test_use_is_noted_once_a_minute() -> None:
    kept, now = Kept(), [1000.0]
    book = TokenBook("root-token", kept, clock=lambda: now[0], monotonic=lambda: now[0])
    header = f"Bearer {await book.add('app', 'act')}".encode()
    for now[0] in (1000.0, 1001.0, 1059.0, 1060.0):
        await book.grant(header)
        await book.settle()
    assert kept.uses == [("app", 1000.0), ("app", 1060.0)]


@pytest.mark.parametrize(
    "header",
    [b"", b"Bearer", b"Bearer ", b"Basic root-token", b"root-token", b"Bearer root-token "],
)
async def test_what_is_no_bearer_token(header: bytes) -> None:
    assert await TokenBook("root-token", None).grant(header) is None


async def test_the_root_token_needs_no_database() -> None:
    kept = Kept()
    kept.away = True
    assert await TokenBook("root-token", kept).grant(b"bearer root-token") == Grant("root", "admin")
    assert kept.reads == 0


async def test_a_new_token_is_kept_out_of_the_log() -> None:
    token = await TokenBook("root-token", Kept()).add("app", "read")
    assert secrets.masked(f"the token {token}") == "the token ***"
