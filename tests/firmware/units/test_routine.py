# Routines: what the check refuses and where, approval, running, cancel, queue, power cuts, phrases.
import asyncio
import gc
import json
import sys

import machine
import ramdisk
import rig
import routine_rig as rr

ON = {"call": ["gpio_write", {"pin": "fan", "value": 1}]}
OFF = {"call": ["gpio_write", {"pin": "fan", "value": 0}]}
READ = {"call": ["gpio_read", {"pin": "door"}], "as": "c"}


def routine(*do, **more):
    more["name"] = more.get("name", "r")
    more["do"] = list(do)
    if "last" in more:
        more["finally"] = more.pop("last")
    return more


def int_param(low, high, default=None):
    return {"type": "int", "default": low if default is None else default, "min": low, "max": high}


def ask(text, name="said", offline=None, **more):
    more.update({"ask": text, "as": name, "offline": [] if offline is None else offline})
    return more


def refused(t, program):
    r = rr.call(t, "routine_define", program=program)
    assert r.get("err") in ("bad_args", "full"), (program, r)
    return r["msg"]


BAD = (
    # program, how its error begins, what it contains
    ({"name": "x"}, '"do" is missing', ""),
    (routine(), "do: must be a list", ""),
    (routine(ON, name="X  y"), "name: ", "small letters"),
    (routine(ON, colour="red"), 'there is no "colour" here', ""),
    (routine(ON, on_conflict="wait"), "on_conflict: ", "queue"),
    (routine(ON, phrases=["a"]), "phrases[0]: ", "3 to 48"),
    (routine({"cal": []}), "do[0]: ", "must be a step"),
    (routine("wait 5"), "do[0]: ", "must be a step"),
    (routine({"wait": 1, "then": []}), "do[0]: ", 'no "then"'),
    (routine({"if": True}), "do[0]: ", '"then" is missing'),
    (routine({"call": ["gpio_blink", {}]}), "do[0].call: ", 'no tool "gpio_blink"'),
    (routine({"call": ["routine_run", {"name": "x"}]}), "do[0].call: ", "not for a routine"),
    (routine({"call": ["point_delete", {"name": "fan"}]}), "do[0].call: ", "not for a routine"),
    (routine({"call": "gpio_write"}), "do[0].call: ", "[tool, {arguments}]"),
    (routine({"call": ["gpio_write", {"pin": 5}]}), "do[0].call.args: ", '"value" is missing'),
    (
        routine({"call": ["gpio_write", {"pin": "attic", "value": 1}]}),
        "do[0].call.args.pin: ",
        "no point called 'attic'",
    ),
    (routine({"call": ["gpio_write", {"pin": 6, "value": 1}]}), "do[0].call.args.pin: ", "flash"),
    (
        routine({"call": ["gpio_write", {"pin": "door", "value": 1}]}),
        "do[0].call.args.pin: ",
        "only be read",
    ),
    (
        routine({"call": ["gpio_write", {"pin": 5, "value": 2}]}),
        "do[0].call.args.value: ",
        "must be 0, 1",
    ),
    (
        routine({"call": ["gpio_write", {"pin": 5, "value": 1, "now": 1}]}),
        "do[0].call.args.now: ",
        "no such argument",
    ),
    (
        routine({"call": ["gpio_write", {"pin": 5, "value": "$n"}]}, params={"n": int_param(0, 2)}),
        "do[0].call.args.value: ",
        "must be 0, 1",
    ),
    (
        routine(
            {"if": True, "then": [{"call": ["gpio_write", {"pin": 5, "value": "$n"}]}]},
        ),
        "do[0].then[0].call.args.value: ",
        "not defined",
    ),
    (routine({"wait": -1}), "do[0].wait: ", "from 0 to 86400"),
    (routine({"wait": "5"}), "do[0].wait: ", "number"),
    (routine(READ, {"wait": "$c.level"}), "do[1].wait: ", "upper bound"),
    (routine(READ, {"wait": "$c"}), "do[1].wait: ", "which field"),
    (routine({"wait": "$n"}), "do[0].wait: ", "not defined"),
    (
        routine({"if": True, "then": [{"set": ["n", 1]}]}, {"wait": "$n"}),
        "do[1].wait: ",
        "not defined on every way",
    ),
    (routine({"set": ["n", 1]}, last=[{"wait": "$n"}]), "finally[0].wait: ", "not defined"),
    (routine({"set": ["N", 1]}), "do[0].set: ", "no name"),
    (routine({"set": ["n", 5]}, params={"n": int_param(0, 9)}), "do[0].set: ", "is a parameter"),
    (
        routine({"set": ["m", ["n", "*", 60]]}, params={"n": int_param(0, 9)}),
        "do[0].set: ",
        'the variable is "$n"',
    ),
    (routine({"set": ["m", [5, "plus", 6]]}), "do[0].set: ", "no operator"),
    (routine({"set": ["m", [5, "/", 0]]}), "do[0].set: ", "divides by zero"),
    (routine({"if": "door", "then": []}), "do[0].if: ", "text is no condition"),
    (routine({"if": {"read": "attic"}, "then": []}), "do[0].if.read: ", "no point"),
    (routine({"if": {"and": []}, "then": []}), "do[0].if.and: ", "list of conditions"),
    (routine({"repeat": 1001, "do": [{"wait": 0}]}), "do[0].repeat: ", "from 0 to 1000"),
    (routine({"repeat": 1000, "do": [{"wait": 0}]}), "do: ", "1001 steps"),
    (routine({"repeat": 900, "do": [{"wait": 100}]}), "do: ", "hours, 24 may be"),
    (routine({"while": True, "max": 0, "do": [{"wait": 1}]}), "do[0].max: ", "1 to 1000"),
    (routine(*[ON] * 65), "do: ", "64 may be"),
    (routine(ON, last=[{"wait": 6}]), "finally: ", "5 seconds"),
    (
        routine(ON, last=[{"repeat": 6, "do": [{"wait": 1}]}]),
        "finally: ",
        "5 seconds",
    ),
    (routine(ON, last=[{"repeat": 100, "do": [OFF]}]), "finally: ", "101 steps"),
    (routine({"notify": "{attic}"}), "do[0].notify: ", "no point"),
    (routine({"notify": "x" * 161}), "do[0].notify: ", "160"),
    (routine({"repeat": 21, "do": [{"notify": "x"}]}), "do: ", "notifies up to 21"),
    (routine({"ask": "is it cold?"}), "do[0]: ", '"as" is missing'),
    (routine({"ask": "is it cold?", "as": "a"}), "do[0]: ", '"offline" is missing'),
    (routine(ask("")), "do[0].ask: ", "1 to 240 bytes"),
    (routine(ask("{attic}?")), "do[0].ask: ", "no point"),
    (routine(ask("?", name="A")), "do[0].as: ", "no name"),
    (routine(ask("?", within=0.5)), "do[0].within: ", "1 to 120"),
    (routine(ask("?", within="5")), "do[0].within: ", "1 to 120"),
    (routine(ask("?", offline=5)), "do[0].offline: ", "list of steps"),
    (routine(ask("?", offline=[{"wait": -1}])), "do[0].offline[0].wait: ", "from 0"),
    (routine(ask("?"), {"notify": "{said}"}), "do[1].notify: ", "no point"),
    (
        routine(ask("?", offline=[{"set": ["said", "x"]}]), {"wait": "$said"}),
        "do[1].wait: ",
        "number",
    ),
    (
        routine(
            ask("?", offline=[{"set": ["said", "0"]}]),
            {"call": ["gpio_write", {"pin": 5, "value": "$said"}]},
        ),
        "do[1].call.args.value: ",
        "takes no text",
    ),
    (routine(ON, last=[ask("?")]), "finally[0].ask: ", "no network"),
    (routine({"repeat": 5, "do": [ask("?")]}), "do: ", "asks a model up to 5 times, 4 may be"),
    (
        routine(
            {"call": ["gpio_write", {"pin": "fan", "value": 1}]},
            ask("?", offline=[{"call": ["gpio_write", {"pin": "attic", "value": 1}]}]),
        ),
        "do[1].offline[0].call.args.pin: ",
        "no point",
    ),
    (routine(ON, params={"n": {"type": "int", "default": 1}}), "params.n: ", "min and max"),
    (routine(ON, params={"n": int_param(0, 5, 6)}), "params.n.default: ", "from 0 to 5"),
    (routine(ON, params={"p": {"type": "point", "default": "attic"}}), "params.p.default: ", "no"),
    (routine(ON, params={"p": {"type": "date", "default": 1}}), "params.p.type: ", "must be"),
)


