"""An ask becomes an answer over a real broker: once, in time, whatever is missing or lost."""

import asyncio
import time
from typing import Any

import pytest

from companion.backends.base import Answer, BackendError, Call, Request, Usage
from tests.companion.conftest import TOOLS, MakeHouse, Model, Phrases, until

PIN5 = {"by": "edge/commands", "calls": [["gpio_write", {"pin": 5, "level": 1}]]}


def says(text: str, *calls: Call, more: int = 0) -> Any:
    return lambda request: Answer(tuple(calls), text, more, Usage(100, 20, 60, 5), "m-1")


async def test_commands_answer_at_once(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    began = time.perf_counter()
    d.ask("a1.1", ["u", "turn on pin 5"])
    assert await d.answer("a1.1") == {"id": "a1.1", **PIN5}
    assert time.perf_counter() - began < 0.2
    (row,) = await h.companion.store.by_turn("kitchen", "a1")
    assert (row.backend, row.tier, row.outcome, row.nano_usd) == ("commands", "edge", "answered", 0)


async def test_a_doubled_ask_gets_the_same_bytes_and_one_row(house: MakeHouse) -> None:
    replies = iter(["first", "second"])
    model = Model("m", lambda request: Answer(say=next(replies)))
    h = await house(model)
    d = await h.device("kitchen")
    for n in (1, 2, 3):
        d.ask("a1.1", ["u", "tell me"])
        await d.answer("a1.1", n=n)
    assert len({payload for kind, _, payload in d.heard if kind == "answer"}) == 1
    assert len(model.asked) == 1
    assert len(await h.companion.store.by_turn("kitchen", "a1")) == 1


async def test_a_double_of_a_running_ask_is_not_asked_twice(house: MakeHouse) -> None:
    model = Model("m", says("hi"), delay_s=0.15)
    h = await house(model)
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "tell me"])
    d.ask("a1.1", ["u", "tell me"])
    await d.answer("a1.1")
    await asyncio.sleep(0.1)
    assert len(model.asked) == 1
    assert len(d.of("answer")) == 1


async def test_two_devices_may_use_the_same_id(house: MakeHouse) -> None:
    h = await house(Model("m", lambda request: Answer(say=f"hi {request.device}")))
    a, b = await h.device("kitchen"), await h.device("cellar")
    a.ask("a1.1", ["u", "hi"])
    b.ask("a1.1", ["u", "hi"])
    assert (await a.answer("a1.1"))["say"] == "hi kitchen"
    assert (await b.answer("a1.1"))["say"] == "hi cellar"


async def test_unknown_tools_are_asked_for(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen", tools=False)
    d.ask("a1.1", ["u", "turn on pin 5"])
    assert await d.answer("a1.1") == {"id": "a1.1", "resend": ["tools"]}
    d.send("tools", TOOLS, True)
    d.ask("a1.1", ["u", "turn on pin 5"])
    assert await d.answer("a1.1", n=2) == {"id": "a1.1", **PIN5}


async def test_a_sentence_that_needs_no_conversation_is_answered_without(house: MakeHouse) -> None:
    h = await house(Phrases(), Model("m", says("hi")))
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "turn on pin 5"], ctx="never-seen", n=3, mem="never-seen")
    assert await d.answer("a1.1") == {"id": "a1.1", **PIN5}


async def test_a_model_gets_the_conversation_or_asks_for_it(house: MakeHouse) -> None:
    model = Model("m", says("hi"))
    h = await house(Phrases(), model)
    d = await h.device("kitchen")
    d.ask("b1.1", ["u", "and now?"], ctx="a1", n=1, mem="m1")
    assert await d.answer("b1.1") == {"id": "b1.1", "resend": ["ctx", "mem"]}
    assert model.asked == []
    whole = [["u", "hello"], ["a", "Hi!"], ["u", "and now?"]]
    d.ask("b1.1", *whole, mem="m1", facts={"plants": "mornings"})
    assert (await d.answer("b1.1", n=2))["by"] == "premium/m"
    asked: Request = model.asked[0]
    assert asked.text == "and now?"
    assert asked.messages == (("u", "hello"), ("a", "Hi!"), ("u", "and now?"))
    assert asked.facts == {"plants": "mornings"}
    # From here on both sides know it by the turn's id, and nothing travels twice.
    d.send("reply", {"id": "b1", "text": "hi [nothing was changed]"})
    d.ask("c1.1", ["u", "more"], ctx="b1", n=2, mem="m1")
    await d.answer("c1.1")
    assert [m[1] for m in model.asked[1].messages] == [
        "hello",
        "Hi!",
        "and now?",
        "hi [nothing was changed]",
        "more",
    ]
    assert model.asked[1].facts == {"plants": "mornings"}


