"""Saying and doing on behalf of people, over a real broker."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from companion.backends.base import Answer, Usage
from companion.dispatch import Dispatch, DispatchError
from tests.companion.conftest import Device, House, MakeHouse, Model, Phrases, until


def obedient(device: Device) -> None:
    """Behave as the firmware does in a turn of one round."""

    def say(message: dict[str, Any]) -> None:
        device.ask(f"{message['id']}.1", ["u", message["text"]])

    def answer(message: dict[str, Any]) -> None:
        turn = message["id"].split(".")[0]
        if "err" in message:
            device.send("reply", {"id": turn, "text": message["err"]["msg"], "err": "no_answer"})
            return
        calls = [[tool, args, {"level": 1}] for tool, args in message.get("calls", [])]
        text = message.get("say") or "Pin 5 is on."
        device.send("reply", {"id": turn, "text": text, "calls": calls})

    device.on_say = say
    device.on_answer = answer


def brisk(h: House, **options: Any) -> Dispatch:
    """A dispatch with the protocol's times shortened."""
    c = h.companion
    c.dispatch = Dispatch(c.link, c.fleet, c.turns.watches, **options)
    return c.dispatch


async def test_a_sentence_comes_to_a_receipt(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    obedient(d)
    turn = (await h.companion.dispatch.say("kitchen", "turn on pin 5")).public()
    assert turn["reply"] == "Pin 5 is on."
    assert turn["calls"] == [
        {"tool": "gpio_write", "args": {"pin": 5, "level": 1}, "receipt": {"level": 1}}
    ]
    assert (turn["backend"], turn["tier"], turn["usd"], turn["tokens"]) == (
        "commands",
        "edge",
        0,
        0,
    )
    assert turn["answered"] and "err" not in turn
    assert 0 < turn["ms"] < 500
    (say,) = d.of("say")
    assert say["boot"] == 3
    assert 25 < say["exp"] - time.time() <= 31
    # Topic and payload of each message of the turn, as they crossed the broker.
    heard = sum(len(f"gn/kitchen/down/{kind}") + len(payload) for kind, _, payload in d.heard)
    assert turn["bytes_down"] == heard
    assert turn["bytes_up"] > 100


async def test_a_models_turn_shows_its_price(house: MakeHouse) -> None:
    model = Model("m", lambda request: Answer(say="Hello.", usage=Usage(1000, 200)))
    h = await house(Phrases(), model)
    obedient(await h.device("kitchen"))
    turn = await h.companion.dispatch.say("kitchen", "hello", "ann")
    assert (turn.backend, turn.tier, turn.tokens_in, turn.tokens_out) == ("m", "premium", 1000, 200)
    assert turn.usd == pytest.approx(0.0014)


async def test_a_turn_that_nobody_answered_says_so(house: MakeHouse) -> None:
    h = await house()
    obedient(await h.device("kitchen"))
    turn = (await h.companion.dispatch.say("kitchen", "sing")).public()
    assert not turn["answered"] and turn["err"] == "no_answer"
    assert "no model is configured" in turn["reply"]
    assert turn["backend"] is None


async def test_what_the_chip_answers_itself_is_the_chips(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    d.on_say = lambda m: d.send("reply", {"id": m["id"], "text": "Good night.", "by": "chip"})
    turn = await h.companion.dispatch.say("kitchen", "good night")
    assert (turn.backend, turn.tier, turn.answered) == ("chip", "edge", True)


async def test_a_do_comes_to_its_receipt(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    d.on_do = lambda m: d.send("done", {"id": m["id"], "receipt": {"level": m["args"]["level"]}})
    result = await h.companion.dispatch.do("kitchen", "gpio_write", {"pin": 5, "level": 1})
    assert result["receipt"] == {"level": 1}
    (do,) = d.of("do")
    assert (do["id"], do["tool"], do["boot"]) == (result["id"], "gpio_write", 3)


async def test_a_device_is_reached_by_its_name_where_one_has_it(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    d.on_do = lambda m: d.send("done", {"id": m["id"], "receipt": {"level": 1}})
    d.send("status", {"online": True, "boot": 3, "name": "Green house"}, True)
    fleet = h.companion.fleet
    await until("the name", lambda: (k := fleet.get("kitchen")) and k.name)
    dispatch = h.companion.dispatch
    assert (await dispatch.do("green house", "gpio_read", {}))["receipt"] == {"level": 1}
    fleet.on_status("attic", b'{"online":true,"boot":1,"name":"Green House"}')
    with pytest.raises(DispatchError) as caught:
        await dispatch.do("green house", "gpio_read", {})
    assert caught.value.code == "ambiguous_device" and "attic, kitchen" in caught.value.msg
    assert (await dispatch.do("kitchen", "gpio_read", {}))["receipt"] == {"level": 1}


async def test_a_device_that_learns_the_time_is_waited_for(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    d.on_do = lambda m: d.send("done", {"id": m["id"], "receipt": {"ok": True}})
    d.send("status", {"online": True, "boot": 3, "clock": False}, True)
    fleet = h.companion.fleet
    await until("the news", lambda: (k := fleet.get("kitchen")) and k.clock is False)
    doing = asyncio.create_task(h.companion.dispatch.do("kitchen", "gpio_read", {"pin": 5}))
    await asyncio.sleep(0.1)
    assert d.of("do") == []
    d.send("status", {"online": True, "boot": 3, "clock": True}, True)
    assert (await asyncio.wait_for(doing, 1))["receipt"] == {"ok": True}


async def test_an_unanswered_command_is_sent_again_with_the_same_id(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")

    def on_do(message: dict[str, Any]) -> None:
        if len(d.of("do")) == 3:
            d.send("done", {"id": message["id"], "receipt": {"ok": True}})

    d.on_do = on_do
    await brisk(h, resend_s=0.05).do("kitchen", "gpio_read", {"pin": 5})
    assert len({json.dumps(m) for m in d.of("do")}) == 1
    assert len(d.of("do")) == 3


@pytest.mark.parametrize(
    ("device", "status", "code", "words"),
    [
        ("nobody", 404, "unknown_device", "known are: asleep, kitchen"),
        ("No Body!", 404, "unknown_device", "a-z"),
        ("asleep", 503, "offline", "check its power"),
    ],
)
async def test_who_cannot_be_reached(
    house: MakeHouse, device: str, status: int, code: str, words: str
) -> None:
    h = await house()
    d = await h.device("kitchen")
    d.link.publish("gn/asleep/up/status", b'{"online":false,"boot":1}', 1, True)
    await until("asleep", lambda: h.companion.fleet.get("asleep"))
    dispatch = h.companion.dispatch
    works: list[Callable[[], Any]] = [
        lambda: dispatch.say(device, "hi"),
        lambda: dispatch.do(device, "gpio_read", {}),
    ]
    for work in works:
        with pytest.raises(DispatchError) as caught:
            await work()
        assert (caught.value.status, caught.value.code) == (status, code)
        assert words in caught.value.msg
    d.link.publish("gn/asleep/up/status", b"", 1, True)


async def test_what_does_not_fit_is_not_sent(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    with pytest.raises(DispatchError) as caught:
        await h.companion.dispatch.say("kitchen", "€" * 400)
    assert (caught.value.status, caught.value.code) == (422, "bad_message")
    with pytest.raises(DispatchError) as caught:
        await h.companion.dispatch.do("kitchen", "gpio_write", {"x": "y" * 5000})
    assert (caught.value.status, caught.value.code) == (413, "too_big")
    assert d.heard == []


async def test_a_restart_mid_turn_is_told_and_nothing_is_repeated(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    saying = asyncio.create_task(h.companion.dispatch.say("kitchen", "turn on pin 5"))
    doing = asyncio.create_task(h.companion.dispatch.do("kitchen", "gpio_read", {"pin": 5}))
    await until("the say", lambda: d.of("say"))
    d.online(boot=4)
    turn = await asyncio.wait_for(saying, 2)
    assert not turn.answered and turn.err == "restarted"
    assert "the board restarted" in turn.reply and "say it again" in turn.reply
    with pytest.raises(DispatchError, match="restarted"):
        await asyncio.wait_for(doing, 2)
    assert len(d.of("say")) == 1


async def test_a_refusal_for_another_boot_reads_the_same(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    d.on_say = lambda m: d.send("reply", {"id": m["id"], "text": "stale", "err": "stale_boot"})
    turn = await h.companion.dispatch.say("kitchen", "turn on pin 5")
    assert turn.err == "restarted" and "the board restarted" in turn.reply


async def test_a_silent_device_ends_in_words(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    dispatch = brisk(h, life_s=1, resend_s=0.3)
    began = time.monotonic()
    with pytest.raises(DispatchError) as caught:
        await dispatch.do("kitchen", "gpio_read", {"pin": 5})
    assert caught.value.code == "timeout" and "did not answer" in caught.value.msg
    assert time.monotonic() - began < 2
    assert 3 <= len(d.of("do")) <= 5
    turn = await dispatch.say("kitchen", "hello")
    assert turn.err == "timeout" and not turn.answered


async def test_a_broker_that_is_away_is_named(house: MakeHouse, own_broker: Any) -> None:
    h = await house(on=own_broker)
    await h.device("kitchen")
    own_broker.kill()
    await until("the loss", lambda: not h.companion.link.connected.is_set())
    with pytest.raises(DispatchError) as caught:
        await h.companion.dispatch.say("kitchen", "hello")
    assert (caught.value.status, caught.value.code) == (503, "no_broker")
    assert str(own_broker.port) in caught.value.msg


async def test_stopping_tells_who_waits(house: MakeHouse) -> None:
    h = await house()
    d = await h.device("kitchen")
    waiting = asyncio.create_task(h.companion.dispatch.do("kitchen", "gpio_read", {"pin": 5}))
    await until("the do", lambda: d.of("do"))
    h.companion.dispatch.close()
    with pytest.raises(DispatchError, match="stops"):
        await waiting
