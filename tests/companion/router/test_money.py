"""What an ask costs, what it may cost, and what is said when a budget is spent."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from companion.backends.base import Answer, BackendError, Call, Declined, Prices, Usage
from companion.config.model import StoreConfig
from companion.meter import cost_nano_usd
from companion.meter.purse import PurseError
from companion.router import Answered, NoAnswer, Repeated, Router, Signal, Tab
from companion.store import Store
from tests.companion.conftest import PRICES, Model, Phrases, until
from tests.companion.router.fakes import (
    FakePurse,
    carry_out,
    one_slot,
    raises,
    request,
    says,
)

USAGE = Usage(100, 20, 60, 5)
COST = cost_nano_usd(PRICES, 100, 20, 60)


def house(typical_ms: int = 4500) -> Model:
    """Too slow to be the first at ``auto``."""
    card: Any = {"tier": "edge", "local": True, "quality": 10, "typical_ms": typical_ms}
    return Model("house", says("from home"), prices=None, **card)


def router(*backends: Any, purse: FakePurse, nano: int | None = 10**9, **more: Any) -> Router:
    slots = None if nano is None else one_slot(nano)
    return Router(backends, purse=purse, slots=slots, **more)


async def test_an_answer_is_reserved_at_the_most_and_costs_what_it_did() -> None:
    purse, tab = FakePurse(), Tab("t.1")
    r = router(Model("m", says("hi", USAGE)), purse=purse)
    outcome = await carry_out(r, request(), tab=tab)
    assert isinstance(outcome, Answered)
    bill = outcome.bill
    assert (bill.nano, bill.tokens, bill.claimed, bill.estimated) == (COST, 120, True, False)
    (claim,) = purse.claims["t.1"]
    # The text alone has five bytes; the answer may have 1024 tokens at 2 USD per million.
    assert claim.nano > 1024 * 2000 and claim.tokens > 1024
    assert claim.nano > bill.nano
    await r.settle("kitchen", "t.1", bill, outcome.payload)
    assert purse.settled == {"t.1": (COST, 120, b"hi")}
    assert purse.counted("house//day/1") == COST


async def test_a_free_backend_never_touches_the_purse() -> None:
    purse = FakePurse(error=PurseError("the disk is full"))
    outcome = await carry_out(router(house(), purse=purse), request())
    assert isinstance(outcome, Answered)
    assert (outcome.bill.nano, outcome.bill.claimed) == (0, False)


async def test_without_a_budget_an_ask_is_claimed_all_the_same() -> None:
    purse = FakePurse()
    outcome = await carry_out(router(Model("m", says("hi")), purse=purse, nano=None), request())
    assert isinstance(outcome, Answered) and outcome.bill.claimed
    assert [claim.slots for claim in purse.claims["t"]] == [()]


@pytest.mark.parametrize(
    ("script", "cost"),
    [
        (raises(BackendError("auth", "401")), 0),
        (raises(BackendError("not_found", "404")), 0),
        (raises(BackendError("bad_request", "400")), 0),
        (raises(BackendError("rate_limit", "429")), 0),
        (raises(BackendError("server", "500")), 0),
        (raises(BackendError("connection", "refused", sent=False)), 0),
        (raises(Declined("not mine")), 0),
        (says("lie", USAGE), COST),
        # Nobody will tell what these cost.
        (raises(BackendError("connection", "the connection was cut")), None),
        (raises(BackendError("timeout", "no answer")), None),
        (raises(BackendError("bad_response", "its stream ended")), None),
        (raises(BackendError("refused", "its filter")), None),
        (raises(ZeroDivisionError()), None),
    ],
)
async def test_what_a_failure_costs(script: Any, cost: int | None) -> None:
    purse = FakePurse()
    r = router(Model("m", script), house(), purse=purse)
    outcome = await carry_out(r, request())
    assert isinstance(outcome, Answered) and outcome.backend.card.name == "house"
    most = purse.claims["t"][0].nano
    assert outcome.bill.nano == (most if cost is None else cost)
    assert outcome.bill.estimated is (cost is None)
    # It was a backend that failed, not a budget.
    assert outcome.payload == b"from home"


async def test_a_provider_that_lies_about_its_usage_costs_no_more_than_was_reserved() -> None:
    purse = FakePurse()
    liar = Model("m", says("hi", Usage(10**9, 10**9)))
    outcome = await carry_out(router(liar, purse=purse), request())
    assert isinstance(outcome, Answered)
    assert outcome.bill.nano == purse.claims["t"][0].nano
    assert outcome.bill.tokens == purse.claims["t"][0].tokens
    assert outcome.bill.estimated


async def test_a_hanging_one_costs_the_most_and_so_does_the_second_of_a_hedge() -> None:
    purse = FakePurse()
    slow = Model("slow", says("late"), delay_s=60, typical_ms=50)
    quick = Model("quick", says("hi", USAGE), typical_ms=3000)
    outcome = await carry_out(router(slow, quick, purse=purse), request())
    assert isinstance(outcome, Answered) and outcome.payload == b"hi"
    first, _ = purse.claims["t"]
    assert outcome.bill.nano == first.nano + COST
    assert outcome.bill.estimated
    await asyncio.sleep(0)
    assert slow.canceled == 1


async def test_a_machine_by_the_hour_is_reserved_for_the_time_there_is() -> None:
    purse = FakePurse()
    prices = Prices(0, 0, 0, hour_nano=3_600_000_000)  # 1 nano-dollar a microsecond
    hired = Model("hired", says("hi"), delay_s=0.1, prices=prices)
    outcome = await carry_out(router(hired, purse=purse), request(seconds=2))
    assert isinstance(outcome, Answered)
    assert 1_900_000 <= purse.claims["t"][0].nano <= 2_000_000
    assert 100_000 <= outcome.bill.nano < 400_000


# -- when there is not enough


async def test_a_spent_budget_turns_the_plan_to_the_house_and_says_so() -> None:
    purse = FakePurse()
    dear = Model("dear", says("never"))
    r = router(dear, Model("able", says("never")), house(), purse=purse, nano=1000)
    outcome = await carry_out(r, request())
    assert isinstance(outcome, Answered)
    said = b"from home (Today's budget of the house has too little left, so house answered.)"
    assert outcome.payload == said
    assert "today's budget of the house has too little left" in outcome.reason
    assert (outcome.bill.nano, outcome.bill.claimed) == (0, False)
    assert dear.asked == []
    # For a while it is known beforehand, and the plan says it.
    spent = r.spent("kitchen")
    assert spent == "today's budget of the house has too little left"
    again = await carry_out(r, request(), Signal(True, spent=spent))
    assert isinstance(again, Answered) and again.payload == said
    # What a routine wants to show is left as it is.
    text = await carry_out(r, request(), Signal(True, wants_text=True, spent=spent))
    assert isinstance(text, Answered) and text.payload == b"from home"


async def test_who_would_have_been_first_anyway_does_not_speak_of_money() -> None:
    r = router(house(typical_ms=100), Model("dear", says("never")), purse=FakePurse(), nano=1)
    signal = Signal(True, spent="today's budget of the house has too little left")
    outcome = await carry_out(r, request(), signal)
    assert isinstance(outcome, Answered) and outcome.payload == b"from home"


async def test_nobody_in_the_house_is_an_honest_refusal() -> None:
    r = router(Phrases(), Model("dear", says("never")), purse=FakePurse(), nano=1000)
    outcome = await carry_out(r, request())
    assert isinstance(outcome, NoAnswer)
    assert outcome.msg == (
        "Nobody could answer: commands: I know no such request; dear: today's budget of the house "
        "has too little left. Raise that budget (see docs/spending.md), wait for it to begin "
        "anew or say it as 'turn on pin 5'."
    )


async def test_what_was_reserved_for_nothing_is_there_again() -> None:
    purse = FakePurse()
    model = Model("m", says("hi", USAGE), delay_s=0.05)
    most = 5_000_000  # Enough for one at a time.
    r = router(model, purse=purse, nano=most)
    first = asyncio.create_task(carry_out(r, request(), tab=Tab("a.1")))
    await asyncio.sleep(0.01)
    assert isinstance(await carry_out(r, request(), tab=Tab("b.1")), NoAnswer)
    assert r.spent("kitchen")
    outcome = await first
    assert isinstance(outcome, Answered)
    await r.settle("kitchen", "a.1", outcome.bill, outcome.payload)
    assert not r.spent("kitchen")
    assert isinstance(await carry_out(r, request(), tab=Tab("c.1")), Answered)


async def test_a_cheaper_one_may_still_fit() -> None:
    cheap = Model("cheap", says("hi"), prices=Prices.per_million("0.01", "0.01"), quality=20)
    dear = Model("dear", says("never"), prices=Prices.per_million(100, 100), quality=90)
    purse = FakePurse()
    r = router(dear, cheap, purse=purse, nano=1_000_000)
    outcome = await carry_out(r, request(), Signal(True, policy="best"))
    assert isinstance(outcome, Answered) and outcome.backend is cheap
    # Nor is it forgotten with the next ask: the budget has room, only not for the dear one.
    assert r.spent("kitchen") == ""


@pytest.mark.parametrize("nano", [10**9, None])
async def test_budgets_that_cannot_be_read(nano: int | None) -> None:
    purse = FakePurse(error=PurseError("the database is away"))
    paid = Model("paid", says("from afar"))
    outcome = await carry_out(router(paid, house(), purse=purse, nano=nano), request())
    assert isinstance(outcome, Answered)
    if nano is None:
        # Nobody set a budget: nothing can be overspent.
        assert outcome.payload == b"from afar"
    else:
        assert outcome.payload == b"from home (The budgets cannot be read, so house answered.)"
        assert paid.asked == []


async def test_budgets_that_do_not_answer_do_not_hold_the_device_up() -> None:
    began = time.monotonic()
    r = router(Model("paid", says("x")), house(typical_ms=100), purse=FakePurse(delay_s=60))
    outcome = await carry_out(r, request(seconds=1.0))
    assert isinstance(outcome, Answered) and outcome.backend.card.name == "house"
    assert time.monotonic() - began < 1.0


# -- several companions


async def test_an_ask_that_was_answered_gets_those_bytes() -> None:
    model = Model("m", says("new"))
    purse = FakePurse(known={"t.1": b"as it was"})
    outcome = await carry_out(router(model, purse=purse), request(), tab=Tab("t.1"))
    assert outcome == Repeated(b"as it was")
    assert model.asked == []


async def test_an_ask_that_is_under_way_elsewhere_is_waited_for() -> None:
    model, purse = Model("m", says("second")), FakePurse(elsewhere={"t.1"})
    task = asyncio.create_task(carry_out(router(model, purse=purse), request(), tab=Tab("t.1")))
    await asyncio.sleep(0.3)
    purse.known["t.1"] = b"theirs"
    assert await task == Repeated(b"theirs")
    assert model.asked == []


async def test_an_ask_whose_companion_died_is_taken_over() -> None:
    model, purse = Model("m", says("ours")), FakePurse(elsewhere={"t.1"})
    task = asyncio.create_task(carry_out(router(model, purse=purse), request(), tab=Tab("t.1")))
    await asyncio.sleep(0.3)
    purse.elsewhere.clear()
    outcome = await task
    assert isinstance(outcome, Answered) and outcome.payload == b"ours"
    assert outcome.bill.claimed


async def test_an_ask_that_stays_elsewhere_ends_before_the_deadline() -> None:
    purse = FakePurse(elsewhere={"t.1"})
    r = router(Model("m", says("x")), house(typical_ms=200), purse=purse)
    began = time.monotonic()
    best = Signal(True, policy="best")
    outcome = await carry_out(r, request(seconds=0.8), best, Tab("t.1"))
    assert isinstance(outcome, Answered) and outcome.backend.card.name == "house"
    # It took its time to hope for the other's, and left enough for this one.
    assert 0.2 < time.monotonic() - began < 0.8
    assert not outcome.bill.claimed


# -- all at once


async def test_two_hundred_at_once_never_overspend() -> None:
    """Answers, lies about usage, hangs, cuts and refusals, on a budget for about fifty."""
    scripts = [
        says("hi", USAGE),
        says("hi", Usage(10**7, 10**7)),
        says("lie", USAGE),
        raises(BackendError("connection", "the connection was cut")),
        raises(BackendError("server", "it failed (500)")),
        lambda request: Answer((Call("nothing", {}),), None, usage=USAGE),
    ]
    turn = iter(range(10**6))

    def script(request: Any) -> Answer:
        answer: Answer = scripts[next(turn) % len(scripts)](request)
        return answer

    nano = 50 * 3_000_000
    purse = FakePurse(delay_s=0.001)
    models = [Model(f"m{n}", script, delay_s=0.01 * n, quality=n) for n in range(4)]
    models.append(Model("hangs", says("late"), delay_s=60, typical_ms=20))
    r = router(*models, house(), purse=purse, nano=nano)

    async def one(n: int) -> int:
        ask = f"a{n}.1"
        outcome = await carry_out(r, request(seconds=1.5, device=f"d{n}"), tab=Tab(ask))
        assert isinstance(outcome, Answered | NoAnswer)
        if outcome.bill.claimed:
            await r.settle(f"d{n}", ask, outcome.bill, b"x")
        return outcome.bill.nano

    began = time.monotonic()
    spent = await asyncio.gather(*(one(n) for n in range(200)))
    assert time.monotonic() - began < 3
    assert purse.highest["house//day/1"] <= nano
    assert purse.counted("house//day/1") == purse.spent["house//day/1"] == sum(spent) > 0
    # Nothing stays reserved, and the budget was worth being defended.
    assert purse.reserved["house//day/1"] == 0
    assert purse.highest["house//day/1"] > nano * 0.9


async def test_a_cancelled_ask_leaves_its_bill_on_the_tab() -> None:
    purse, tab = FakePurse(), Tab("t.1")
    model = Model("m", says("late"), delay_s=60)
    task = asyncio.create_task(carry_out(router(model, purse=purse), request(), tab=tab))
    await until("the model to be asked", lambda: model.asked)
    # As the turn does it: first the bill, then the cancel.
    bill = tab.bill()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bill.nano == tab.bill().nano == purse.claims["t.1"][0].nano
    assert bill.claimed and bill.estimated
    assert model.canceled == 1


async def test_energy_of_all_attempts_is_added_up() -> None:
    class FakeEnergy:
        def begin(self, card: Any) -> Any:
            return self

        def end(self, tokens: int) -> tuple[int, str]:
            return (7, "measured") if tokens else (5, "estimated")

    r = Router(
        [Model("a", raises(BackendError("server", "500"))), Model("b", says("hi"), quality=5)],
        energy=FakeEnergy(),
    )
    outcome = await carry_out(r, request())
    assert isinstance(outcome, Answered)
    assert (outcome.bill.energy_mj, outcome.bill.energy_how) == (12, "estimated")


async def test_the_real_ledger_agrees(tmp_path: Path) -> None:
    """Two hundred at once on SQLite, by two companions that share it, a tenth of them twice."""
    config = StoreConfig(f"sqlite:///{tmp_path / 'companion.db'}")
    stores = [Store(config), Store(config)]
    nano = 30 * 3_000_000
    models = [Model("m", says("hi", USAGE), delay_s=0.02, quality=80) for _ in stores]
    routers = []
    for store, model in zip(stores, models, strict=True):
        await store.open()
        slots = one_slot(nano)
        routers.append(Router([model, house()], purse=store.ledger, slots=slots))

    async def one(n: int, at: int) -> Any:
        outcome = await carry_out(routers[at], request(device=f"d{n}"), tab=Tab(f"a{n}.1"))
        if isinstance(outcome, Answered):
            payload = outcome.payload
            await routers[at].settle(f"d{n}", f"a{n}.1", outcome.bill, payload)
        return outcome

    asks = [(n, n % 2) for n in range(200)] + [(n, (n + 1) % 2) for n in range(0, 200, 10)]
    outcomes = await asyncio.gather(*(one(n, at) for n, at in asks))
    (counter,) = await stores[0]._driver.fetch("SELECT nano_spent, nano_reserved FROM counters")
    for store in stores:
        await store.aclose()
    paid = [o for o in outcomes if isinstance(o, Answered) and o.bill.nano]
    free = [o for o in outcomes if isinstance(o, Answered) and not o.bill.nano]
    assert counter == (len(paid) * COST, 0)
    assert len(paid) == sum(len(model.asked) for model in models)
    assert 20 < len(paid) <= nano // COST
    # The budget was too small for all, and each was answered once at a price.
    assert free and all(o.payload.startswith(b"from home") for o in free)
    assert len(outcomes) == 220
