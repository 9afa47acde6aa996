"""Two companions on one broker and one PostgreSQL, one of them killed under load."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from tests.companion.conftest import Broker, until
from tests.companion.crowd import crowd
from tests.companion.provider import ANSWER_NANO, provider
from tests.companion.serving import Serving

DEVICES = 50
ASKS_EACH = 4

CONFIG = """
[limits]
concurrent_asks = 300

[store]
url = "{store}"
password_env = "STORE_PASSWORD"

[[backend]]
name = "cloud"
url = "{cloud}/slow"
model = "scripted"
house = false
input_usd_per_mtok = 1
output_usd_per_mtok = 2

[[budget]]
scope = "house"
per = "day"
usd = 100
"""


async def test_one_is_killed_and_every_ask_is_answered_once_and_billed_once(
    broker: Broker, postgres_url: str, tmp_path: Path
) -> None:
    names = [f"board{n}" for n in range(DEVICES)]
    async with provider() as cloud:
        parts = urlsplit(postgres_url)
        bare = parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@")).geturl()
        config = CONFIG.format(store=bare, cloud=cloud.url)
        env = {"STORE_PASSWORD": parts.password or ""}
        first = Serving(tmp_path / "first", broker.url, config, env=env)
        second = Serving(tmp_path / "second", broker.url, config, env=env)
        try:
            await asyncio.to_thread(first.ready)
            await asyncio.to_thread(second.ready)
            async with crowd(broker.url, names) as boards:
                # Both have their share of these.
                await asyncio.gather(*(boards.ask(name, "w.1", "what is love") for name in names))
                seen = cloud.asked["slow"]
                asks = [
                    asyncio.create_task(boards.ask(name, f"k{n}.1", "what is love", ms=30_000))
                    for name in names
                    for n in range(ASKS_EACH)
                ]
                await until("half of them", lambda: cloud.asked["slow"] - seen >= len(asks) // 2)
                first.kill()
                answers = await asyncio.gather(*asks)
                assert boards.asked_again > 0
                assert [a for a in answers if a.get("by") != "commodity/cloud"] == []
        finally:
            await asyncio.to_thread(first.stop)
            await asyncio.to_thread(second.stop)
    # The provider gives no answer twice, so an ask that was put to it twice would show.
    assert len(boards.answers) == DEVICES * (ASKS_EACH + 1)
    assert all(len(set(payloads)) == 1 for payloads in boards.answers.values())

    db = await asyncpg.connect(postgres_url)
    try:
        claims = await db.fetch("SELECT device, ask, owner, state, nano, payload FROM claims")
        counters = await db.fetch("SELECT nano_reserved, nano_spent FROM counters")
        rows = await db.fetch("SELECT device, ask, outcome, nano_usd FROM answers")
    finally:
        await db.close()
    assert {(c["device"], c["ask"]): c["payload"] for c in claims} == {
        key: payloads[0] for key, payloads in boards.answers.items()
    }
    assert {c["state"] for c in claims} == {"settled"}
    assert len({c["owner"] for c in claims}) == 2
    assert {c["nano"] for c in claims} == {ANSWER_NANO}
    total = ANSWER_NANO * len(claims)
    assert [(c["nano_reserved"], c["nano_spent"]) for c in counters] == [(0, total)]
    assert {(r["device"], r["ask"]) for r in rows} == set(boards.answers)
    assert {r["outcome"] for r in rows} == {"answered"}
    assert {r["nano_usd"] for r in rows} == {ANSWER_NANO}
    assert len({json.loads(c["payload"])["say"] for c in claims}) == len(claims)
