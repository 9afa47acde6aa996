"""The tables: what people say, and what comes of it."""

import pytest

from tests.companion.commands.kit import ask, table

ROWS = [
    row
    for name in ("switch", "read", "names", "memory", "system", "declined", "heldout")
    for row in table(name)
]


@pytest.mark.parametrize(("said", "wanted"), ROWS, ids=[said for said, _ in ROWS])
def test_sentence(said: str, wanted: str) -> None:
    assert ask(said) == wanted


def test_the_tables_are_big_and_say_each_thing_once() -> None:
    said = [s for s, _ in ROWS]
    assert len(said) == len(set(said)) > 500


POLITE = (
    "please {}",
    "{} please",
    "{}, please!",
    "could you {} please",
    "could you please {}?",
    "Can you {}",
    "would you {} for me",
    "hey, {} now",
    "OK ganglion, {}",
    "I'd like you to {}",
    "i want you to {} right now",
    "go ahead and {}",
    "would you be so kind as to {}?",
    "when you get a chance, {}",
    "{} if you don't mind",
    "{}, thanks",
    "just {}",
)
PLAIN = {
    "turn on pin 5": "on 5",
    "switch the kitchen light off": "off kitchen light",
    "kill the heater": "off heater",
    "toggle the pump": "flip pump",
    "read the door": "read door",
    "turn on the pump and turn off the heater": "on pump; off heater",
    "remember that my plants like mornings": "set plants = my plants like mornings",
    "tell me the time": "time",
    "check your health": "health",
    "call pin 12 fan": "name 12 fan",
    "forget the pump": "unname pump",
}


@pytest.mark.parametrize("frame", POLITE)
@pytest.mark.parametrize("plain", PLAIN)
def test_politeness_changes_nothing(frame: str, plain: str) -> None:
    """A remembered text takes what follows it, so only frames around its beginning apply."""
    if plain.startswith("remember") and not frame.endswith(("{}", "{}?", "{} please")):
        pytest.skip("what follows belongs to the fact")
    assert ask(frame.format(plain)) == PLAIN[plain]


WHEN = (
    "in 10 minutes",
    "at 7",
    "at half past six",
    "for 5 seconds",
    "for half an hour",
    "every morning",
    "on weekdays",
    "tomorrow",
    "tonight",
    "later",
    "when it gets dark",
    "if the door is open",
    "unless the door is open",
    "until 8pm",
    "after lunch",
    "before I get home",
    "then wait 5 seconds",
    "and wait",
    "once the pump is on",
    "while I cook",
    "twice",
    "3 times",
    "except the heater",
    "a bit",
    "to 50%",
    "and order pizza",
    "or maybe",
    "except on sundays",
    "as soon as I leave",
)


@pytest.mark.parametrize("tail", WHEN)
@pytest.mark.parametrize(
    "command", ("turn on the pump", "pump off", "toggle pin 5", "call pin 12 fan", "open the valve")
)
def test_nothing_is_half_done(command: str, tail: str) -> None:
    assert ask(f"{command} {tail}") == "declined"
    assert ask(f"{tail}, {command}") == "declined"
    assert ask(f"read the door and {command} {tail}") == "declined"


@pytest.mark.parametrize(
    "negation",
    ("don't {}", "do not {}", "never {}", "please don't {}", "dont {}", "you can't {}", "not {}"),
)
@pytest.mark.parametrize("command", ("turn on pin 5", "kill the heater", "toggle the pump"))
def test_negation(negation: str, command: str) -> None:
    assert ask(negation.format(command)) == "declined"
