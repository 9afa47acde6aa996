"""Sentences about the device and about groups, against the tools that the firmware has."""

from dataclasses import replace

import pytest

from companion.backends.base import Declined, Point, ToolSpec
from companion.backends.commands import CommandsBackend
from tests.companion.commands.kit import HOUSE, TOOLS, ask, request
from tools.build import FIRMWARE
from tools.paths import ROOT
from tools.specs import read

FIRMWARE_TOOLS = tuple(ToolSpec(s.name, s.desc, s.wire()["args"], s.acts) for s in read(FIRMWARE))
PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
GROUPS = ("lights", "garden things")


def calls(text: str, groups: tuple[str, ...] = GROUPS) -> str:
    """The calls as ``tool name=value …``, or "declined: " and the reason."""
    wanted = replace(request(text, HOUSE, tools=FIRMWARE_TOOLS), groups=groups)
    try:
        answer = CommandsBackend().answer_now(wanted)
    except Declined as declined:
        return f"declined: {declined.reason}"
    return "; ".join(
        " ".join([c.tool] + [f"{k}={v}" for k, v in c.args.items()]) for c in answer.calls
    )


@pytest.mark.parametrize(
    ("said", "done"),
    (
        ("reboot", "reboot"),
        ("Please reboot now!", "reboot"),
        ("restart the board", "reboot"),
        ("could you restart yourself?", "reboot"),
        ("what version are you running?", "get_version"),
        ("which firmware version do you have", "get_version"),
        ("what's your version?", "get_version"),
        ("version", "get_version"),
        ("what board is this?", "get_version"),
        ("what is your name?", "get_version"),
        ("who are you?", "get_version"),
        ("call yourself Greenhouse", "rename_device name=Greenhouse"),
        ("rename yourself the Greenhouse please", "rename_device name=Greenhouse"),
        ('rename this device to "Pump House 2"', "rename_device name=Pump House 2"),
        ("change your name to Bob", "rename_device name=Bob"),
        ("forget your name", "rename_device"),
        ("show diagnostics", "get_diagnostics"),
        ("how many flash writes a day?", "get_diagnostics scope=store"),
        ("how good is the wifi signal?", "get_diagnostics scope=wifi"),
        ("how much memory is free?", "get_health"),
        ("when did you reboot?", "get_health"),
    ),
)
def test_the_device(said: str, done: str) -> None:
    assert calls(said) == done


@pytest.mark.parametrize(
    ("said", "why"),
    (
        ("reboot?", "a question"),
        ("don't reboot", "don't"),
        ("restart", "what to restart"),
        ("reset", "may mean"),
        ("reset the board", "may mean"),
        ("factory reset", "may mean"),
        ("reboot the pump", ""),
        ("restart the pump", ""),
        ("reboot in 10 minutes", "by itself"),
        ("turn off the pump and reboot", "by itself"),
        ("rename this device", "say the name"),
        ("call yourself Bob in 5 minutes", "quotes"),
        ("call yourself " + "x" * 25, "24 bytes"),
        ("call yourself on", "cannot be a name"),
        ("call yourself Bob and turn on the pump", ""),
        ("is your name Bob?", ""),
    ),
)
def test_what_of_the_device_is_declined(said: str, why: str) -> None:
    answer = calls(said)
    assert answer.startswith("declined: ") and why in answer, answer


@pytest.mark.parametrize(
    ("said", "done"),
    (
        ("what's the voltage on pin 34?", "adc_read pin=34"),
        ("read the voltage of the door", "adc_read pin=door"),
        ("turn the servo on pin 18 to 90 degrees", "servo_set pin=18 degrees=90"),
        ("count pulses on pin 4", "counter_start pin=4"),
        ("how many pulses has the door counted?", "counter_read pin=door"),
        ("stop counting on pin 4", "counter_stop pin=4"),
        ("pulse the pump for 500 ms", "gpio_pulse pin=pump ms=500"),
        ("pulse the pump for 2 seconds", "gpio_pulse pin=pump ms=2000"),
        ("read pin 34", "gpio_read pin=34"),
    ),
)
def test_tools_of_one_pin(said: str, done: str) -> None:
    assert calls(said) == done


def test_a_servo_by_its_name() -> None:
    servo = (*HOUSE, Point("pan servo", 18, "out", 0))
    wanted = request("set the pan servo to 45 degrees", servo, tools=FIRMWARE_TOOLS)
    (call,) = CommandsBackend().answer_now(wanted).calls
    assert (call.tool, call.args) == ("servo_set", {"pin": "pan servo", "degrees": 45})