def test_what_the_check_refuses_and_where():
    t = rr.tools()
    for program, begins, contains in BAD:
        text = refused(t, program)
        assert text.startswith(begins) and contains in text, (program, text)
    assert t.kit.store.count("t:") == 0 and not machine.writes


def test_odd_json_gives_an_error_that_can_be_read():
    t = rr.tools()
    odd = (None, [], {}, [[]], {"a": 1}, 5, -1, 1e300, "$", "$.", "$c.", "", True, [1, "+"], ["$c"])
    for v in odd:
        for step in (
            {"wait": v},
            {"set": v},
            {"set": ["n", v]},
            {"set": [v, 1]},
            {"call": v},
            {"call": [v, v]},
            {"call": ["gpio_write", {"pin": v, "value": v}]},
            {"call": ["gpio_read", {"pin": "fan"}], "as": v, "try": v},
            {"if": v, "then": v},
            {"repeat": v, "do": [v]},
            {"while": v, "max": v, "do": []},
            {"notify": v},
            {"if": {"read": v}, "then": []},
            {"if": {"or": v}, "then": []},
            {"if": {"not": v}, "then": []},
            v,
        ):
            for program in (routine(step), routine(ON, last=[step])):
                r = rr.call(t, "routine_define", program=program)
                assert "err" not in r or r["err"] in ("bad_args", "full"), (program, r)
        for key in ("name", "do", "finally", "params", "phrases", "on_conflict"):
            program = routine(ON)
            program[key] = v
            r = rr.call(t, "routine_define", program=program)
            assert "err" not in r or r["err"] in ("bad_args", "full"), (program, r)
        for value in odd:
            param = {"type": "int", "default": v, "min": v, "max": value}
            r = rr.call(t, "routine_define", program=routine(ON, params={"n": param}))
            assert "err" not in r or r["err"] == "bad_args", (param, r)


