"""Policies and money as a device and a person meet them: a real broker, a real ledger."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from companion.app import Companion
from companion.backends.base import Answer, BackendError, Request, Usage
from companion.config.model import RouterConfig, Rule
from companion.meter.purse import Cap
from tests.companion.conftest import PRICES, House, MakeHouse, Model, Phrases, until
from tests.companion.router.fakes import FakePurse
from tests.companion.test_dispatch import obedient

COST = 100 * 1000 + 20 * 2000  # 1 and 2 USD per million


def says(text: str) -> Any:
    return lambda request: Answer(say=text, usage=Usage(100, 20))


def far(name: str = "far", **more: Any) -> Model:
    return Model(name, says("from afar"), quality=80, **more)


def home() -> Model:
    return Model(
        "home", says("from home"), tier="edge", prices=None, local=True, quality=20,
        typical_ms=5000,
    )  # fmt: skip


async def http(companion: Companion, method: str, path: str, **more: Any) -> Any:
    headers = {"Authorization": "Bearer test-token"}
    async with httpx2.AsyncClient(base_url=companion.url, headers=headers) as client:
        return await client.request(method, path, **more)


async def test_a_request_chooses_its_policy_and_is_told_why(house: MakeHouse) -> None:
    h: House = await house(Phrases(), far(), home(), http=True)
    d = await h.device("kitchen")
    obedient(d)

    async def say(**body: Any) -> Any:
        reply = await http(
            h.companion, "POST", "/devices/kitchen/say", json={"text": "sing", **body}
        )
        return reply.json()

    auto = await say()
    assert (auto["backend"], auto["reply"]) == ("far", "from afar")
    assert auto["why"].startswith("the cheapest within 4 s: about $")
    assert auto["usd"] == pytest.approx(COST / 1e9)
    assert auto["others"] == [{"backend": "home", "tier": "edge", "usd": 0}]
    private = await say(policy="private")
    assert (private["backend"], private["usd"]) == ("home", 0)
    assert private["others"] == [{"backend": "far", "tier": "premium", "usd": COST / 1e9}]
    # It travels in the id, so that whichever companion the device asks knows it.
    assert [say["id"][:2] == "p_" for say in d.of("say")] == [False, True]
    (row,) = await h.companion.store.by_turn("kitchen", d.of("say")[1]["id"])
    assert (row.policy, row.backend) == ("private", "home")
    refused = await http(
        h.companion, "POST", "/devices/kitchen/say", json={"text": "x", "policy": "order"}
    )
    assert refused.status_code == 422 and refused.json()["error"]["msg"].startswith("policy:")


async def test_what_is_private_stays_so_whatever_a_request_says(house: MakeHouse) -> None:
    outside = far()
    rules = (Rule(devices=("bedroom",), policy="private"),)
    h: House = await house(outside, home(), router=RouterConfig(rules=rules))
    bedroom, kitchen = await h.device("bedroom"), await h.device("kitchen")
    for device, id_, by in (
        (bedroom, "a1.1", "edge/home"),
        (bedroom, "b_Ab3-1.1", "edge/home"),
        (kitchen, "a1.1", "premium/far"),
        (kitchen, "p_Ab3-1.1", "edge/home"),
    ):
        device.ask(id_, ["u", "sing"])
        assert (await device.answer(id_))["by"] == by
    assert [r.device for r in outside.asked] == ["kitchen"]


async def test_a_commands_answer_says_what_a_model_would_have_cost(house: MakeHouse) -> None:
    h: House = await house(Phrases(), far())
    d = await h.device("kitchen")
    obedient(d)
    turn = (await h.companion.dispatch.say("kitchen", "turn on pin 5")).public()
    assert turn["why"] == "exact where it understands, free and at once"
    (other,) = turn["others"]
    # Instructions and two tools: some hundred tokens in, a call out.
    assert other["backend"] == "far" and 0.0002 < other["usd"] < 0.002
    (row,) = await h.companion.store.by_turn("kitchen", d.of("say")[0]["id"])
    assert 200 < row.would_in < 2000 and 5 < row.would_out < 60
    assert (row.tokens_in, row.nano_usd) == (0, 0)


async def test_a_spent_budget_is_said_and_nothing_stays_reserved(house: MakeHouse) -> None:
    outside = far()
    # Enough for one answer as reserved, and then no more.
    caps = (Cap("house", "day", nano=6_000_000),)
    h: House = await house(outside, home(), caps=caps)
    d = await h.device("kitchen")
    said = []
    for n in range(60):
        d.ask(f"a{n}.1", ["u", "sing"])
        said.append((await d.answer(f"a{n}.1"))["say"])
    spent = [text for text in said if text != "from afar"]
    # A minute long nobody tries again, so it is once and for all.
    assert said[: len(outside.asked)] == ["from afar"] * len(outside.asked)
    assert len(outside.asked) > 5
    turned = "The house's budget of today has too little left"
    assert set(spent) == {f"from home ({turned}, so home answered.)"}
    rows = [row for n in range(60) for row in await h.companion.store.by_turn("kitchen", f"a{n}")]
    assert sum(row.nano_usd for row in rows) == len(outside.asked) * COST <= 6_000_000
    assert "too little left" in rows[-1].reason
    counters = await h.companion.store._driver.fetch(
        "SELECT nano_spent, nano_reserved FROM counters"
    )
    assert counters == [(len(outside.asked) * COST, 0)]


async def test_an_ask_that_comes_to_two_companions_is_paid_for_once(house: MakeHouse) -> None:
    one, two = far(delay_s=0.3), far(delay_s=0.3)
    a: House = await house(one)
    b: House = await house(two)
    d = await a.device("kitchen")
    await until("the other's knowledge", lambda: b.companion.fleet.toolset("kitchen", "tools1"))
    # Round-robin: one goes to each, as when a device asks again.
    d.ask("a1.1", ["u", "sing"])
    d.ask("a1.1", ["u", "sing"])
    await d.answer("a1.1", n=2)
    assert len({payload for kind, _, payload in d.heard if kind == "answer"}) == 1
    assert len(one.asked) + len(two.asked) == 1
    await b.companion.store.flush()
    (row,) = await a.companion.store.by_turn("kitchen", "a1")
    assert row.nano_usd == COST


async def test_what_a_canceled_ask_may_have_cost_is_counted(house: MakeHouse) -> None:
    model = far(delay_s=60)
    h: House = await house(model)
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "sing"])
    await until("the model to be asked", lambda: model.asked)
    d.send("cancel", {"id": "a1.1"})
    d.ask("a1.1", ["u", "sing"])
    # One is the double's, at once; the other comes when what it cost is counted.
    assert (await d.answer("a1.1", n=2))["err"]["code"] == "canceled"
    row, beside = await h.companion.store.by_turn("kitchen", "a1")
    assert (row.outcome, row.estimated, row.nano_usd) == ("canceled", 1, 0)
    assert row.would_in > 0
    # The money is its backend's.
    assert (beside.outcome, beside.backend) == ("beside", model.card.name)
    assert beside.nano_usd > COST
    assert len(model.asked) == 1


async def test_what_came_second_is_its_own_money(house: MakeHouse) -> None:
    """One hangs, another answers: what each cost stands under its own name."""

    def broken(request: Request) -> Answer:
        raise BackendError("connection", "the connection was cut")

    dear = Model("dear", broken, quality=90)
    cheap = far("cheap")
    h: House = await house(dear, cheap, router=RouterConfig(policy="best"))
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "sing"])
    assert "say" in await d.answer("a1.1")
    answer, beside = await h.companion.store.by_turn("kitchen", "a1")
    assert (answer.backend, answer.nano_usd, answer.outcome) == ("cheap", COST, "answered")
    assert (beside.backend, beside.outcome, beside.estimated) == ("dear", "beside", 1)
    (total,) = await h.companion.store.totals()
    assert total.answers == 1
    assert total.usd == pytest.approx((answer.nano_usd + beside.nano_usd) / 1e9)


async def test_an_answer_is_counted_before_it_goes_but_does_not_wait_for_ever(
    house: MakeHouse, caplog: pytest.LogCaptureFixture
) -> None:
    class SlowToSettle(FakePurse):
        async def settle(self, *args: Any) -> None:
            settling.set()
            await release.wait()
            await super().settle(*args)

    settling, release = asyncio.Event(), asyncio.Event()
    model = far()
    h: House = await house(model)
    purse = SlowToSettle()
    h.companion.router._parts.purse = purse
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "sing"])
    await settling.wait()
    assert d.of("answer") == []
    # A double that comes now begins nothing, and it is too late to cancel.
    d.ask("a1.1", ["u", "sing"])
    d.send("cancel", {"id": "a1.1"})
    assert (await d.answer("a1.1"))["say"] == "from afar"
    assert len(model.asked) == 1
    # The next one waits as long; that was told.
    d.ask("a2.1", ["u", "sing again"])
    assert (await d.answer("a2.1"))["say"] == "from afar"
    assert caplog.text.count("takes long; its answer goes first") == 1
    release.set()
    await until("the counting", lambda: "a1.1" in purse.settled)
    nano, tokens, payload = purse.settled["a1.1"]
    assert (nano, tokens) == (COST, 120) and json.loads(payload)["say"] == "from afar"


async def test_explain_shows_the_plan_and_asks_nobody(house: MakeHouse) -> None:
    asked: list[Request] = []

    def down(request: Request) -> Answer:
        asked.append(request)
        raise BackendError("auth", "it refuses the key (401)")

    broken = Model("broken", down, quality=70, prices=PRICES)
    rules = (Rule(deny=("dear",)),)
    h: House = await house(
        Phrases(), broken, far(), far("dear"), home(), http=True, router=RouterConfig(rules=rules)
    )
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "sing"])
    assert (await d.answer("a1.1"))["by"] == "premium/far"
    assert len(asked) == 1

    async def explain(**params: str) -> Any:
        return (await http(h.companion, "GET", "/devices/kitchen/explain", params=params)).json()

    told = await explain(text="sing")
    assert (told["policy"], told["taken_by"], told["deny"]) == ("auto", None, ["dear"])
    assert [(c["backend"], c["rank"]) for c in told["candidates"]] == [
        ("commands", 1), ("far", 2), ("home", 3), ("broken", None), ("dear", None),
    ]  # fmt: skip
    reasons = {c["backend"]: c["reason"] for c in told["candidates"]}
    assert reasons["dear"] == "a rule denies it"
    assert reasons["broken"].startswith("it refuses the key (401), left alone for")
    assert (await explain(text="turn on pin 5"))["taken_by"] == "commands"
    private = await explain(text="sing", policy="private")
    assert [c["backend"] for c in private["candidates"] if c["rank"]] == ["commands", "home"]
    health = (await http(h.companion, "GET", "/healthz")).json()
    assert health["problems"] == [
        "broken: it refuses the key (401); check its key (see docs/backends.md)"
    ]
    assert len(asked) == 1
    nowhere = await http(h.companion, "GET", "/devices/attic/explain", params={"text": "x"})
    assert nowhere.status_code == 404


@pytest.mark.parametrize(
    ("cap", "reason"),
    [
        (Cap("device", "day", nano=1_000_000), ": $0.001, and this costs $0.0"),
        (Cap("device", "day", tokens=500), ": 500 tokens, and this takes "),
    ],
)
async def test_explain_knows_a_budget_that_nobody_has_run_into_yet(
    house: MakeHouse, cap: Cap, reason: str
) -> None:
    outside = far()
    h: House = await house(Phrases(), outside, home(), http=True, caps=(cap,))
    obedient(await h.device("kitchen"))
    params = {"text": "sing", "policy": "best"}
    told = (await http(h.companion, "GET", "/devices/kitchen/explain", params=params)).json()
    rows = {row["backend"]: row for row in told["candidates"]}
    assert rows["far"]["rank"] is None
    assert f"today's budget of kitchen has too little left{reason}" in rows["far"]["reason"]
    # And so it is.
    turn = await h.companion.dispatch.say("kitchen", "sing", policy="best")
    assert (rows["home"]["rank"], turn.backend, outside.asked) == (2, "home", [])