@pytest.mark.parametrize(
    ("said", "why"),
    (
        ("set the heater to 20 degrees", "degrees are for a servo"),
        ("set pin 18 to 90 degrees", "degrees are for a servo"),
        ("turn the servo on pin 18 to 200 degrees", "no such call"),
        ("turn the servo on the door to 20 degrees", "is an input"),
        ("pulse the lights for 500 ms", "one pin or point"),
        ("pulse the pump for ever", "how long"),
        ("pulse the pump for 2 hours", "no such call"),
        ("pulse the pump for 2 seconds?", "a question"),
        ("count pulses on pin 4?", "a question"),
        ("what is the voltage?", ""),
        ("what is the temperature?", ""),
        ("dim the kitchen light", ""),
        ("count on me", ""),
    ),
)
def test_what_of_one_pin_is_declined(said: str, why: str) -> None:
    answer = calls(said)
    assert answer.startswith("declined: ") and why in answer, answer


@pytest.mark.parametrize(
    ("said", "done"),
    (
        ("turn off all lights", "gpio_write pin=lights value=0"),
        ("turn the lights on", "gpio_write pin=lights value=1"),
        ("lights off", "gpio_write pin=lights value=0"),
        ("toggle all the lights", "gpio_write pin=lights value=toggle"),
        ("every light off", "gpio_write pin=lights value=0"),
        ("are the lights on?", "gpio_read pin=lights"),
        ("which lights are on?", "gpio_read pin=lights"),
        ("turn off the garden things and the pump",
         "gpio_write pin=garden things value=0; gpio_write pin=pump value=0"),
        ("turn on the lights and then turn them off",
         "gpio_write pin=lights value=1; gpio_write pin=lights value=0"),
        ("every day at 23:00 turn off all lights",
         "schedule_set name=lights off daily 23:00 when=0 23 * * * tool=gpio_write "
         "args={'pin': 'lights', 'value': 0}"),
        # A pulse is for one pin, so a schedule ends it.
        ("turn on the lights for 5 minutes",
         "schedule_set name=lights off when=in 5 min tool=gpio_write "
         "args={'pin': 'lights', 'value': 0}; gpio_write pin=lights value=1"),
        ("when the door opens turn on the lights",
         "rule_set name=door on lights on read=door is=on tool=gpio_write "
         "args={'pin': 'lights', 'value': 1}"),
        ("turn on the kitchen light", "gpio_write pin=kitchen light value=1"),
        ("put the kitchen light in the group lights",
         "point_set name=kitchen light pin=5 group=lights"),
        ("add the pump to the garden things", "point_set name=pump pin=8 group=garden things"),
        ("put the hall light and desk light into the evening group",
         "point_set name=hall light pin=13 group=evening; "
         "point_set name=desk light pin=7 group=evening"),
        ("take the kitchen light out of its group",
         "point_set name=kitchen light pin=5 group=none"),
        ("who is in the group lights?", "point_list group=lights"),
        ("list groups", "point_list"),
    ),
)  # fmt: skip
def test_groups(said: str, done: str) -> None:
    assert calls(said) == done


@pytest.mark.parametrize(
    ("said", "why"),
    (
        ("turn on the light", "several points"),
        ("both lights on", "not two points"),
        ("turn off any light", "any of them"),
        ("turn on the lights for 500 ms", "whole seconds"),
        ("every day at 7 pm turn on the lights for 5 minutes", "two schedules"),
        ("when the lights are on turn on the pump", "a rule watches one point"),
        ("when the pump goes on turn off the lights", "might never rest"),
        ("put pin 33 in the group lights", "has no name"),
        ("put the heater in the group pump", "is a point"),
        ("put all lights in the group evening", "is a group"),
        ("is the kitchen light in the group lights?", ""),
        ("remove the pump from the group lights", "out of its group"),
        ("delete the group lights", "last member"),
        ("what is in the group cellar?", "groups: lights, garden things"),
    ),
)
def test_what_of_groups_is_declined(said: str, why: str) -> None:
    answer = calls(said)
    assert answer.startswith("declined: ") and why in answer, answer


def examples() -> list[tuple[str, str]]:
    """The rows of the page's table of these."""
    table = PAGE.split("| said to it | called |", 1)[1].split("\n\n", 1)[0]
    rows = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    return [(said.strip(), done.strip(" `")) for said, done in rows]


@pytest.mark.parametrize(("said", "done"), examples(), ids=[said for said, _ in examples()])
def test_the_page(said: str, done: str) -> None:
    assert calls(said).startswith(done) if done == "declined" else calls(said) == done


def test_without_a_group_the_names_decide() -> None:
    one = "; ".join(
        f"gpio_write pin={place} light value=0" for place in ("desk", "garden", "hall", "kitchen")
    )
    assert calls("turn off all the lights", groups=()) == one


def test_a_device_that_cannot_is_not_asked_to() -> None:
    for said in ("reboot", "call yourself Bob", "what version are you running?"):
        assert ask(said, tools=TOOLS) == "declined"
