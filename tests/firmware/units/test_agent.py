# Turns against a recorded wire: one actuation at most, replies only from receipts.
import asyncio
import json
import time

import machine
import rig

from ganglion import clock

MSG = {"id": "s1", "boot": 3}


def say(a, text, cid="s1", **more):
    msg = {"id": cid, "boot": 3, "exp": int(time.time()) + 30, "text": text}
    msg.update(more)
    a.handle("say", json.dumps(msg).encode())


def do(a, tool, args, cid="d1", **more):
    msg = {"id": cid, "boot": 3, "exp": int(time.time()) + 30, "tool": tool, "args": args}
    msg.update(more)
    a.handle("do", json.dumps(msg).encode())


def answer(a, **msg):
    a.handle("answer", json.dumps(msg).encode())


async def until(condition):
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep_ms(2)
    raise AssertionError("it never happened")


def play(story):
    async def scene():
        a, wire = rig.agent()
        worker = asyncio.create_task(a.run())
        try:
            await story(a, wire)
        finally:
            worker.cancel()

    asyncio.run(scene())


def asked(wire, n):
    return lambda: len(wire.of("ask")) >= n


def replied(wire, n=1):
    return lambda: len(wire.of("reply")) >= n


ON = ["gpio_write", {"pin": 5, "value": 1}]


def test_a_turn():
    async def story(a, wire):
        say(a, "turn on pin 5")
        await until(asked(wire, 1))
        assert wire.of("ask")[0]["new"] == [["u", "turn on pin 5"]]
        assert wire.of("ask")[0]["id"] == "s1.1" and "ctx" not in wire.of("ask")[0]
        answer(a, id="s1.1", by="edge/commands", calls=[ON])
        await until(replied(wire))
        reply = wire.of("reply")[0]
        assert reply == {
            "id": "s1",
            "text": "Pin 5 is on.",
            "calls": [["gpio_write", {"pin": 5, "value": 1}, {"level": 1}]],
        }, reply
        # The next ask names this turn as its prefix and repeats nothing.
        say(a, "and off", "s2")
        await until(asked(wire, 2))
        ask = wire.of("ask")[1]
        assert (ask["ctx"], ask["n"], ask["new"]) == ("s1", 1, [["u", "and off"]]), ask
        answer(a, id="s2.1", resend=["ctx"])
        await until(asked(wire, 3))
        ask = wire.of("ask")[2]
        assert ask["id"] == "s2.1" and "ctx" not in ask
        assert [m[0] for m in ask["new"]] == ["u", "d", "a", "u"], ask
        answer(a, id="s2.1", by="x", calls=[])
        await until(replied(wire, 2))

    play(story)


def test_a_stuck_pad_is_never_success():
    async def story(a, wire):
        machine.held[5] = 0
        say(a, "turn on pin 5")
        await until(asked(wire, 1))
        answer(a, id="s1.1", by="premium/x", calls=[ON], say="Done! The light is on.")
        await until(replied(wire))
        text = wire.of("reply")[0]["text"]
        assert text == "Pin 5 was set on but reads off: check the wiring.", text

    play(story)


def test_a_model_alone_is_never_believed():
    async def story(a, wire):
        say(a, "turn on pin 5")
        await until(asked(wire, 1))
        answer(a, id="s1.1", by="premium/x", say="Done! The light is on.")
        await until(replied(wire))
        text = wire.of("reply")[0]["text"]
        assert text == "Done! The light is on. [nothing was changed]", text
        say(a, "turn on pin 5", "s2")
        await until(asked(wire, 2))
        answer(a, id="s2.1", by="premium/x", calls=[ON], say="Pin five: {c1.level}, {c2.level}!")
        await until(replied(wire, 2))
        text = wire.of("reply")[1]["text"]
        assert text == "Pin five: on, {c2.level}! [Pin 5 is on]", text

    play(story)


def test_several_calls_run_in_order_and_a_failure_is_told():
    async def story(a, wire):
        say(a, "x")
        await until(asked(wire, 1))
        calls = [
            ON,
            ["gpio_write", {"pin": 6, "value": 1}],
            ["gpio_write", {"pin": 13, "value": 1}],
        ]
        answer(a, id="s1.1", by="x", calls=calls, say="All on!")
        await until(replied(wire))
        reply = wire.of("reply")[0]
        assert machine.writes == [(5, 1), (13, 1)]
        assert reply["text"] == "Pin 5 is on. Pin 6 is wired to the flash chip. Pin 13 is on."
        assert [c[2].get("err") for c in reply["calls"]] == [None, "refused", None]
        assert wire.of("event")[-1]["code"] == "refused"

    play(story)


def test_rounds():
    async def story(a, wire):
        say(a, "x")
        await until(asked(wire, 1))
        answer(a, id="s1.1", by="x", calls=[["gpio_read", {"pin": 6}]], say="?", more=1)
        await until(asked(wire, 2))
        ask = wire.of("ask")[1]
        assert ask["id"] == "s1.2" and ask["ctx"] == "s1.1" and "n" not in ask
        assert ask["new"][0][0] == "d" and ask["new"][0][1][0][2]["err"] == "refused"
        answer(a, id="s1.2", by="x", calls=[ON], say="Better.", more=1)
        await until(replied(wire))
        assert (
            wire.of("reply")[0]["text"] == "Better. [Pin 6 is wired to the flash chip; Pin 5 is on]"
        )
        # A model that never stops is stopped.
        say(a, "y", "s2")
        for n in range(1, 5):
            await until(asked(wire, 2 + n))
            answer(a, id="s2.%d" % n, by="x", calls=[ON], more=2)
        await until(replied(wire, 2))
        assert len(wire.of("ask")) == 6

    play(story)


