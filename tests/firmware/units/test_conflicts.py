# What a schedule or a rule says of others on the same pin, when it is made.
import routine_rig

from ganglion import clock
from ganglion.rules import Rules
from ganglion.schedule import Schedules

T0 = 1795244400  # 2026-11-21 07:00:00 UTC, a Saturday

clock.now = lambda: T0


def house():
    t = routine_rig.tools()
    kit = t.kit
    nothing = lambda *args: None  # noqa: E731
    kit.engines["schedule"] = Schedules(kit.store, nothing, nothing)
    kit.engines["rules"] = Rules(
        kit.points, kit.store, lambda ref: kit.resolve(ref)[0], nothing, nothing, nothing, nothing
    )
    return t


def do(t, which, **args):
    receipt, say, _ = t.run(which, args)
    assert "err" not in receipt, receipt
    return receipt.get("conflicts", []), say


def write(pin, value):
    return {"tool": "gpio_write", "args": {"pin": pin, "value": value}}


def plan(t, name, when, pin="kitchen light", value=1):
    return do(t, "schedule_set", name=name, when=when, **write(pin, value))[0]


def rule(t, name, level, lamp="kitchen light", **more):
    source = more or {"read": "door", "is": "on"}
    return do(t, "rule_set", name=name, **(dict(write(lamp, level), **source)))[0]


def test_on_at_seven_and_off_at_ten_is_no_conflict():
    t = house()
    assert plan(t, "morning", "0 7 * * *", value=1) == []
    assert plan(t, "night", "0 22 * * *", value=0) == []


def test_on_and_off_in_the_same_minute_is_one_and_both_are_made():
    t = house()
    plan(t, "morning", "0 7 * * mon-fri", value=1)
    receipt, say, _ = t.run("schedule_set", dict(write(5, 0), name="save", when="*/15 5-8 * * *"))
    want = "schedule morning turns kitchen light on in the same minute"
    assert receipt["conflicts"] == [want] and say.endswith(". But " + want + "."), say
    assert t.kit.store.count("s:") == 2
    # Paused it is in nobody's way, and said again when it goes on.
    do(t, "schedule_pause", name="morning", paused=True)
    assert plan(t, "save", "*/15 5-8 * * *", value=0) == []
    found, _ = do(t, "schedule_pause", name="morning", paused=False)
    assert found == ["schedule save turns kitchen light off in the same minute"]


def test_which_times_meet():
    later = "at 2026-11-23 09:30"  # a Monday
    for a, b, meet in (
        ("0 7 * * mon-fri", "0 7 * * sat,sun", False),
        ("0 7 * * mon-fri", "0 7 * * fri", True),
        ("0 7 1 * *", "0 7 2-31 * *", False),
        ("0 7 1 * *", "0 7 * * mon", True),  # some first is a Monday
        ("0 7 * jan *", "0 7 * feb-dec *", False),
        ("0 7 * * *", "1 7 * * *", False),
        ("30 9 * * mon", later, True),
        ("30 9 * * tue", later, False),
        (later, later, True),
        (later, "at 2026-11-24 09:30", False),
        ("every 2 h from 06:00", "0 8 * * *", True),
        ("every 2 h from 06:00", "0 9 * * *", False),
        ("every 2 h from 06:00", "every 2 h from 07:00", False),
        ("every 2 h from 06:00", "every 3 h from 07:00", True),
        ("every 30 min from 09:00", later, True),
        ("every 1 h from 09:00", later, False),
        ("sunset", "sunset", True),
        ("sunset", "sunset +30 min", False),
        ("sunset", "0 20 * * *", False),  # perhaps on one day of the year: nobody means that
        ("every 10 min", "0 20 * * *", True),  # whatever that does, this undoes it
        ("every 10 min", "sunset", True),
        ("every 10 min", "every 10 min", True),
    ):
        for first, second in ((a, b), (b, a)):
            t = house()
            do(t, "set_place", lat=52.5, lon=13.4)
            assert plan(t, "first", first, value=1) == []
            found = plan(t, "second", second, value=0)
            assert bool(found) == meet, (first, second, found)
            # The same at the same time is no conflict.
            assert plan(t, "second", second, value=1) == []


def test_a_rule_and_a_schedule():
    t = house()
    plan(t, "night", "0 22 * * *", value=0)
    assert rule(t, "door", 1) == ["schedule night turns kitchen light off"]
    assert rule(t, "door", 0) == []
    assert rule(t, "door", 1, lamp="hall light") == []
    rule(t, "door", "toggle")
    assert plan(t, "night", "0 22 * * *", value=0) == ["rule door toggles kitchen light"]


def sensor(kind, **more):
    probe = {"tool": "get_health", "args": {}, "field": "heap"}
    return dict(more, sensor=probe, **{"is": kind})


