"""Two companions on one broker and one PostgreSQL, one of them killed under load."""

import asyncio
import json
from pathlib import Path

import asyncpg

from tests.companion.conftest import Broker, until
from tests.companion.crowd import crowd
from tests.companion.scripted_upstream import USAGE, ScriptedUpstream
from tests.companion.serving import Serving

DEVICES = 50
ASKS_EACH = 4
ANSWER_S = 0.8

CONFIG = """
[limits]
concurrent_asks = 300

[store]
url = "{store}"

[[backend]]
name = "cloud"
url = "{cloud}"
model = "scripted"
house = false
input_usd_per_mtok = 1
output_usd_per_mtok = 2

[[budget]]
scope = "house"
per = "day"
usd = 100
"""
# USD per million tokens are pico-dollars a token: what one scripted answer costs.
ANSWER_NANO = (USAGE["prompt_tokens"] * 1_000_000 + USAGE["completion_tokens"] * 2_000_000) // 1000


async def test_one_is_killed_and_every_ask_is_answered_once_and_billed_once(
    broker: Broker, postgres_url: str, tmp_path: Path
) -> None:
    names = [f"board{n}" for n in range(DEVICES)]
    with ScriptedUpstream() as cloud:
        config = CONFIG.format(store=postgres_url, cloud=cloud.url)
        # Each answer differs, so that one given twice would show.
        cloud.script({"text": f"answer {n}", "delay_s": ANSWER_S} for n in range(2000))
        first = Serving(tmp_path / "first", broker.url, config)
        second = Serving(tmp_path / "second", broker.url, config)
        try:
            first.ready()
            second.ready()
            async with crowd(broker.url, names) as boards:
                # Both have their share of these.
                await asyncio.gather(*(boards.ask(name, "w.1", "what is love") for name in names))
                seen = len(cloud.requests)
                asks = [
                    asyncio.create_task(boards.ask(name, f"k{n}.1", "what is love", ms=30_000))
                    for name in names
                    for n in range(ASKS_EACH)
                ]
                await until("half of them", lambda: len(cloud.requests) - seen >= len(asks) // 2)
                first.kill()
                answers = await asyncio.gather(*asks)
                assert boards.asked_again > 0
                assert all(answer.get("by") == "commodity/cloud" for answer in answers)
        finally:
            first.stop()
            second.stop()
    # Never two different answers to one ask.
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
