"""What devices see of backends that fail, over the real wire: an answer or an honest refusal, in
time, and no budget overspent."""

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

from tests.companion.conftest import Broker, until
from tests.companion.crowd import Crowd, crowd
from tests.companion.provider import ANSWER_NANO, ANSWERING, FAULTS, provider
from tests.companion.serving import Serving

ASK_MS = 3000
ROUNDS = 2
AT_ONCE = 4

BACKEND = """
[[backend]]
name = "{name}"
url = "{url}/{name}"
model = "scripted"
house = false
typical_ms = 100
input_usd_per_mtok = 1
output_usd_per_mtok = 2
"""
RULE = """
[[router.rule]]
devices = ["{device}"]
allow = {allow}
"""
BUDGET = """
[[budget]]
scope = "house"
per = "day"
usd = {usd}
"""


async def stopped(companion: Serving) -> None:
    await asyncio.to_thread(companion.stop)


def books(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "companion.db")


async def one_ask(boards: Crowd, fault: str, id_: str) -> None:
    """By a board that has this backend alone, and by one that has a good one behind it."""
    behind, alone = await asyncio.gather(
        boards.ask(fault, id_, "what is love", ms=ASK_MS, late_ms=5000),
        boards.ask(f"{fault}-alone", id_, "what is love", ms=ASK_MS, late_ms=5000),
    )
    if fault in ANSWERING:
        assert behind["by"] in ("commodity/good", f"commodity/{fault}")
        assert alone["by"] == f"commodity/{fault}"
    else:
        assert behind["by"] == "commodity/good"
        assert alone["err"]["code"] == "no_answer"


async def test_whatever_fails_devices_hear_within_their_deadline(
    broker: Broker, tmp_path: Path
) -> None:
    """Each fault alone, and each with a backend behind it that is well."""
    order = ["commands", *FAULTS, "good"]
    devices = [*FAULTS, *(f"{fault}-alone" for fault in FAULTS)]
    async with provider() as upstream:
        parts = [f'[router]\npolicy = "order"\norder = {json.dumps(order)}\n']
        parts += [BACKEND.format(name=name, url=upstream.url) for name in (*FAULTS, "good")]
        for fault in FAULTS:
            allowed = ["commands", fault]
            parts.append(RULE.format(device=f"{fault}-alone", allow=json.dumps(allowed)))
            parts.append(RULE.format(device=fault, allow=json.dumps([*allowed, "good"])))
        parts.append(BUDGET.format(usd=1000))
        # `cut` is a stream without its end.
        config = "".join(parts).replace('name = "cut"\n', 'name = "cut"\nstream = true\n')
        home = tmp_path / "home"
        companion = await asyncio.to_thread(Serving, home, broker.url, config)
        try:
            await asyncio.to_thread(companion.ready)
            async with crowd(broker.url, devices) as boards:
                # Round after round, since breakers open after the first.
                for n in range(ROUNDS):
                    await asyncio.gather(
                        *(
                            one_ask(boards, fault, f"r{n}{m}.1")
                            for fault in FAULTS
                            for m in range(AT_ONCE)
                        )
                    )
        finally:
            await stopped(companion)
        assert all(upstream.asked[fault] for fault in FAULTS)
    took_s = sorted(boards.took_s.values())
    assert len(took_s) == len(devices) * AT_ONCE * ROUNDS
    assert took_s[int(0.99 * len(took_s))] < ASK_MS / 1000
    with contextlib.closing(books(home)) as db:
        assert db.execute("SELECT SUM(nano_reserved) FROM counters").fetchone() == (0,)


async def test_two_hundred_at_once_overspend_nothing(broker: Broker, tmp_path: Path) -> None:
    """A provider that reports absurd usage is the worst case: each answer is settled at the most
    that was reserved, and the budget is as good as used up to the last."""
    devices = [f"spender{n}" for n in range(40)]
    cap_usd = 0.05
    async with provider() as upstream:
        config = BACKEND.format(name="lying", url=upstream.url) + BUDGET.format(usd=cap_usd)
        config += "\n[limits]\nconcurrent_asks = 300\n"
        home = tmp_path / "home"
        companion = await asyncio.to_thread(Serving, home, broker.url, config)
        try:
            await asyncio.to_thread(companion.ready)
            async with crowd(broker.url, devices) as boards:
                asks = [
                    boards.ask(device, f"k{n}.1", "what is love", ms=10_000)
                    for device in devices
                    for n in range(5)
                ]
                answers = await asyncio.gather(*asks)
        finally:
            await stopped(companion)
    answered = [answer for answer in answers if "by" in answer]
    refused = [answer for answer in answers if "err" in answer]
    assert answered and refused and len(answers) == 200
    assert all("budget" in answer["err"]["msg"] for answer in refused)
    with contextlib.closing(books(home)) as db:
        (reserved, spent) = db.execute("SELECT nano_reserved, nano_spent FROM counters").fetchone()
        (billed,) = db.execute("SELECT SUM(nano_usd) FROM answers").fetchone()
        dearest, suspects = db.execute(
            "SELECT MAX(nano_usd), SUM(estimated) FROM answers WHERE outcome = 'answered'"
        ).fetchone()
    cap = round(cap_usd * 1_000_000_000)
    assert reserved == 0
    assert spent == billed <= cap
    # No room was left for another: the cap was what stopped them.
    assert spent + dearest > cap
    assert suspects == len(answered) == upstream.asked["lying"]


async def test_after_a_crash_nothing_stays_reserved(broker: Broker, tmp_path: Path) -> None:
    devices = [f"crash{n}" for n in range(20)]
    home = tmp_path / "home"
    async with provider() as upstream:
        config = BACKEND.format(name="slow", url=upstream.url) + BUDGET.format(usd=1)
        companion = await asyncio.to_thread(Serving, home, broker.url, config)
        try:
            await asyncio.to_thread(companion.ready)
            async with crowd(broker.url, devices) as boards:
                asks = asyncio.gather(
                    *(boards.ask(name, "k.1", "what is love", ms=25_000) for name in devices)
                )
                await until("all of them", lambda: upstream.asked["slow"] == len(devices))
                companion.kill()
                with contextlib.closing(books(home)) as db:
                    (left,) = db.execute("SELECT SUM(nano_reserved) FROM counters").fetchone()
                assert left > 0
                companion = await asyncio.to_thread(Serving, home, broker.url, config)
                await asyncio.to_thread(companion.ready)
                answers = await asks
        finally:
            await stopped(companion)
    assert {answer.get("by") for answer in answers} == {"commodity/slow"}
    with contextlib.closing(books(home)) as db:
        counters = db.execute("SELECT nano_reserved, nano_spent FROM counters").fetchall()
        claims = db.execute("SELECT state, nano FROM claims").fetchall()
    assert counters == [(0, ANSWER_NANO * len(devices))]
    assert claims == [("settled", ANSWER_NANO)] * len(devices)