async def test_receipts_go_to_a_model_that_knows_the_question(house: MakeHouse) -> None:
    def script(request: Request) -> Answer:
        if request.messages[-1][0] == "u":
            return Answer((Call("gpio_read", {"pin": 5}),), None, 2)
        return Answer(say="It is on.")

    model = Model("m", script)
    h = await house(Phrases(), model)
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "is it dark?"])
    assert (await d.answer("a1.1"))["more"] == 2
    d.ask("a1.2", ["d", [["gpio_read", {"pin": 5}, {"level": 1}]]], ctx="a1.1")
    assert (await d.answer("a1.2"))["say"] == "It is on."
    second = model.asked[1]
    assert second.text == ""
    assert second.messages == (
        ("u", "is it dark?"),
        ("d", (("gpio_read", {"pin": 5}, {"level": 1}),)),
    )
    rows = await h.companion.store.by_turn("kitchen", "a1")
    assert [row.ask for row in rows] == ["a1.1", "a1.2"]


async def test_receipts_without_a_model_end_in_words(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    d.ask("a1.2", ["d", [["gpio_read", {"pin": 5}, {"level": 1}]]], ctx="a1.1")
    err = (await d.answer("a1.2"))["err"]
    assert err["code"] == "no_answer"
    assert "commands: it takes sentences, not receipts" in err["msg"]


async def test_nobody_can_answer(house: MakeHouse) -> None:
    def down(request: Request) -> Answer:
        raise BackendError("connection", "it cannot be reached")

    h = await house(Phrases(), Model("m", down))
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "sing"])
    err = (await d.answer("a1.1"))["err"]
    assert err["code"] == "no_answer"
    assert "commands: I know no such request; m: it cannot be reached" in err["msg"]
    row, beside = await h.companion.store.by_turn("kitchen", "a1")
    assert row.outcome == "no_answer" and row.err == err["msg"]
    # Its connection was lost after the request had gone: it may be on somebody's bill.
    assert (beside.ask, beside.backend, beside.outcome) == ("a1.1/m", "m", "beside")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer((Call("gpio_wite", {"pin": 5}),)), "no tool 'gpio_wite'"),
        (Answer((Call("gpio_write", {"pin": 5}),)), "'level' is missing"),
        (Answer((Call("gpio_write", {"pin": 5, "level": 9}),)), "one of 0, 1"),
        (Answer((Call("gpio_write", {"pin": 5, "level": 1, "x": 1}),)), "'x' is not an argument"),
        (Answer((Call("gpio_read", {"pin": 5}),) * 9), "at most 8"),
        (Answer(), "says and does nothing"),
        (Answer(say="x" * 1025), "1024"),
        (Answer(say="\ud800"), "JSON"),
        (Answer((Call("gpio_read", {"pin": "x" * 600}),) * 8), "4096"),
    ],
)
async def test_an_answer_that_breaks_the_rules_never_leaves(
    house: MakeHouse, answer: Answer, words: str
) -> None:
    h = await house(Model("m", lambda request: answer))
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "do it"])
    message = await d.answer("a1.1")
    assert "calls" not in message
    assert words in message["err"]["msg"]


async def test_a_hanging_model_ends_before_the_device_gives_up(house: MakeHouse) -> None:
    model = Model("m", says("late"), delay_s=60)
    h = await house(model)
    d = await h.device("kitchen")
    began = time.monotonic()
    d.ask("a1.1", ["u", "sing"], ms=1200)
    err = (await d.answer("a1.1"))["err"]
    assert "no answer within" in err["msg"]
    assert time.monotonic() - began < 1.2
    assert model.canceled == 1


async def test_cancel_stops_the_model_and_the_bill(house: MakeHouse) -> None:
    model = Model("m", says("late"), delay_s=60)
    h = await house(model)
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "sing"])
    await until("the model to be asked", lambda: model.asked)
    d.send("cancel", {"id": "a1.1"})
    assert (await d.answer("a1.1"))["err"]["code"] == "canceled"
    await until("the cancellation", lambda: model.canceled == 1)
    # A double of the ask that comes late starts nothing again.
    d.ask("a1.1", ["u", "sing"])
    assert (await d.answer("a1.1", n=2))["err"]["code"] == "canceled"
    assert len(model.asked) == 1
    row, beside = await h.companion.store.by_turn("kitchen", "a1")
    assert (row.outcome, row.nano_usd, beside.outcome) == ("canceled", 0, "beside")


async def test_a_full_companion_says_when_to_come_back(house: MakeHouse) -> None:
    model = Model("m", says("hi"), delay_s=0.2)
    h = await house(Phrases(), model, concurrent=1)
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "one"])
    await until("the model to be asked", lambda: model.asked)
    d.ask("b1.1", ["u", "two"])
    assert 1 <= (await d.answer("b1.1"))["busy"] <= 10_000
    # What needs no model is answered all the same.
    d.ask("c1.1", ["u", "turn on pin 5"])
    assert await d.answer("c1.1") == {"id": "c1.1", **PIN5}
    await d.answer("a1.1")
    d.ask("b1.1", ["u", "two"])
    assert (await d.answer("b1.1", n=2))["say"] == "hi"