def test_an_interlock_pair_is_found_on_every_way():
    t = rr.tools()

    def on(name):
        return {"call": ["gpio_write", {"pin": name, "value": 1}]}

    def off(name):
        return {"call": ["gpio_write", {"pin": name, "value": 0}]}

    up, down = on("blind up"), on("blind down")
    for pin in (19, 21):
        row = [0] * 10
        row[0], row[2] = pin, 77
        t.kit.guard.limits.extend(type(t.kit.guard.limits)("I", row))
    bad = (
        (routine(up, down), "do[1]"),
        (routine(up, {"if": {"read": "door"}, "then": [off("blind up")]}, down), "do[2]"),
        (routine({"repeat": 2, "do": [down, off("blind down"), up]}), "do[0].do[0]"),
        (routine(up, last=[down]), "finally[0]"),
        (routine(up, off("blind up"), last=[down]), "finally[0]"),
        (routine({"call": ["gpio_pulse", {"pin": "blind up", "ms": 900}]}, down), "do[1]"),
        (routine({"call": ["pwm_set", {"pin": 19, "freq": 50, "duty": 5}]}, down), "do[1]"),
        (
            routine(
                {"call": ["gpio_write", {"pin": "blind up", "value": "toggle"}], "try": True}, down
            ),
            "do[1]",
        ),
    )
    for program, where in bad:
        text = refused(t, program)
        assert text.startswith(where + ".call.args.pin") and "interlock" in text, (program, text)
    for program in (
        routine(up, off("blind up"), down),
        routine({"if": {"read": "door"}, "then": [up], "else": [down]}),
        routine({"repeat": 2, "do": [up, off("blind up"), down, off("blind down")]}),
        routine(up, last=[off("blind up"), down]),
        routine(
            {"call": ["pwm_set", {"pin": 19, "freq": 50, "duty": 5}]},
            {"call": ["pwm_stop", {"pin": 19}]},
            down,
        ),
    ):
        rr.define(t, program, False)


