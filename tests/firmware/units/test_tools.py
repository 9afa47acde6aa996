# Tools, guard, points and facts: receipts are read back, refusals change nothing.
import gc
import json

import machine
import rig


def call(t, tool, args):
    return t.run(tool, args)[0]


def said(t, tool, args):
    return t.run(tool, args)[1]


def test_write_reads_the_pad_back():
    t = rig.tools()
    assert call(t, "gpio_write", {"pin": 5, "value": 1}) == {"level": 1}
    assert call(t, "gpio_read", {"pin": 5}) == {"level": 1}
    assert call(t, "gpio_write", {"pin": 5, "value": "toggle"}) == {"level": 0}
    machine.held[5] = 0
    r = call(t, "gpio_write", {"pin": 5, "value": 1})
    assert r["level"] == 0 and r["err"] == "mismatch", r
    text = said(t, "gpio_write", {"pin": 5, "value": 1})
    assert text == "Pin 5 was set on but reads off: check the wiring.", text


def test_the_guard_refuses():
    t = rig.tools()
    for pin, why in (
        (6, "flash"),
        (1, "console"),
        (34, "only be read"),
        (40, "no pin"),
        (0, "boot"),
    ):
        r = call(t, "gpio_write", {"pin": pin, "value": 1})
        assert r["err"] == "refused" and why in r["msg"], r
    assert call(t, "gpio_read", {"pin": 34}) == {"level": 0}
    assert call(t, "gpio_read", {"pin": 7})["err"] == "refused"
    assert not machine.writes


def test_bad_arguments_change_nothing():
    t = rig.tools()
    bad = (
        ("gpio_write", {"pin": 5}, "value is missing"),
        ("gpio_write", {"pin": 5, "value": 2}, "value must be"),
        ("gpio_write", {"pin": 5, "value": True}, "value must be"),
        ("gpio_write", {"pin": 5, "value": "on"}, "value must be"),
        ("gpio_write", {"pin": 5.0, "value": 1}, "pin must be"),
        ("gpio_write", {"pin": -1, "value": 1}, "pin must be"),
        ("gpio_write", {"pin": None, "value": 1}, "pin must be"),
        ("gpio_write", {"pin": "x" * 25, "value": 1}, "pin must be"),
        ("gpio_write", {"pin": 5, "value": 1, "now": 1}, "no argument 'now'"),
        ("gpio_write", [5, 1], "must be an object"),
        ("gpio_read_all", {"pin": 5}, "no argument 'pin'"),
        ("point_set", {"name": "a", "pin": 5, "dir": "up"}, "dir must be one of out, in"),
        ("memory_set", {"key": "", "value": "x"}, "key must be"),
        ("memory_set", {"key": "k", "value": "ä" * 101}, "value must be"),
    )
    for name, args, why in bad:
        r = call(t, name, args)
        assert r["err"] == "bad_args" and why in r["msg"], (name, args, r)
    for name in ("nope", None, 5, "__class__"):
        assert call(t, name, {})["err"] == "unknown_tool"
    assert not machine.writes and not t.kit.points.names() and not t.kit.store.keys("")


def test_kinds_of_arguments():
    from ganglion.tools import ToolError, check_args

    good = (
        ("a:int1..5", (1, 5)),
        ("a:int-3..5", (-3, 0)),
        ("a:num0..1.5", (0, 0.25, 1.5)),
        ("a:bool", (True, False)),
        ("a:obj", ({}, {"x": 1})),
        ("a:list", ([], [1])),
    )
    bad = (
        ("a:int1..5", (0, 6, 2.0, True, "3", None)),
        ("a:num0..1.5", (-0.1, 2, True, "1", float("nan"), float("inf"))),
        ("a:bool", (0, 1, "true", None)),
        ("a:obj", ([], None, 1)),
        ("a:list", ({}, "ab")),
    )
    for line, values in good:
        for value in values:
            check_args(line, {"a": value})
    for line, values in bad:
        for value in values:
            try:
                check_args(line, {"a": value})
            except ToolError as e:
                assert e.args[0] == "bad_args" and "a must be" in e.args[1], e.args
                continue
            raise AssertionError("%s took %r" % (line, value))


def test_points():
    t = rig.tools()
    r = call(t, "point_set", {"name": "Kitchen  Light", "pin": 5})
    assert (r["name"], r["pin"], r["dir"]) == ("kitchen light", 5, "out")
    assert call(t, "gpio_write", {"pin": "kitchen light", "value": 1}) == {"level": 1}
    assert call(t, "gpio_read", {"pin": "KITCHEN LIGHT"}) == {"level": 1}
    args = {"pin": 5, "value": 0}
    assert said(t, "gpio_write", args) == "kitchen light is off."
    assert call(t, "gpio_read", {"pin": "attic"})["err"] == "unknown_point"
    assert call(t, "point_set", {"name": "7", "pin": 5})["err"] == "bad_args"
    assert call(t, "point_set", {"name": "lamp", "pin": 6})["err"] == "refused"
    assert call(t, "point_set", {"name": "door", "pin": 34})["dir"] == "in"
    assert call(t, "point_set", {"name": "bell", "pin": 35, "dir": "out"})["err"] == "refused"
    assert call(t, "point_set", {"name": "window", "pin": 4, "dir": "in"})["dir"] == "in"
    r = call(t, "gpio_write", {"pin": "window", "value": 1})
    assert r["err"] == "refused" and "input" in r["msg"]
    # It is kept: a new table from the same flash knows it.
    again = type(t)(rig.Kit(t.kit.guard, rig.Points(t.kit.store), t.kit.store, t.kit.health))
    assert call(again, "gpio_read", {"pin": "kitchen light"}) == {"level": 0}
    assert call(again, "point_delete", {"name": "Kitchen Light"})["name"] == "kitchen light"
    assert call(again, "point_delete", {"name": "kitchen light"})["err"] == "not_found"
    t = again
    for n in range(62):
        assert "err" not in call(t, "point_set", {"name": "p%d" % n, "pin": 5}), n
    assert call(t, "point_set", {"name": "more", "pin": 5})["err"] == "full"


