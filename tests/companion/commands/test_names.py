"""Which points a person means, and what a name may be."""

import pytest

from companion.backends.base import Declined, Point
from companion.backends.commands.lexicon import Lexicon
from tests.companion.commands.kit import ask, points, reason

HOUSE = points(
    "kitchen light", "hall light", "living-room lamp", "relay 2", "relay 3", "cat's fan", "pump"
)


@pytest.mark.parametrize(
    ("words", "name"),
    (
        ("kitchen light", "kitchen light"),
        ("kitchen lights", "kitchen light"),
        ("kitchen", "kitchen light"),
        ("light kitchen", "kitchen light"),
        ("light in the kitchen", "kitchen light"),
        ("kichen light", "kitchen light"),
        ("kicthen light", "kitchen light"),
        ("kitchen lihgt", "kitchen light"),
        ("living room lamp", "living-room lamp"),
        ("livingroom lamp", None),
        ("lamp", "living-room lamp"),
        ("relay two", "relay 2"),
        ("relay 2", "relay 2"),
        ("relay 4", None),
        ("fan", "cat's fan"),
        ("cat's fan", "cat's fan"),
        ("pumps", "pump"),
        ("pomp", None),  # four letters: too many neighbours
        ("night light", None),
        ("bedroom light", None),
        ("kitchen hall light", None),
        ("kitchen lamp", None),
        ("hall lamp", None),
    ),
)
def test_find(words: str, name: str | None) -> None:
    wanted = f"on {name}" if name else "declined"
    assert ask(f"turn on the {words}", HOUSE) == wanted
    assert ask(f"turn the {words} on", HOUSE) == wanted


@pytest.mark.parametrize("words", ("light", "lights", "relay"))
def test_ambiguous(words: str) -> None:
    assert "several points" in reason(f"turn on the {words}", HOUSE)


def test_a_slip_that_fits_two_words_fits_none() -> None:
    two = points("boilers", "broiler x")
    assert ask("turn on the boiler", points("boiler")) == "on boiler"
    assert ask("turn on the boilex", points("boiler", "boilen")) == "declined"
    assert ask("turn on the boilrs", two) == "on boilers"


def test_exact_names_win() -> None:
    nested = points("light", "kitchen light", "lights")
    assert ask("turn on the light", nested) == "on light"
    assert ask("turn on the lights", nested) == "on lights"
    assert ask("turn on the kitchen light", nested) == "on kitchen light"
    assert ask("turn on the kitchen", nested) == "on kitchen light"


def test_names_that_hold_words_of_the_grammar() -> None:
    odd = points(
        "open sign", "status led", "fan and filter", "on air", "main switch", "now playing"
    )
    assert ask("turn on the open sign", odd) == "on open sign"
    assert ask("turn the open sign off", odd) == "off open sign"
    assert ask("status led on", odd) == "on status led"
    assert ask("turn off the fan and filter", odd) == "off fan and filter"
    assert ask("switch off the switch", odd) == "off main switch"
    assert ask("turn on on air", odd) == "on on air"
    assert ask("is now playing on?", odd) == "read now playing"


def test_names_that_cannot_be_told_from_commands() -> None:
    """A point called "pin 7" on another pin must never be hit by "pin 7"; nor "on" by "on"."""
    trap = (Point("pin 7", 12, "out", 0), Point("all", 13, "out", 0), Point("on", 14, "out", 0))
    assert ask("turn on pin 7", trap) == "on 7"
    assert ask("turn on pin 5", trap) == "on 5"
    assert ask('turn on "all"', trap) == "on all"
    assert ask("turn on the on", trap) == "declined"
    assert ask("turn all off", trap) == "off all; off on; off pin 7"


def test_unicode_names() -> None:
    world = points("küchenlicht", "台所", "💡", "lámpara", "ДИММЕР".lower())
    assert ask("turn on the KÜCHENLICHT", world) == "on küchenlicht"
    assert ask("turn on ku\u0308chenlicht", world) == "on küchenlicht"
    assert ask("turn on 台所", world) == "on 台所"
    assert ask("💡 on", world) == "on 💡"
    assert ask("lámpara off", world) == "off lámpara"
    assert ask("ДИММЕР on", world) == "on диммер"


def test_levels_do_not_matter() -> None:
    a = Lexicon([Point("pump", 1, "out", 0)]).find(["pump"])
    assert a is not None and a.name == "pump"


def test_lexicon_reasons() -> None:
    lexicon = Lexicon(HOUSE)
    with pytest.raises(Declined, match="several points"):
        lexicon.find(["light"])
    with pytest.raises(Declined, match="'boiler'"):
        lexicon.resolve(["boiler"], "boiler")
    assert [p.name for p in lexicon.group(["lights"])] == ["hall light", "kitchen light"]


@pytest.mark.parametrize(
    ("said", "wanted"),
    (
        ("call pin 5 " + "x" * 24, "name 5 " + "x" * 24),
        ("call pin 5 " + "x" * 25, "declined"),
        ("call pin 5 " + "ä" * 12, "name 5 " + "ä" * 12),
        ("call pin 5 " + "ä" * 13, "declined"),
        ('call pin 5 "Open Sign"', "name 5 open sign"),
        ("call pin 5 “on air”", "name 5 on air"),
        ('call pin 5 "  two   words "', "name 5 two words"),
        ('call pin 5 "on"', "declined"),
        ('call pin 5 "12"', "declined"),
        ("call pin 64 fan", "declined"),
        ("call pin 5 fan, pin 6 lamp and pin 7 pump", "name 5 fan; name 6 lamp; name 7 pump"),
        ("call pin 5 fan then turn the fan on and read it", "name 5 fan; on fan; read fan"),
    ),
)
def test_naming(said: str, wanted: str) -> None:
    assert ask(said, points=()) == wanted


def test_two_names_on_one_pin() -> None:
    twice = (Point("fan", 5, "out", 0), Point("blower", 5, "out", 0))
    assert "several names" in reason("forget the name of pin 5", twice)
    assert ask("forget the fan", twice) == "unname fan"