def test_a_yes_comes_from_a_person_and_in_time():
    t = rr.tools()
    token = rr.call(t, "routine_define", program=routine(ON))["token"]
    r = rr.call(t, "routine_approve", token=token)
    assert r["err"] == "refused" and "person" in r["msg"], r
    t.kit.routines.turn += 1
    assert rr.call(t, "routine_approve", token="NOPE")["err"] == "not_found"
    assert rr.call(t, "routine_run", name="r")["err"] == "not_found"
    assert rr.call(t, "routine_approve", token=token.lower()) == {"routine": "r"}
    assert rr.call(t, "routine_approve", token=token)["err"] == "not_found"
    assert t.run("routine_list", {})[1] == "r."
    # By name; and a phrase makes even a harmless one wait for a yes.
    r = rr.call(t, "routine_define", program=routine({"wait": 0}, name="s", phrases=["be still"]))
    assert "stored" not in r
    t.kit.routines.turn += 1
    assert rr.call(t, "routine_approve", token="s") == {"routine": "s"}
    assert "it runs 's'" in refused(t, routine(ON, phrases=["Be still!"]))
    # Neither ten minutes nor a reboot.
    r = rr.call(t, "routine_define", program=routine(ON, name="u"))
    p = t.kit.routines
    token, name, text, ticks, turn = p._pending
    p._pending = (token, name, text, ticks - 601000, turn)
    p.turn += 1
    assert rr.call(t, "routine_approve", token="u")["err"] == "not_found"
    assert rr.call(t, "routine_delete", name="s") == {"routine": "s"}
    assert p.match("be still") is None


def test_bounds():
    t = rr.tools()
    text = refused(t, routine(*[{"notify": "x" * 90}] * 10))
    assert "bytes, 1024 may be" in text, text
    for n in range(24):
        rr.define(t, routine({"notify": "hello"}, name="r%d" % n))
    assert "24 routines" in refused(t, routine({"notify": "hello"}, name="more"))
    rr.define(t, routine({"notify": "again"}, name="r0"))
    assert len(rr.call(t, "routine_list")["routines"]) == 24


def test_arguments_are_checked_when_it_runs():
    t = rr.tools()
    rr.define(
        t,
        routine(
            {"call": ["gpio_write", {"pin": "$lamp", "value": "$on"}]},
            params={"lamp": {"type": "point", "default": "fan"}, "on": int_param(0, 1)},
        ),
    )
    assert "err" not in rr.call(t, "routine_run", name="R", args={"lamp": 5, "on": 1})
    assert machine.latch[5] == 1 and 14 not in machine.latch
    for args in (
        {"lamp": "door"},
        {"lamp": 6},
        {"on": 2},
        {"on": True},
        {"off": 1},
        {"lamp": "$on"},
    ):
        r = rr.call(t, "routine_run", name="r", args=args)
        assert r["err"] == "bad_args", (args, r)
    assert len(machine.writes) == 1