async def test_the_time_is_told_fresh_each_time(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen", tools=False)
    d.send("ask", {"id": "t1", "want": "time"})
    assert abs((await d.answer("t1"))["time"] - time.time()) < 2
    h.companion.turns.clock = lambda: 4_000_000_000.0
    d.send("ask", {"id": "t1", "want": "time"})
    assert (await d.answer("t1", n=2))["time"] == 4_000_000_000


@pytest.mark.parametrize(
    "payload",
    [b"{", b"\xff", b"[]", b'{"id":"a1.1"}', b'{"id":"a1.1","tools":"t","new":[]}', b"x" * 5000],
)
async def test_what_is_no_ask_is_dropped_and_logged_once(
    house: MakeHouse, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    h = await house()
    d = await h.device("kitchen")
    for _ in range(3):
        d.send("ask", payload)
    d.ask("b1.1", ["u", "turn on pin 5"])
    await d.answer("b1.1")
    assert len(d.of("answer")) == 1
    assert caplog.text.count("sent what is no ask or cancel") == 1


async def test_a_retained_ask_is_nobodys_wish(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    h.companion._on_ask("gn/kitchen/up/ask", b'{"id":"a1.1","want":"time"}', True)
    d.ask("b1.1", ["u", "turn on pin 5"])
    await d.answer("b1.1")
    assert len(d.of("answer")) == 1


async def test_what_a_model_cost_is_recorded(house: MakeHouse) -> None:
    h = await house(Model("m", says("hi")))
    d = await h.device("kitchen")
    d.ask("a1.1", ["u", "hello"], **{"from": "ann"})
    await d.answer("a1.1")
    (row,) = await h.companion.store.by_turn("kitchen", "a1")
    assert (row.tokens_in, row.tokens_out, row.tokens_cached, row.tokens_reasoning) == (
        100,
        20,
        60,
        5,
    )
    # 1 USD per million in, 2 out: 100 + 40 millionths.
    assert (row.nano_usd, row.model, row.speaker) == (140_000, "m-1", "ann")
    (total,) = await h.companion.store.totals()
    assert (total.answers, total.usd) == (1, pytest.approx(0.00014))


async def test_two_companions_share_the_asks(house: MakeHouse) -> None:
    one, two = Phrases(), Phrases()
    a = await house(one)
    b = await house(two, store=None)
    d = await a.device("kitchen")
    await until("the other's knowledge", lambda: b.companion.fleet.toolset("kitchen", "tools1"))
    for n in range(20):
        d.ask(f"a{n}.1", ["u", "turn on pin 5"])
    for n in range(20):
        await d.answer(f"a{n}.1")
    assert len(d.of("answer")) == 20
    assert len(one.asked) > 0 and len(two.asked) > 0
    assert len(one.asked) + len(two.asked) == 20


async def test_a_routine_gets_a_text_and_no_calls(house: MakeHouse) -> None:
    phrases, model = Phrases(), Model("m", says("  All is quiet. "))
    h = await house(phrases, model)
    d = await h.device("kitchen", tools=False)
    ask = {"id": "r3-1f.1", "want": "text", "from": "night", "ms": 5000, "persona": "witty"}
    # What would be a command is words to a model; nobody else is asked, and no tools are needed.
    d.send("ask", {**ask, "new": [["u", "turn on pin 5"]]})
    answer = await d.answer("r3-1f.1")
    assert answer == {"id": "r3-1f.1", "by": "premium/m", "say": "  All is quiet. "}
    assert not phrases.asked
    asked = model.asked[0]
    assert (asked.wants_text, asked.tools, asked.persona) == (True, (), "witty")
    assert asked.messages == (("u", "turn on pin 5"),)
    (row,) = await h.companion.store.by_turn("kitchen", "r3-1f")
    assert (row.backend, row.outcome, row.speaker) == ("m", "answered", "night")
    assert row.nano_usd > 0
    # A double is answered from memory.
    d.send("ask", {**ask, "new": [["u", "turn on pin 5"]]})
    assert await d.answer("r3-1f.1", n=2) == answer and len(model.asked) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer((Call("gpio_write", {"pin": 5, "level": 1}),), "Done!"), "called tools"),
        (Answer(say="  "), "says nothing"),
    ],
)
async def test_what_is_no_text_is_no_answer_to_a_routine(
    house: MakeHouse, answer: Answer, words: str
) -> None:
    h = await house(Phrases(), Model("m", lambda request: answer))
    d = await h.device("kitchen")
    d.send("ask", {"id": "r3-2.1", "want": "text", "new": [["u", "a word"]]})
    err = (await d.answer("r3-2.1"))["err"]
    assert err["code"] == "no_answer" and words in err["msg"], err
    assert "commands: it makes calls of sentences, not texts" in err["msg"], err


async def test_a_routine_that_gives_up_cancels(house: MakeHouse) -> None:
    model = Model("m", says("late"), delay_s=5)
    h = await house(model)
    d = await h.device("kitchen")
    d.send("ask", {"id": "r3-3.1", "want": "text", "new": [["u", "a word"]]})
    await until("the model is asked", lambda: model.asked)
    d.send("cancel", {"id": "r3-3.1"})
    await until("it stops", lambda: model.canceled)
    assert h.companion.turns.running == 0