def test_facts():
    t = rig.tools()
    args = {"key": "plants", "value": "my plants like mornings"}
    assert said(t, "memory_set", args) == "I will remember: my plants like mornings."
    assert call(t, "memory_get", {"key": "plants"})["value"] == "my plants like mornings"
    assert call(t, "memory_get", {"key": "x"})["err"] == "not_found"
    assert call(t, "memory_list", {})["facts"] == {"plants": "my plants like mornings"}
    assert "err" not in call(t, "memory_delete", {"key": "plants"})
    assert call(t, "memory_delete", {"key": "plants"})["err"] == "not_found"
    for n in range(64):
        assert "err" not in call(t, "memory_set", {"key": "k%d" % n, "value": "v" * 200}), n
    assert call(t, "memory_set", {"key": "one more", "value": "v"})["err"] == "full"
    assert "err" not in call(t, "memory_set", {"key": "k0", "value": "new"})
    r = call(t, "memory_list", {})
    assert len(json.dumps(r["facts"])) < 1400 and r["more"] + len(r["facts"]) == 64


def test_read_all_names_what_it_reads():
    t = rig.tools()
    assert call(t, "gpio_read_all", {}) == {"levels": {}}
    assert "yet" in said(t, "gpio_read_all", {})
    call(t, "point_set", {"name": "lamp", "pin": 5})
    call(t, "gpio_write", {"pin": 5, "value": 1})
    call(t, "gpio_write", {"pin": 13, "value": 0})
    r = call(t, "gpio_read_all", {})
    assert r["levels"] == {"lamp": 1, "pin 13": 0}
    assert said(t, "gpio_read_all", {}) == "lamp on, pin 13 off."


def test_a_rare_family_costs_nothing_after_use():
    t = rig.tools()

    def use_all():
        call(t, "get_time", {})
        call(t, "memory_set", {"key": "a", "value": "b"})
        call(t, "memory_delete", {"key": "a"})
        call(t, "point_delete", {"name": "x"})
        gc.collect()
        return gc.mem_alloc()

    # The first use interns names, once and for all.
    before = use_all()
    for _ in range(5):
        assert use_all() - before < 128, use_all() - before


def test_a_call_leaves_no_module_behind():
    import sys

    from ganglion import lazy

    a, _ = rig.agent()
    t = a.tools
    t.kit.agent = a
    act = {"tool": "gpio_write", "args": {"pin": 5, "value": 1}}
    # What an entry of its kind keeps in the heap for as long as it is there.
    stay = ("schedule", "rules", "routines", "tool_gpio")

    async def all_of_them():
        for tool, args in (
            ("point_set", {"name": "lamp", "pin": 5}),
            ("point_list", {}),
            ("memory_set", {"key": "k", "value": "v"}),
            ("get_time", {}),
            ("get_health", {}),
            ("get_diagnostics", {}),
            ("set_timezone", {"tz": "CET-1CEST,M3.5.0,M10.5.0/3"}),
            ("set_timezone", {"tz": "nonsense"}),
            ("set_place", {"lat": 52.5, "lon": 13.4}),
            ("schedule_set", dict(act, name="a", when="0 7 * * *")),
            ("schedule_set", dict(act, name="b", when="sunset -30 min")),
            ("schedule_set", dict(act, name="c", when="never ever")),
            ("schedule_list", {}),
            ("get_time", {}),
            ("rule_set", dict(act, name="a", read=4, **{"is": "on", "hours": "22:00-06:00"})),
            ("rule_list", {}),
            ("limit_set", {"pin": 5, "max_on_s": 100}),
            ("limit_set", {"pin": 6, "max_on_s": 100}),
            ("limit_list", {}),
            ("limit_delete", {"pin": 5}),
            ("adc_read", {"pin": 34}),
            ("i2c_scan", {"sda": 21, "scl": 22}),
            ("dht_read", {"pin": 4}),
            ("ds18x20_read", {"pin": 4}),
            ("routine_check", {"program": {"name": "r", "do": [{"wait": 1}]}}),
            ("routine_check", {"program": {"name": "r", "do": [{"fly": 1}]}}),
            ("routine_list", {}),
        ):
            before = set(sys.modules)
            t.run(tool, args)
            more = [m for m in set(sys.modules) - before if m.startswith("ganglion.")]
            left = [m for m in more if m[9:] not in stay]
            assert not left, (tool, args, left)

    import asyncio

    asyncio.run(all_of_them())
    assert lazy.loaded("schedule") and lazy.loaded("rules")