def test_a_failing_call_ends_it_and_finally_runs():
    t = rr.tools()

    async def story():
        rr.define(t, routine(ON, {"wait": 0.02}, ON, {"notify": "on"}, last=[OFF]))
        r = rr.call(t, "routine_run", name="r")
        assert r["state"] == "running" and r["did"] == ["fan is on."], r
        assert t.kit.store.keys("x:") == ["r"]
        machine.held[14] = 0
        await rr.until(lambda: not t.kit.routines.running())
        assert machine.latch[14] == 0 and not t.kit.store.keys("x:")
        e = t.kit.agent.seen
        assert [x["kind"] for x in e] == ["routine"] and e[0]["code"] == "mismatch", e
        # At once, before any wait: in the receipt.
        r, text, _ = t.run("routine_run", {"name": "r"})
        assert r["err"] == "mismatch" and "check the wiring" in text, (r, text)
        await rr.until(lambda: not t.kit.routines.running())
        # A fault of a value, in finally: what follows still runs.
        machine.held.clear()
        rr.define(
            t,
            routine(
                ON,
                {"call": ["gpio_read", {"pin": "door"}], "as": "c"},
                {"set": ["n", ["$c.volts", "min", 5]]},
                name="s",
                last=[
                    {"call": ["gpio_read", {"pin": "door"}], "as": "c"},
                    {"if": ["$c.level", ">", {"read": "door"}], "then": []},
                    {"if": ["$c.pin", ">", 3], "then": []},
                    OFF,
                ],
            ),
        )
        r = rr.call(t, "routine_run", name="s")
        assert r["err"] == "bad_args" and "no such field" in r["msg"], r
        await rr.until(lambda: not t.kit.routines.running())
        assert machine.latch[14] == 0

    rr.play(story)


def test_cancel_runs_finally():
    t = rr.tools()

    async def story():
        rr.define(t, routine(ON, {"wait": 3600}, last=[OFF]))
        for pause in (0, 5):
            text = t.run("routine_run", {"name": "r"})[1]
            assert text.startswith("fan is on. r runs, ") and machine.latch[14] == 1, text
            assert rr.call(t, "routine_list")["routines"] == {"r": "running"}
            assert rr.call(t, "routine_run", name="r")["err"] == "busy"
            assert rr.call(t, "routine_delete", name="r")["err"] == "busy"
            await asyncio.sleep_ms(pause)
            assert rr.call(t, "routine_cancel", name="r") == {"routine": "r"}
            await rr.until(lambda: not t.kit.routines.running())
            assert machine.latch[14] == 0 and not t.kit.store.keys("x:")
            assert t.kit.agent.seen.pop()["end"] == "canceled"
        assert rr.call(t, "routine_cancel", name="r")["err"] == "not_found"
        assert "ganglion.runner" not in sys.modules and t.kit.routines.runner is None

    rr.play(story)


def test_several_at_once_refused_or_queued():
    t = rr.tools()

    def lamp(name, pin, seconds, **more):
        return routine(
            {"call": ["gpio_write", {"pin": pin, "value": 1}]},
            {"wait": seconds},
            name=name,
            last=[{"call": ["gpio_write", {"pin": pin, "value": 0}]}],
            **more,
        )

    async def story():
        for n, pin in enumerate((5, 13, 14, 16, 17)):
            rr.define(t, lamp("l%d" % n, pin, 9))
        rr.define(t, lamp("other", 5, 0.01))
        for n in range(5):
            rr.define(t, lamp("q%d" % n, 5, 0.01, on_conflict="queue"))
        for n in range(4):
            assert rr.call(t, "routine_run", name="l%d" % n)["state"] == "running"
        r = rr.call(t, "routine_run", name="l4")
        assert r["err"] == "busy" and "4 routines" in r["msg"], r
        r = rr.call(t, "routine_run", name="other")
        assert r["err"] == "busy" and "'l0' runs" in r["msg"], r
        for n in range(4):
            assert rr.call(t, "routine_run", name="q%d" % n)["state"] == "queued"
        assert rr.call(t, "routine_run", name="q4")["err"] == "busy"
        rr.call(t, "routine_cancel", name="q1")
        rr.call(t, "routine_cancel", name="l0")
        await asyncio.sleep_ms(150)
        assert sorted(t.kit.routines.running()) == ["l1", "l2", "l3"], t.kit.routines.running()
        assert [w for w in machine.writes if w[0] == 5] == [(5, 1), (5, 0)] * 4
        assert machine.latch[13] == 1
        for n in (1, 2, 3):
            rr.call(t, "routine_cancel", name="l%d" % n)
        await rr.until(lambda: t.kit.routines.runner is None)
        assert not [x for x in machine.latch.values() if x]

    rr.play(story)


