# A routine's question to a model: its words go into a variable, or the offline branch runs.
import asyncio
import json
import sys

import machine
import rig
import routine_rig as rr

ON = {"call": ["gpio_write", {"pin": "fan", "value": 1}]}
OFF = {"call": ["gpio_write", {"pin": "fan", "value": 0}]}
TELL = {"notify": "Word: {word}"}


def routine(**more):
    program = {
        "name": "r",
        "do": [
            {
                "ask": "A word? The door is {door}.",
                "as": "word",
                "within": 1,
                "offline": [{"set": ["word", "none"]}],
            },
            TELL,
        ],
    }
    program.update(more)
    return program


def play(story, connected=True):
    """`story(t, a, wire)`: tools with points, on an agent whose wire is recorded."""

    async def scene():
        a, wire = rig.agent()
        t = a.tools
        for name, pin, way in rr.POINTS:
            assert "err" not in t.run("point_set", {"name": name, "pin": pin, "dir": way})[0]
        t.kit.agent = a
        wire.connected = connected
        await story(t, a, wire)
        assert not a.asker.questions and "ganglion.question" not in sys.modules

    asyncio.run(scene())


def told(wire):
    return [e["text"] for e in wire.of("event") if e["kind"] == "notify"]


def asks(wire):
    return [a for a in wire.of("ask") if a.get("want") == "text"]


def answer(a, **msg):
    a.handle("answer", json.dumps(msg).encode())


def start(t, program, **args):
    rr.define(t, program)
    receipt = rr.call(t, "routine_run", name="r", args=args)
    assert "err" not in receipt, receipt
    return receipt


async def idle(t):
    for _ in range(400):
        if not t.kit.routines.running():
            return
        await asyncio.sleep_ms(5)
    raise AssertionError("it still runs")


def test_an_answer_is_a_text_to_be_told():
    async def story(t, a, wire):
        t.run("persona_set", {"persona": "witty"})
        assert start(t, routine())["state"] == "running"
        ask = dict(asks(wire)[0])
        assert ask.pop("id").startswith("r3-") and ask.pop("ms") <= 1000
        assert ask == {
            "want": "text",
            "from": "r",
            "persona": "witty",
            "new": [["u", "A word? The door is off."]],
        }, ask
        ask = asks(wire)[0]
        answer(a, id="x" + ask["id"], by="x", say="not this")
        answer(a, id=ask["id"], by="premium/x", say='Open\n "sesame" {door}!')
        await idle(t)
        assert told(wire) == ['Word: Open "sesame" {door}!'], told(wire)
        assert not wire.of("cancel") and len(asks(wire)) == 1
        # A double, later, changes nothing.
        answer(a, id=ask["id"], by="premium/x", say="again")

    play(story)


def test_calls_in_an_answer_do_nothing_and_long_words_are_cut():
    async def story(t, a, wire):
        start(t, routine())
        call = ["gpio_write", {"pin": "fan", "value": 1}]
        answer(a, id=asks(wire)[0]["id"], by="x", say="\u00e4" * 500, calls=[call])
        await idle(t)
        text = told(wire)[0]
        # The model's words by their own bound, the whole by that of a notification.
        assert 190 < len(text.encode()) <= 200 and text.startswith("Word: \u00e4"), text
        assert not machine.writes

    play(story)


def test_without_an_answer_the_offline_branch_runs():
    async def story(t, a, wire):
        start(t, routine())
        aid = asks(wire)[0]["id"]
        await idle(t)
        assert told(wire) == ["Word: none"] and wire.of("cancel") == [{"id": aid}]
        answer(a, id=aid, by="x", say="too late")
        for failure in (
            {"err": {"code": "no_answer", "msg": "nobody"}},
            {"by": "x", "calls": [["gpio_read", {"pin": 5}]]},
            {"by": "x", "say": "  "},
            {"resend": ["tools"]},
        ):
            n = len(told(wire))
            assert "err" not in rr.call(t, "routine_run", name="r")
            answer(a, id=asks(wire)[-1]["id"], **failure)
            await idle(t)
            assert told(wire)[n:] == ["Word: none"], failure
        assert len(wire.of("cancel")) == 1

    play(story)


def test_with_no_link_it_does_not_wait():
    async def story(t, a, wire):
        receipt = start(t, routine())
        assert receipt["state"] == "done" and not asks(wire)
        # What it tells waits for the network.
        kinds = [e["kind"] for _, e in t.kit.store.items("e:")]
        assert kinds == ["notify"], kinds

    play(story, connected=False)


def test_it_asks_again_and_waits_while_the_companion_is_busy():
    async def story(t, a, wire):
        start(t, routine())
        answer(a, id=asks(wire)[0]["id"], busy=150)
        await asyncio.sleep_ms(60)
        assert len(asks(wire)) == 1
        await rr.until(lambda: len(asks(wire)) == 2)
        assert asks(wire)[1]["id"] == asks(wire)[0]["id"]
        assert asks(wire)[1]["ms"] < asks(wire)[0]["ms"]
        answer(a, id=asks(wire)[0]["id"], by="x", say="yes")
        await idle(t)
        assert told(wire) == ["Word: yes"]

    play(story)


def test_a_cancel_takes_the_question_back_and_finally_runs():
    async def story(t, a, wire):
        program = routine(**{"finally": [OFF]})
        program["do"].insert(0, ON)
        start(t, program)
        await asyncio.sleep_ms(60)
        assert machine.latch[14] == 1 and len(asks(wire)) == 1
        rr.call(t, "routine_cancel", name="r")
        await idle(t)
        assert wire.of("cancel") == [{"id": asks(wire)[0]["id"]}]
        assert machine.latch[14] == 0 and not told(wire)
        ends = [e["end"] for e in wire.of("event") if e["kind"] == "routine"]
        assert ends == ["canceled"] and not t.kit.store.keys("x:")

    play(story)


def test_others_go_on_while_it_waits():
    async def story(t, a, wire):
        rr.define(
            t,
            {
                "name": "blink",
                "do": [{"repeat": 5, "do": [ON, {"wait": 0.01}, OFF, {"wait": 0.01}]}],
            },
        )
        start(t, routine())
        rr.call(t, "routine_run", name="blink")
        await rr.until(lambda: "blink" not in t.kit.routines.running())
        assert t.kit.routines.running() == {"r": "running"}
        assert len([w for w in machine.writes if w == (14, 1)]) == 5
        answer(a, id=asks(wire)[0]["id"], by="x", say="done")
        await idle(t)
        assert told(wire) == ["Word: done"]

    play(story)


def test_the_check_counts_the_wait_and_a_person_says_yes():
    async def story(t, a, wire):
        receipt, said, _ = t.run("routine_define", {"program": routine()})
        assert receipt["trace"] == [
            "+0s ask: A word? The door is off.",
            "+0s tell: Word: (an answer)",
        ]
        assert "token" in receipt and "asks a model up to 1 times" in said, said
        short = receipt["s"]
        program = routine()
        program["do"][0]["within"] = 60
        program["do"][0]["offline"].append({"wait": 30})
        longer = rr.call(t, "routine_define", program=program)["s"]
        assert longer - short >= 59 + 30, (short, longer)
        assert not asks(wire)

    play(story)
