"""Facts: the text exactly as it was written, under a key that is found again."""

import pytest

from companion.backends.commands.facts import key_of, stored_key
from companion.backends.commands.tokens import tokenize
from tests.companion.commands.kit import CommandsBackend, ask, request


@pytest.mark.parametrize(
    "said",
    (
        "My Plants like MORNINGS",
        "my plants like  two   spaces",
        "my café is “Zum Löwen” \u2013 Straße 5",
        "my plants like ☀ and 🌧",
        "my wifi password is P@ss, word; and more!",
        "my rule is: never turn off the pump",
        "my sister's birthday is 3 May",
        "my dog doesn't like cats",
        "my e\u0301clair is good",
    ),
)
def test_text_is_kept_as_it_is(said: str) -> None:
    for frame in ("remember that {}", "Remember: {}", "please remember {}", "note that {}  "):
        answer = CommandsBackend().answer_now(request(frame.format(said)))
        assert [c.args["value"] for c in answer.calls] == [said]


@pytest.mark.parametrize(
    ("fact", "question", "key"),
    (
        ("my plants like mornings", "what do my plants like?", "plants"),
        ("my plants like mornings", "what do you remember about my plants", "plants"),
        ("my wifi name is foo", "what is my wifi name?", "wifi name"),
        ("the name of my wifi is foo", "what's the name of my wifi", "wifi name"),
        ("my favourite colour is blue", "what's my favourite colour", "favourite colour"),
        ("blue is my favourite colour", "what is my favourite colour?", "favourite colour"),
        ("my favourite drink is tea", "tell me my favourite drink", "favourite drink"),
        ("my keys are in the drawer", "where are my keys?", "keys"),
        ("my birthday is 3 May", "when is my birthday?", "birthday"),
        ("our bins go out on Tuesday", "when do our bins go out", "bins"),
        ("my cat despises rain", "what does my cat despise?", "cat"),
        ("my work address is 5 Foo Street", "what is my work address", "work address"),
        ("my plumber comes on Mondays", "who is my plumber", "plumber"),
        ("my dog is called Rex", "do you remember my dog?", "dog"),
        ("the gate code is 4711", "do you remember the gate code", "gate code"),
        ("the gate code: 4711", "what did I tell you about the gate code?", "gate code"),
        (
            "my sister's phone number is 123",
            "what is my sister's phone number",
            "sister phone number",
        ),
    ),
)
def test_a_question_finds_the_key_of_its_fact(fact: str, question: str, key: str) -> None:
    assert ask(f"remember that {fact}") == f"set {key} = {fact}"
    assert ask(question) == f"get {key}"
    assert ask(f"forget that {fact}") == f"drop {key}"


@pytest.mark.parametrize(
    ("fact", "key"),
    (
        ("I live in Berlin", "live berlin"),
        ("I am allergic to nuts", "allergic nuts"),
        ("hunter2 is the wifi password", "wifi password"),
        ("gate code 4711", "gate code"),
        ("my " + "very " * 9 + "long name is foo", "long name"),
        ("the " + "x" * 40 + " is foo", "x" * 32),
        ("the " + "ä" * 40 + " is foo", "ä" * 16),
    ),
)
def test_key(fact: str, key: str) -> None:
    assert key_of(tokenize(fact)) == key


def test_value_bound_is_in_bytes() -> None:
    head = "my plants like "
    assert ask(f"remember that {head}{'x' * 185}").startswith("set plants")
    assert ask(f"remember that {head}{'x' * 186}") == "declined"
    assert ask(f"remember that {head}{'ä' * 92}x").startswith("set plants")
    assert ask(f"remember that {head}{'ä' * 93}") == "declined"


def test_known_facts() -> None:
    facts = {"favourite colour": "blue", "heater": "the heater is loud"}
    assert ask("what is the favourite colour", facts=facts) == "get favourite colour"
    assert ask("what is the favourite colour") == "declined"
    assert ask("forget the heater") == "unname heater"
    assert ask("forget the heater", facts=facts) == "declined"
    assert ask("forget the point heater", facts=facts) == "unname heater"
    assert ask("forget the fact heater", facts=facts) == "drop heater"
    assert ask("forget the fact about the heater", facts=facts) == "drop heater"
    assert stored_key("colour", facts) == "favourite colour"
    assert stored_key("plants", facts) == "plants"


@pytest.mark.parametrize(
    ("said", "wanted"),
    (
        (
            "turn on pin 5 and remember that my plants like mornings",
            "on 5; set plants = my plants like mornings",
        ),
        (
            "Remember that my plants like mornings. Turn on pin 5.",
            "set plants = my plants like mornings; on 5",
        ),
        (
            "remember that my plants like mornings and remember that my dog is Rex",
            "set plants = my plants like mornings; set dog = my dog is Rex",
        ),
        ("remember that my plants like mornings. Turn on the boiler.", "declined"),
        ("remember that my plants like mornings, turn on pin 5", "declined"),
        ("remember that at night you close the valve and turn off the pump", "declined"),
        ("remember that the heater is on pin 12", "name 12 heater"),
        (
            "my favourite colour is blue, remember that",
            "set favourite colour = my favourite colour is blue",
        ),
    ),
)
def test_beside_other_requests(said: str, wanted: str) -> None:
    assert ask(said) == wanted