def test_the_runner_keeps_to_the_time_by_itself():
    t = rr.tools()

    async def story():
        rr.define(t, routine(ON, {"wait": 30}, last=[OFF]))
        row = t.kit.routines.row("r")
        row["s"][1] = row["s"][4] + 20  # as if the check had said 20 ms
        t.kit.routines.run("r", {}, row["s"])
        await rr.until(lambda: not t.kit.routines.running())
        assert t.kit.agent.seen.pop()["code"] == "timeout" and machine.latch[14] == 0
        row["s"][0] = 2  # and one step in `do`
        r = t.kit.routines.run("r", {}, row["s"])
        assert r["err"] == "internal" and "more steps" in r["msg"], r

    rr.play(story)


def test_finally_runs_at_the_boot_after_a_power_cut():
    t = rr.tools()

    async def story():
        rr.define(t, routine(ON, {"wait": 30}, last=[OFF, {"notify": "x"}]))
        rr.define(t, routine(ON, name="no note"))
        rr.call(t, "routine_run", name="r")

    rr.play(story)
    # The power is cut here; on flash is what a new kit reads.
    store = rig.Store("/ram/store.log")
    assert store.keys("x:") == ["r"]
    again = rr.tools(store)
    machine.latch[14] = 1
    from ganglion.routines import Routines

    again.kit.routines = Routines(again.kit)
    again.kit.routines.recover()
    assert machine.latch[14] == 0 and machine.writes == [(14, 0)]
    assert again.kit.agent.seen == [{"kind": "routine", "routine": "r", "end": "cut"}]
    assert not store.keys("x:") and not rig.Store("/ram/store.log").keys("x:")
    assert "ganglion.runner" not in sys.modules


def test_without_room_for_the_note_it_does_not_start():
    from ganglion.store import StoreFull

    t = rr.tools()
    rr.define(t, routine(ON, last=[OFF]))

    def full(key, value):
        raise StoreFull("flash is full")

    t.kit.store.set = full
    assert rr.call(t, "routine_run", name="r")["err"] == "full"
    assert not machine.writes and t.kit.routines.runner is None


def test_phrases_as_they_are_said():
    t = rr.tools()
    rr.define(t, routine(ON, name="a", phrases=["Steam, please!", "air the bath"]))
    m = t.kit.routines.match
    for text in ("steam please", "STEAM  PLEASE", " steam, please?! ", "Air the bath."):
        assert m(text) == "a", text
    for text in ("steam", "steam please now", "", "?", "x" * 2000):
        assert m(text) is None, text
    assert len(t.kit.routines._table) == 8


def test_nothing_stays_of_check_and_runner():
    t = rr.tools()
    program = json.dumps(routine(ON, {"wait": 0}, last=[OFF]))

    def all_of_it():
        rr.define(t, json.loads(program))
        rr.call(t, "routine_run", name="r")
        rr.call(t, "routine_check", name="r")
        rr.call(t, "routine_delete", name="r")
        for name in ("routine", "dryrun", "runner", "tool_routine"):
            assert "ganglion." + name not in sys.modules, name
        t.kit.agent.seen.clear()
        gc.collect()
        return gc.mem_alloc()

    all_of_it()
    before = all_of_it()
    for _ in range(5):
        assert all_of_it() - before < 256, all_of_it() - before
    ramdisk.unmount()
