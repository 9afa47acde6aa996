"""A reason is one short sentence that a person can act on."""

import pytest

from tests.companion.commands.kit import POINTS, ask, points, reason, table


@pytest.mark.parametrize(
    ("said", "part"),
    (
        ("turn on the boiler", "a point called 'boiler'; I know: desk light, door, heater"),
        ("turn on the light", "several points (desk light, kitchen light)"),
        ("turn on the heater in 10 minutes", "'in 10 minutes'"),
        ("turn on the heater when it gets dark", "'when it gets dark'"),
        ("don't turn on pin 5", "'don't'"),
        ("turn on pin 5 and make coffee", "'coffee'"),
        ("blink pin 5", "'blink'"),
        ("turn on 5", "'pin 5'"),
        ("turn on pin", "which pin"),
        ("set pin 5 to 2", "on (1) or off (0), not 2"),
        ("turn on the heater?", "question"),
        ("open the door", "door is an input"),
        ("turn it on", "'it'"),
        ("turn on pin 5 or pin 6", "'or'"),
        ("turn on pin 1, 2, 3, 4, 5, 6, 7, 8, 9", "more than 8"),
        ("the heater is on", "states something"),
        ("close pin 5", "say on or off"),
        ("turn off all pins", "everything"),
        ("forget everything", "not everything"),
        ("forget the light", "desk light, kitchen light"),
        ("forget the kitchen", "all of it: 'kitchen light'"),
        ("rename the heater to boiler", "cannot rename"),
        ("call pin 5 on", "cannot be a name"),
        ("call pin 5 " + "x" * 25, "over 24 bytes"),
        ("remember that my plants like " + "ä" * 100, "a fact holds 200"),
        ("remember to water the plants", "reminds"),
        ("remember my wifi name", "what to remember about"),
        ("remember that my plants like mornings and turn on pin 5", "two sentences"),
        ("", "no request"),
        ("?!", "no request"),
        ("🔥", "🔥"),
        ("why is the heater on", "now"),
    ),
)
def test_reason(said: str, part: str) -> None:
    assert part in reason(said)


def test_no_names_at_all() -> None:
    assert "no output has a name yet" in reason("turn everything off", points=())
    assert "no point is named yet" in reason("turn on the heater", points=())


def test_many_names_are_cut_short() -> None:
    many = points(*(f"lamp {c}" for c in "abcdefghijkl"))
    assert reason("turn on the boiler", many).endswith("and 6 more")


@pytest.mark.parametrize("said", [s for s, _ in table("declined")])
def test_every_reason_is_short_and_one_line(said: str) -> None:
    text = reason(said)
    assert 0 < len(text) <= 200 and "\n" not in text
    assert not text.endswith(".")


def test_inputs_are_read_and_left_out_of_everything() -> None:
    assert ask("read the door") == "read door"
    assert "door" not in ask("turn everything off")
    assert len(POINTS) == 6
