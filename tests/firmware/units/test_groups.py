# Groups: several points read and set at once, each through the guard, each with its receipt.
import machine
import rig


def call(t, tool, args):
    return t.run(tool, args)[0]


def lights():
    t = rig.tools()
    for name, pin in (("kitchen light", 5), ("hall light", 13), ("porch light", 14)):
        receipt = call(t, "point_set", {"name": name, "pin": pin, "group": "Lights"})
        assert receipt["group"] == "lights", receipt
    call(t, "point_set", {"name": "pump", "pin": 15})
    machine.writes.clear()
    return t


def test_a_group_is_set_member_by_member_and_read_back():
    t = lights()
    for said in ("lights", "all lights", "All  LIGHTS"):
        receipt, text, acted = t.run("gpio_write", {"pin": said, "value": 1})
        assert receipt["level"] == 1 and acted, receipt
        assert receipt["levels"] == {"kitchen light": 1, "hall light": 1, "porch light": 1}
        assert text == "lights are on: hall light, kitchen light, porch light.", text
    # In the order of the names, and the pump is none of them.
    assert machine.writes[:3] == [(13, 1), (5, 1), (14, 1)], machine.writes
    assert 15 not in machine.latch
    call(t, "gpio_write", {"pin": "hall light", "value": 0})
    receipt, text, _ = t.run("gpio_read", {"pin": "lights"})
    assert "level" not in receipt and receipt["levels"]["hall light"] == 0
    assert text == "lights: hall light off, kitchen light on, porch light on.", text
    call(t, "gpio_write", {"pin": "lights", "value": "toggle"})
    assert [machine.latch[n] for n in (13, 5, 14)] == [1, 0, 0]


def test_what_a_part_of_a_group_did_is_told():
    t = lights()
    t.kit.agent = told = Told()
    call(t, "limit_set", {"pin": 13, "interlock": "one"})
    call(t, "limit_set", {"pin": 14, "interlock": "one"})
    receipt, text, acted = t.run("gpio_write", {"pin": "lights", "value": 1})
    assert receipt["err"] == "partial" and receipt["failed"] == {"porch light": "refused"}, receipt
    assert receipt["levels"] == {"hall light": 1, "kitchen light": 1} and not acted
    assert "level" not in receipt
    assert text.startswith("lights, only in part: hall light on, kitchen light on; failed: "), text
    assert "porch light: pin 13 is on" in text, text
    # A refusal is told as of one pin.
    assert len(told.events) == 1 and told.events[0][0] == "refused", told.events
    # A pad that does not follow is never among those that did.
    machine.held[5] = 1
    receipt = call(t, "gpio_write", {"pin": "lights", "value": 0})
    assert receipt["levels"] == {"hall light": 0, "porch light": 0}
    assert receipt["failed"] == {"kitchen light": "mismatch"} and receipt["err"] == "partial"
    assert "check the wiring" in receipt["msg"]


class Told:
    def __init__(self):
        self.events = []

    def event(self, kind, fields):
        self.events.append((kind, fields))


def test_a_group_of_which_nothing_can_be_done_fails_as_one_pin_does():
    t = lights()
    for pin in (5, 13, 14):
        call(t, "limit_set", {"pin": pin, "allow": "in"})
    receipt, text, _ = t.run("gpio_write", {"pin": "lights", "value": 1})
    assert receipt["err"] == "refused" and receipt["levels"] == {}, receipt
    assert text.startswith("lights, none of them; failed: hall light: pin 13 may only be read")
    # An input among them is refused, and the others act.
    call(t, "limit_delete", {"pin": 5})
    call(t, "point_set", {"name": "hall light", "pin": 13, "dir": "in"})
    receipt = call(t, "gpio_write", {"pin": "lights", "value": 1})
    assert (
        receipt["levels"] == {"kitchen light": 1}
        and "hall light (pin 13) is an input" in (receipt["msg"])
    )


