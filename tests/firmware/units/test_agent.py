# Turns against a recorded wire: one actuation at most, replies only from receipts.
import asyncio
import json
import time

import machine
import rig

from ganglion import clock
from ganglion.store import Store

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


def play(story, store=None, boot=3):
    async def scene():
        a, wire = rig.agent(store, boot)
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


def test_a_conversation_goes_on_after_a_reboot():
    async def before(a, wire):
        say(a, "turn on pin 5")
        await until(asked(wire, 1))
        answer(a, id="s1.1", by="edge/commands", calls=[ON])
        await until(replied(wire))
        await until(lambda: a.tools.kit.store.count("v:") == 1)

    async def after(a, wire):
        say(a, "and off", "s2", boot=4)
        await until(asked(wire, 1))
        ask = wire.of("ask")[0]
        assert (ask["ctx"], ask["n"], ask["new"]) == ("s1", 1, [["u", "and off"]]), ask
        answer(a, id="s2.1", resend=["ctx"])
        await until(asked(wire, 2))
        ask = wire.of("ask")[1]
        assert "ctx" not in ask and ask["new"] == [
            ["u", "turn on pin 5"],
            ["d", [["gpio_write", {"pin": 5, "value": 1}, {"level": 1}]]],
            ["a", "Pin 5 is on."],
            ["u", "and off"],
        ], ask
        answer(a, id="s2.1", by="x", say="?")
        await until(replied(wire))
        # Another speaker begins anew.
        say(a, "and off", "s3", boot=4, **{"from": "ann"})
        await until(asked(wire, 3))
        assert "ctx" not in wire.of("ask")[2]

    play(before)
    play(after, Store("/ram/store.log"), 4)


def test_the_reply_goes_out_before_flash_is_written():
    """And a power cut between the two forgets the turn, no more."""

    async def before(a, wire):
        say(a, "turn on pin 5")
        await until(asked(wire, 1))
        writes = a.tools.kit.store.writes
        wire.drained = lambda: False
        answer(a, id="s1.1", by="edge/commands", calls=[ON])
        await until(replied(wire))
        await asyncio.sleep_ms(20)
        assert a.tools.kit.store.writes == writes

    async def after(a, wire):
        say(a, "and off", "s2", boot=4)
        await until(asked(wire, 1))
        assert "ctx" not in wire.of("ask")[0]

    play(before)
    play(after, Store("/ram/store.log"), 4)


def test_the_oldest_turns_give_way_where_a_message_has_no_room():
    async def story(a, wire):
        for n in range(3):
            cid = "s%d" % n
            say(a, '"' * 300 + str(n), cid)
            await until(asked(wire, n + 1))
            answer(a, id=cid + ".1", by="x", say="ok")
            await until(replied(wire, n + 1))
        do(a, "memory_set", {"key": "k" * 32, "value": "v" * 200})
        say(a, '"' * 1000, "s9")
        await until(asked(wire, 4))
        assert wire.of("ask")[3]["n"] == 3
        answer(a, id="s9.1", resend=["ctx", "mem"])
        await until(asked(wire, 5))
        ask = wire.of("ask")[4]
        assert [m[1][-1] for m in ask["new"][::2]] == ["1", "2", '"'], ask
        assert ask["facts"] == {"k" * 32: "v" * 200}

    play(story)


def test_a_persona_travels_where_one_was_chosen():
    async def story(a, wire):
        for n, (tool, args, said) in enumerate(
            (
                ("persona_get", {}, "neutral"),
                ("persona_set", {"persona": "witty"}, "witty"),
                ("persona_get", {}, "witty"),
                ("persona_set", {"persona": "neutral"}, "neutral"),
                ("persona_set", {"persona": "technical"}, "technical"),
                ("persona_reset", {}, "neutral"),
            )
        ):
            do(a, tool, args, "d%d" % n)
            assert wire.of("done")[-1]["receipt"] == {"persona": said}, (tool, args)
            say(a, "x", "s%d" % n)
            await until(asked(wire, n + 1))
            ask = wire.of("ask")[-1]
            assert ask.get("persona", "neutral") == said and ("persona" in ask) == (n in (1, 2, 4))
            answer(a, id=ask["id"], by="x", say="ok")
            await until(replied(wire, n + 1))
        do(a, "persona_set", {"persona": "rude"}, "bad")
        assert wire.of("done")[-1]["receipt"]["err"] == "bad_args"
        assert a.tools.kit.store.count("c:") == 0

    play(story)


def test_what_cannot_be_kept_is_no_error_of_the_turn():
    async def story(a, wire):
        flash = a.talks.flash

        def broken(what, *args):
            if what == "add":
                raise MemoryError("no room")
            return flash(what, *args)

        a.talks.flash = broken
        say(a, "turn on pin 5")
        await until(asked(wire, 1))
        answer(a, id="s1.1", by="edge/commands", calls=[ON])
        await until(replied(wire))
        assert "err" not in wire.of("reply")[0]
        a.talks.flash = flash
        say(a, "and off", "s2")
        await until(asked(wire, 2))
        assert "ctx" not in wire.of("ask")[1]  # it begins anew

    play(story)


def test_an_answer_with_the_time_that_was_long_under_way_is_not_believed():
    a, wire = rig.agent()
    was = clock.set_unix
    set_to = []
    clock.set_unix = lambda unix: set_to.append(unix) or True
    try:
        for late_ms in (100, 60000):
            a.presence._hello("ask_time")
            a.presence.time_ms = time.ticks_add(a.presence.time_ms, -late_ms)
            answer(a, id=wire.of("ask")[-1]["id"], time=1790000000 + late_ms)
    finally:
        clock.set_unix = was
    assert set_to == [1790000100]
