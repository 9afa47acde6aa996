"""Whatever is said: calls that the device takes, or Declined; soon, in any case."""

import contextlib
import gc
import time

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.backends.base import Declined, Point
from companion.backends.commands import CommandsBackend
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.intents import compiler
from companion.backends.commands.tokens import tokenize
from tests.companion.commands.kit import POINTS, TOOLS, request, table

BACKEND = CommandsBackend()
SCHEMAS = {t.name: jsonschema.Draft202012Validator(t.args) for t in TOOLS}
WORST_S = 0.25
"""Far above what any text of 1024 bytes takes, far below a backtracking expression."""

WORDS = sorted(
    {w for w in compiler.codes if w.isalpha()}
    | {w for phrase in voc.FILLERS for w in phrase}
    | {"kitchen", "light", "lights", "heater", "pump", "boiler", "5", "6", "five", "'", '"', "-"}
    | {",", ".", "?", "!", ";", "and", "then", "pin 5", "the heater", "remember that", "it"}
)


def check(text: str, points: tuple[Point, ...] = POINTS) -> None:
    start = time.thread_time()
    try:
        answer = BACKEND.answer_now(request(text, points))
    except Declined as declined:
        assert declined.reason
    else:
        assert 1 <= len(answer.calls) <= 8
        for call in answer.calls:
            SCHEMAS[call.tool].validate(call.args)
            if call.tool == "memory_set":
                assert len(call.args["key"].encode()) <= 32
                assert len(call.args["value"].encode()) <= 200
                assert call.args["value"] in text
            if call.tool == "point_set":
                assert len(call.args["name"].encode()) <= 24
    took = time.thread_time() - start
    if took > WORST_S:  # the collector may have run in between; a slow expression stays slow
        gc.collect()
        start = time.thread_time()
        with contextlib.suppress(Declined):
            CommandsBackend().answer_now(request(text, points))
        took = time.thread_time() - start
    assert took < WORST_S


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=1024))
def test_any_text(text: str) -> None:
    check(text)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
def test_any_words_of_the_grammar(text: str) -> None:
    check(text)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=24), max_size=8),
    st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join),
    st.data(),
)
def test_any_names(names: list[str], text: str, data: st.DataObject) -> None:
    points = tuple(Point(name, pin, "out", 0) for pin, name in enumerate(names))
    if names:
        text = f"{text} {data.draw(st.sampled_from(names))}"
    with contextlib.suppress(Declined):
        BACKEND.answer_now(request(text, points))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(table("switch") + table("names") + table("memory")), st.data())
def test_an_unknown_word_anywhere_never_lets_the_rest_act(
    row: tuple[str, str], data: st.DataObject
) -> None:
    """Inside names and facts any word is welcome; elsewhere it stops the whole."""
    said, wanted = row
    if not wanted.startswith(("on ", "off ", "flip ")) or "remember" in said or "call" in said:
        return
    words = said.split()
    at = data.draw(st.integers(0, len(words)))
    with contextlib.suppress(Declined):
        answer = BACKEND.answer_now(request(" ".join([*words[:at], "zyxw", *words[at:]])))
        assert {c.tool for c in answer.calls} == {"point_set"}  # "pin 5 = zyxw"


@given(st.text(max_size=200))
def test_tokens_cover_the_text(text: str) -> None:
    """Nothing but white space and joining signs falls between tokens."""
    tokens = tokenize(text)
    covered = set()
    for token in tokens:
        assert 0 <= token.start <= token.end <= len(text)
        covered.update(range(token.start, token.end))
    for i, char in enumerate(text):
        assert i in covered or char.isspace() or char in "-_\u2010\u2011\u2012\u2013\u2212"


HOSTILE = (
    "a" * 1024,
    "a " * 512,
    "and " * 256,
    "pin 5 and " * 102,
    "turn on " * 128,
    "remember that a, turn on pin 5. " * 32,
    "remember a and " * 68,
    "remember that a. turn a. " * 40,
    "remember that x is y. turn on pin 5. " * 27,
    "'" * 1024,
    "' a" * 341,
    '"' * 1023,
    "\u2019" * 341,
    "-" * 1024,
    "5" * 1024,
    "5,555," * 170,
    "1 2 3 " * 170,
    "the " * 256,
    "please " * 146,
    "could you " * 102,
    "all of the " * 93,
    "the kitchen in the " * 53,
    "heater heatre heatrr " * 48,
    "kitchen" * 146,
    "is " * 341,
    "what is the " * 85,
    "half past " * 102,
    "in a minute and a half " * 44,
    "call pin 5 the " + "light of the " * 77,
    "e\u0301" * 340,
    "\u202eturn on pin 5",
    "\x00turn on pin 5",
    "\ud800",
    "🔥" * 256,
    "(" * 1024,
    "[" * 1024,
    "{free}" * 170,
    "\ue000\ue001\ue002" * 100,
    "GTUQNESH?X" * 100,
    "T" * 1000,
    "x" * 5000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile(text: str) -> None:
    many = tuple(Point(f"{a}{b}ater light {b}", b, "out", 0) for a in "hk" for b in range(32))
    check(text)
    check(text, many)