def test_many_failures_are_counted():
    t = rig.tools()
    pins = (2, 4, 5, 13, 14, 15, 16, 17)
    for pin in pins:
        call(t, "point_set", {"name": "relay %d" % pin, "pin": pin, "group": "relays"})
        call(t, "limit_set", {"pin": pin, "allow": "in"})
    receipt = call(t, "gpio_write", {"pin": "relays", "value": 1})
    assert len(receipt["failed"]) == 8 and receipt["msg"].endswith("; and 4 more"), receipt
    # A second name of a pin is not a second member.
    call(t, "point_set", {"name": "lamp", "pin": 5, "group": "relays"})
    assert len(call(t, "gpio_read", {"pin": "relays"})["levels"]) == 8


def test_who_is_in_a_group():
    t = lights()
    # What is not said again stays: the group of a point that is named anew, its direction.
    call(t, "point_set", {"name": "door", "pin": 4, "dir": "in"})
    receipt = call(t, "point_set", {"name": "door", "pin": 4, "group": "doors"})
    assert receipt["dir"] == "in" and receipt["group"] == "doors", receipt
    assert call(t, "point_set", {"name": "door", "pin": 4, "unit": "V"})["group"] == "doors"
    receipt, text, _ = t.run("point_set", {"name": "hall light", "pin": 13, "group": "none"})
    assert "group" not in receipt and text.endswith("hall light, in no group."), text
    assert list(call(t, "gpio_read", {"pin": "lights"})["levels"]) != []
    assert "hall light" not in call(t, "gpio_read", {"pin": "lights"})["levels"]
    text = t.run("point_list", {"group": "all lights"})[1]
    assert text == "kitchen light is pin 5 in lights, porch light is pin 14 in lights.", text
    text = t.run("point_list", {"group": "pumps"})[1]
    assert text == "no points are named in pumps; there are doors, lights.", text


def test_a_name_means_a_point_or_a_group():
    t = lights()
    for args, why in (
        ({"name": "lights", "pin": 4}, "'lights' is a group"),
        ({"name": "all lights", "pin": 4}, "'all lights' is a group"),
        ({"name": "fan", "pin": 4, "group": "pump"}, "'pump' is a point"),
        ({"name": "fan", "pin": 4, "group": "fan"}, "'fan' is a point"),
        ({"name": "fan", "pin": 4, "group": "all"}, "cannot be a group"),
        ({"name": "fan", "pin": 4, "group": "12"}, "cannot be a group"),
        ({"name": "fan", "pin": 4, "group": " "}, "the group is empty"),
    ):
        receipt = call(t, "point_set", args)
        assert receipt["err"] == "bad_args" and why in receipt["msg"], receipt
    assert t.kit.points.get("fan") is None
    # Other tools take one point, and say so.
    receipt = call(t, "gpio_pulse", {"pin": "lights", "ms": 10})
    assert receipt["err"] == "unknown_point" and "gpio_write and gpio_read" in receipt["msg"]
    receipt = call(t, "gpio_write", {"pin": "attic", "value": 1})
    assert receipt["err"] == "unknown_point", receipt
    assert receipt["msg"] == "I know no point called 'attic'"


def test_a_routine_names_its_points():
    t = lights()
    program = {"name": "night", "do": [{"call": ["gpio_write", {"pin": "lights", "value": 0}]}]}
    receipt = call(t, "routine_define", {"program": program})
    assert receipt["err"] == "bad_args", receipt
    assert receipt["msg"].endswith("'lights' is a group: a routine names each of its points")


def test_groups_are_bounded_and_shown():
    t = rig.tools()
    for n in range(16):
        receipt = call(t, "point_set", {"name": "p%d" % n, "pin": 5, "group": "group %d" % n})
        assert "err" not in receipt, receipt
    assert call(t, "point_set", {"name": "q", "pin": 5, "group": "more"})["err"] == "full"
    assert "err" not in call(t, "point_set", {"name": "q", "pin": 5, "group": "group 3"})
    import json

    state = json.loads("".join(t.kit.points.chunks()))
    assert sorted(state["groups"]) == sorted("group %d" % n for n in range(16)), state
    # Where names fill the message, groups give way.
    for n in range(48):
        t.kit.points.set("\1" * 16 + str(n), 5, True)
    text = "".join(t.kit.points.chunks())
    assert len(text.encode()) <= 4096 and json.loads(text)["points"], text