def event(kind, event="bell", **more):
    return dict(more, event=event, **{"is": kind})


def pin(kind, read="door", **more):
    return dict(more, read=read, **{"is": kind})


def test_rules_that_exclude_each_other_are_meant():
    for a, b, meet in (
        (pin("on"), pin("off"), False),
        (pin("on"), pin("off", 34), False),  # the same pin by its number
        (pin("on"), pin("off", "window"), True),
        (pin("on"), pin("changes"), True),
        (sensor("above", value=25), sensor("below", value=25), False),
        (sensor("above", value=25), sensor("below", value=26), True),
        (sensor("between", value=5, to=9), sensor("above", value=9), False),
        (sensor("between", value=5, to=9), sensor("above", value=8), True),
        (sensor("silent", value=60), sensor("above", value=9), False),
        (event("arrives"), event("on"), True),
        (event("equals", text="a"), event("equals", text="b"), False),
        (event("equals", value=1), event("equals", value=2), False),
        (event("equals", value=1), event("equals", "knock", value=2), True),
        (pin("on", hours="22:00-06:00"), pin("on", "window", hours="06:00-22:00"), False),
        (pin("on", hours="22:00-06:00"), pin("on", "window", hours="05:00-22:00"), True),
    ):
        for first, second in ((a, b), (b, a)):
            t = house()
            assert rule(t, "first", 1, **first) == []
            found = rule(t, "second", 0, **second)
            assert bool(found) == meet, (first, second, found)
            assert rule(t, "second", 1, **second) == []


def define(t, program):
    receipt = t.run("routine_define", {"program": program})[0]
    assert "err" not in receipt, receipt
    if "token" in receipt:
        t.kit.routines.turn += 1
        receipt = t.run("routine_approve", {"token": receipt["token"]})[0]
        assert "err" not in receipt, receipt


def test_what_a_routine_does_counts():
    t = house()
    lamp = {"lamp": {"type": "point", "default": "hall light"}}
    on = {"call": ["gpio_write", {"pin": "$lamp", "value": 1}]}
    off = {"call": ["gpio_write", {"pin": "$lamp", "value": 0}]}
    define(t, {"name": "glow", "params": lamp, "do": [{"if": {"read": "door"}, "then": [on]}]})
    define(t, {"name": "wink", "params": lamp, "do": [on, {"wait": 1}], "finally": [off]})
    run = {"tool": "routine_run", "read": "door", "is": "on"}
    assert do(t, "rule_set", name="one", args={"name": "glow"}, **run)[0] == []
    assert plan(t, "night", "0 22 * * *", "hall light", 0) == ["rule one turns hall light on"]
    assert plan(t, "night", "0 22 * * *", "kitchen light", 0) == []
    # With another argument it is another pin.
    args = {"name": "Glow", "args": {"lamp": "kitchen light"}}
    found, _ = do(t, "rule_set", name="one", args=args, **run)
    assert found == ["schedule night turns kitchen light off"]
    found, _ = do(t, "rule_set", name="two", args={"name": "wink"}, **run)
    assert found == []
    assert plan(t, "day", "0 9 * * *", "hall light", 1) == ["rule two acts on hall light"]


def test_other_actuators_and_what_only_reads():
    t = house()
    rule(t, "door", 1, lamp="fan")
    found, _ = do(
        t, "rule_set", name="fast", tool="pwm_set", args={"pin": "fan", "duty": 50, "freq": 100},
        read="window", **{"is": "on"}
    )  # fmt: skip
    assert found == ["rule door turns fan on"]
    found, _ = do(
        t, "rule_set", name="look", tool="gpio_read", args={"pin": "fan"}, read="window",
        **{"is": "on"}
    )  # fmt: skip
    assert found == []
    found, _ = do(
        t, "rule_set", name="stop", tool="pwm_stop", args={"pin": "fan"}, read="window",
        **{"is": "off"}
    )  # fmt: skip
    assert found == ["rule door turns fan on"]


def test_a_group_is_each_of_its_points():
    t = house()
    do(t, "point_set", name="fan", pin=14, group="air")
    rule(t, "door", 1, "fan")
    want = ["rule door turns fan on"]
    assert plan(t, "night", "0 22 * * *", "all Air", 0) == want
    assert plan(t, "night", "0 22 * * *", "water", 0) == []


def test_it_is_bounded():
    t = house()
    for n in range(31):
        rule(t, "a rule with a name so %02d" % n, 0)
    found = rule(t, "z", 1, read="window", **{"is": "on"})
    assert len(found) == 5 and found[-1] == "27 more", found
    assert len(str(found)) < 500


def test_a_name_that_is_gone_is_in_nobodys_way():
    t = house()
    rule(t, "door", 1, lamp="fan")
    do(t, "point_delete", name="fan")
    assert plan(t, "night", "0 22 * * *", 14, 0) == []