def test_doubles_and_strangers():
    async def story(a, wire):
        say(a, "turn on pin 5")
        say(a, "turn on pin 5")
        await until(asked(wire, 1))
        answer(a, id="other.1", by="x", calls=[["gpio_write", {"pin": 13, "value": 1}]])
        for _ in range(3):
            answer(a, id="s1.1", by="x", calls=[["gpio_write", {"pin": 5, "value": "toggle"}]])
        await until(replied(wire))
        answer(a, id="s1.1", by="x", calls=[["gpio_write", {"pin": 5, "value": "toggle"}]])
        assert machine.writes == [(5, 1)], machine.writes
        say(a, "turn on pin 5")  # late double: the first result again
        assert wire.of("reply")[0] == wire.of("reply")[1]
        assert len(wire.of("ask")) == 1 and machine.writes == [(5, 1)]
        do(a, "gpio_write", {"pin": 5, "value": "toggle"})
        do(a, "gpio_write", {"pin": 5, "value": "toggle"})
        assert wire.of("done") == [{"id": "d1", "receipt": {"level": 0}}] * 2
        do(a, "gpio_write", {"pin": 5, "value": 1}, "d2", boot=2)
        do(a, "gpio_write", {"pin": 5, "value": 1}, "d3", exp=int(time.time()) - 1)
        assert [d["receipt"]["err"] for d in wire.of("done")[2:]] == ["stale_boot", "expired"]
        assert machine.writes == [(5, 1), (5, 0)]

    play(story)


def test_bad_messages_change_nothing():
    async def story(a, wire):
        good = {"id": "x", "boot": 3, "exp": int(time.time()) + 9}
        for leaf, raw, code in (
            ("say", b"{", "bad_json"),
            ("say", b"\xff\xfe", "bad_utf8"),
            ("say", b"[1]", "bad_message"),
            ("say", b"{}", "bad_message"),
            ("do", b'{"id":"a b"}', "bad_message"),
            ("do", b"[" * 4000, "bad_json"),
            ("do", None, "too_big"),
            ("answer", b"5", "bad_message"),
        ):
            a.handle(leaf, raw)
            e = wire.of("event")[-1]
            assert (e["kind"], e["code"], e["on"]) == ("bad_message", code, leaf), (raw, e)
        for more in ({"text": ""}, {"text": 5}, {"text": "x" * 1025}, {"text": "x", "from": 5}, {}):
            say_msg = dict(good)
            say_msg.update(more)
            a.handle("say", json.dumps(say_msg).encode())
        assert [r["err"] for r in wire.of("reply")] == ["bad_message"] * 5
        for more in ({"tool": 5, "args": {}}, {"tool": "gpio_write"}, {"tool": "x", "args": []}):
            do_msg = dict(good)
            do_msg.update(more)
            a.handle("do", json.dumps(do_msg).encode())
        assert [d["receipt"]["err"] for d in wire.of("done")] == ["bad_message"] * 3
        a.handle("config", b"{}")
        a.handle("answer", b'{"id":null}')
        for odd in (
            {"calls": 5},
            {"calls": [5, ["gpio_write"], ["gpio_write", 5], [None, {}]]},
            {"say": 5},
            {"err": 5},
            {"resend": [], "x": 1},
            {"busy": "x"},
        ):
            cid = "o%d" % len(wire.of("ask"))
            say(a, "x", cid)
            n = len(wire.of("reply"))
            await until(lambda: wire.of("ask") and wire.of("ask")[-1]["id"] == cid + ".1")
            answer(a, id=cid + ".1", by="x", **odd)
            if "resend" in odd or "busy" in odd:
                await asyncio.sleep_ms(1010 if "busy" in odd else 5)
                answer(a, id=cid + ".1", by="x", say="ok")
            await until(replied(wire, n + 1))
        assert not machine.writes

    play(story)


def test_the_queue_is_bounded():
    async def story(a, wire):
        for n in range(7):
            say(a, "x", "q%d" % n)
        await until(asked(wire, 1))
        busy = [r for r in wire.of("reply") if r.get("err") == "busy"]
        assert len(busy) >= 2, wire.of("reply")

    play(story)


def test_facts_travel_when_asked_for():
    async def story(a, wire):
        do(a, "memory_set", {"key": "plants", "value": "they like mornings"})
        say(a, "x")
        await until(asked(wire, 1))
        assert "facts" not in wire.of("ask")[0] and wire.of("ask")[0]["mem"]
        answer(a, id="s1.1", resend=["mem", "tools"])
        await until(asked(wire, 2))
        assert wire.of("ask")[1]["facts"] == {"plants": "they like mornings"}
        assert wire.of("tools")[0]["specs"]

    play(story)


def test_an_answer_with_the_time_that_was_long_under_way_is_not_believed():
    a, wire = rig.agent()
    was = clock.set_unix
    set_to = []
    clock.set_unix = lambda unix: set_to.append(unix) or True
    try:
        for late_ms in (100, 60000):
            a.ask_time()
            a._time_ms = time.ticks_add(a._time_ms, -late_ms)
            answer(a, id=wire.of("ask")[-1]["id"], time=1790000000 + late_ms)
    finally:
        clock.set_unix = was
    assert set_to == [1790000100]
