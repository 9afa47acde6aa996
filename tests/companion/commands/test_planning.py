"""Times, conditions and settings: the tables, and what must never come of them."""

import contextlib
import re
import statistics
import time

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.backends.base import Declined, Point
from companion.backends.commands import CommandsBackend
from companion.backends.commands import vocabulary as voc
from companion.backends.commands.grammar import Grammar
from companion.backends.commands.lexicon import Lexicon
from companion.backends.commands.plan_intents import compiler
from tests.companion.commands.kit import HOUSE, PLANNING, POINTS, TOOLS, ask, reason, request, table
from tests.companion.commands.test_properties import HOSTILE
from tests.companion.commands.test_sentences import POLITE
from tests.companion.commands.test_sentences import ROWS as OLD_ROWS

UNDERSTOOD = table("planning")
DECLINED = table("unplanned")
ROWS = UNDERSTOOD + DECLINED
BACKEND = CommandsBackend()
WORKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
SCHEMAS = {t.name: jsonschema.Draft202012Validator(t.args) for t in PLANNING}


def plan(text: str) -> str:
    return ask(text, HOUSE, tools=PLANNING)


@pytest.mark.parametrize(("said", "wanted"), ROWS, ids=[said for said, _ in ROWS])
def test_sentence(said: str, wanted: str) -> None:
    assert plan(said) == wanted


def test_the_tables_are_big_and_say_each_thing_once() -> None:
    said = [s for s, _ in ROWS]
    assert len(said) == len(set(said)) > 350
    assert len(DECLINED) > 200
    assert all(wanted == "declined" for _, wanted in DECLINED)
    assert all(wanted != "declined" for _, wanted in UNDERSTOOD)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [row for row in OLD_ROWS if row[1] != "declined"],
    ids=[said for said, wanted in OLD_ROWS if wanted != "declined"],
)
def test_what_was_understood_means_the_same_with_more_tools(said: str, wanted: str) -> None:
    assert ask(said, tools=PLANNING) == wanted


@pytest.mark.parametrize("said", [s for s, _ in UNDERSTOOD])
def test_nothing_is_planned_without_the_tools(said: str) -> None:
    """Not a part of it either."""
    got = ask(said, HOUSE, tools=TOOLS)
    assert got == "declined" or got.startswith(("drop rule", "get r", "get s")), got
    lacking = {
        "pulse": "gpio_pulse",
        "plan": "schedule_set",
        "rule": "rule_set",
        "plans": "schedule_list",
        "rules": "rule_list",
        "unplan": "schedule_delete",
        "unrule": "rule_delete",
        "zone": "set_timezone",
        "place": "set_place",
    }
    for word, tool in lacking.items():
        if any(part.split()[0] == word for part in plan(said).split("; ")):
            fewer = [t for t in PLANNING if t.name != tool]
            got = ask(said, HOUSE, tools=fewer)
            assert got == "declined" or got.startswith(("drop rule", "get r", "get s")), got


_SPAN = r"[1-9]\d* (?:s|min|h)"
_HOUR = r"(?:[01]\d|2[0-3]):[0-5]\d"
_DAYS = "(?:mon|tue|wed|thu|fri|sat|sun)"
WHEN = re.compile(
    rf"in {_SPAN}|every {_SPAN}(?: from {_HOUR})?|at {_HOUR}|sun(?:rise|set)(?: [+-]\d+ min)?"
    rf"|[1-5]?\d [12]?\d \* \* (?:\*|mon-fri|{_DAYS}(?:,{_DAYS})*)"
)
"""What firmware/ganglion/when.py takes."""


@pytest.mark.parametrize("said", [s for s, wanted in UNDERSTOOD if wanted.startswith("plan ")])
def test_when_is_said_as_the_device_takes_it(said: str) -> None:
    for call in BACKEND.answer_now(request(said, HOUSE, tools=PLANNING)).calls:
        if call.tool == "schedule_set":
            assert WHEN.fullmatch(call.args["when"])


def test_what_a_schedule_runs_must_be_a_tool_of_the_device() -> None:
    fewer = [t for t in PLANNING if t.name != "gpio_write"]
    assert ask("turn off the heater in 10 minutes", tools=fewer) == "declined"
    assert ask("when the door opens turn on the heater", tools=fewer) == "declined"


FRAMES = [f for f in POLITE if " now" not in f]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(
    ("plain", "wanted"),
    (
        ("turn off the heater in 10 minutes", "plan heater off, in 10 min: off heater"),
        ("turn on the pump for 5 seconds", "pulse pump 5000"),
        ("turn on the siren when the door opens", "rule door on siren on, door on: on siren"),
        ("cancel the schedule heater off", "unplan heater off"),
    ),
)
def test_politeness_changes_nothing(frame: str, plain: str, wanted: str) -> None:
    assert plan(frame.format(plain)) == wanted


@pytest.mark.parametrize("frame", ["hey, {} now", "{}, right now please"])
def test_now_and_another_time_are_not_both(frame: str) -> None:
    assert plan(frame.format("turn off the heater in 10 minutes")) == "declined"


NEVER = (
    "at 7",
    "at 7:30",
    "at half seven",
    "at twelve",
    "at 12 am",
    "tomorrow",
    "tomorrow at 07:00",
    "tonight",
    "tonight at 8 pm",
    "this evening at 8",
    "today at 19:00",
    "on monday at 19:00",
    "next week",
    "later",
    "soon",
    "in a minute",
    "in a bit",
    "every morning",
    "every day",
    "on weekdays",
    "every other day at 07:00",
    "every 2 days",
    "every month",
    "at dawn",
    "on sundays at sunset",
    "when it gets dark",
    "if the door is open",
    "unless the door is open",
    "unless the door opens",
    "while the door is open",
    "once the pump is on",
    "until 8 pm",
    "until the door opens",
    "after lunch",
    "after 10 minutes",
    "before 8 pm",
    "by 8 pm",
    "around 8 pm",
    "from 7 pm to 8 pm",
    "between 7 pm and 8 pm",
    "then wait 5 seconds",
    "and wait",
    "twice",
    "3 times",
    "except the heater",
    "at 7 pm except on sundays",
    "at 7 pm but not today",
    "at 7 pm or 8 pm",
    "at 7 pm and 8 pm",
    "at 7 pm if the door opens",
    "every day at 7 pm until june",
    "in 10 minutes or so",
    "for 5 seconds or so",
    "for a while",
    "for a couple of minutes",
    "for ever",
    "in 10 minutes and order pizza",
    "when the door opens and order pizza",
    "when the door or the window opens",
    "when the door opens or closes",
    "when the door does not open",
    "as soon as the door opens",
)


@pytest.mark.parametrize("tail", NEVER)
@pytest.mark.parametrize(
    "command",
    ("turn on the pump", "pump off", "toggle pin 5", "open the valve", "turn on pin 5 and pin 6"),
)
def test_nothing_is_half_done(command: str, tail: str) -> None:
    assert plan(f"{command} {tail}") == "declined"
    assert plan(f"{tail}, {command}") == "declined"
    assert plan(f"{tail} {command}") == "declined"
    assert plan(f"read the door and {command} {tail}") == "declined"


TIMES = (
    "in 10 minutes",
    "at 7 pm",
    "every day at 07:00",
    "every 10 minutes",
    "at sunset",
    "for 5 seconds",
    "when the door opens",
    "if pin 4 goes off",
)


@pytest.mark.parametrize("tail", TIMES)
@pytest.mark.parametrize(
    "head",
    (
        "don't turn on the pump",
        "do not turn on the pump",
        "never turn on the pump",
        "you can't turn on the pump",
        "did you turn on the pump",
        "do you turn on the pump",
        "will you turn on the pump",
        "should I turn on the pump",
        "can I turn on the pump",
        "why did you turn on the pump",
        "who turned on the pump",
        "is the pump on",
        "is the pump going on",
        "does the pump go on",
        "the pump is on",
        "the pump goes on",
        "I turn on the pump",
        "I turned on the pump",
        "he says turn on the pump",
        "what if I turn on the pump",
        "remember to turn on the pump",
        "remind me to turn on the pump",
        "turn on the pump and turn off the heater",
        "turn on the pump and read the door",
        "turn on the pump and tell me the time",
        "turn on the pump or the heater",
        "turn on the boiler",
        "turn on the light",
        "turn on it",
        "turn on the door",
        "read the door",
        "call pin 12 fan",
        "forget the pump",
        "dim the hall light",
        "",
        "and",
    ),
)
def test_a_time_lets_nothing_through(head: str, tail: str) -> None:
    for said in (f"{head} {tail}", f"{tail}, {head}", f"{head} {tail}?"):
        assert plan(said) == "declined", said


def test_a_question_mark_asks() -> None:
    for tail in TIMES:
        assert plan(f"turn on the pump {tail}?") == "declined"
        assert plan(f"could you turn on the pump {tail}?") != "declined"


@given(st.integers(1, 604_800), st.sampled_from(["in {}", "{} from now"]))
def test_any_span_is_said_back(seconds: int, frame: str) -> None:
    said = frame.format(f"{seconds} seconds")
    answer = BACKEND.answer_now(request(f"turn off the heater {said}", tools=PLANNING))
    word, number, unit = answer.calls[0].args["when"].split()
    assert word == "in" and int(number) * {"s": 1, "min": 60, "h": 3600}[unit] == seconds


@given(st.integers(0, 1439))
def test_any_minute_of_the_day(minute: int) -> None:
    digits = f"{minute // 60:02}:{minute % 60:02}"
    answer = BACKEND.answer_now(request(f"at {digits} turn on the heater", tools=PLANNING))
    assert answer.calls[0].args["when"] == f"at {digits}"


@given(st.lists(st.sampled_from(WORKDAYS), min_size=1))
def test_any_days(days: list[str]) -> None:
    said = " and ".join(dict.fromkeys(days))
    answer = BACKEND.answer_now(request(f"every {said} at 6 am turn on the heater", tools=PLANNING))
    cron = answer.calls[0].args["when"]
    names = [day[:3] for day in WORKDAYS]
    wanted = {d[:3] for d in days}
    got = cron.split()[4]
    assert set(names if got == "mon-fri" else got.split(",")) == wanted
    assert cron.startswith("0 6 * * ")


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=24), st.sampled_from(TIMES))
def test_names_fit_whatever_the_points_are_called(name: str, tail: str) -> None:
    points = (Point(name, 3, "out", 0), Point("door", 4, "in", 0))
    with contextlib.suppress(Declined):
        answer = BACKEND.answer_now(
            request(f'turn on "{name}" {tail}', points=points, tools=PLANNING)
        )
        for call in answer.calls:
            assert len(call.args.get("name", "").encode()) <= 24


def test_names_are_always_the_same_and_tell_apart() -> None:
    names = set()
    for at in ("06:00", "07:00"):
        for day in ("day", "monday", "monday and wednesday", "mon, wed and sat"):
            said = f"every {day} at {at} turn on the kitchen light"
            assert plan(said) == plan(said)
            names.add(plan(said).split(",")[0])
    assert len(names) == 8


WORDS = sorted(
    {w for w in compiler.codes if w.isalpha()}
    | {w for phrase in voc.FILLERS for w in phrase}
    | {"in 10 minutes", "at 7 pm", "every day", "at 07:00", "for 5 s", "when the door opens", ","}
    | {"turn on the pump", "heater off", "it", ".", "?", "30", "half", "sunset", "pin 5", "52.5"}
    | {"from now", "before", "the rule", "monday", "mondays", "'", '"', "-", "couple", "x"}
)


def check(text: str, points: tuple[Point, ...] = HOUSE) -> None:
    start = time.thread_time()
    try:
        answer = BACKEND.answer_now(request(text, points, tools=PLANNING))
    except Declined as declined:
        assert 0 < len(declined.reason) <= 250
    else:
        assert 1 <= len(answer.calls) <= 8
        for call in answer.calls:
            SCHEMAS[call.tool].validate(call.args)
            if "tool" in call.args:
                assert call.args["tool"] in ("gpio_write", "gpio_pulse")
                SCHEMAS[call.args["tool"]].validate(call.args["args"])
            assert len(str(call.args.get("name", "")).encode()) <= 24
    assert time.thread_time() - start < 0.5


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join))
def test_any_words_of_the_grammar(text: str) -> None:
    check(text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=1024))
def test_any_text(text: str) -> None:
    check(text)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(UNDERSTOOD), st.data())
def test_an_unknown_word_anywhere_stops_the_whole(
    row: tuple[str, str], data: st.DataObject
) -> None:
    """But inside the name of a schedule, a rule or an event."""
    said, wanted = row
    if not wanted.startswith(("plan ", "rule ", "pulse ", "zone ", "place ")):
        return
    words = said.split()
    at = data.draw(st.integers(0, len(words)))
    got = plan(" ".join([*words[:at], "zyxw", *words[at:]]))
    assert got == "declined" or re.search(r", event \S*zyxw", got), got


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(UNDERSTOOD), st.data())
def test_a_negation_anywhere_stops_the_whole(row: tuple[str, str], data: st.DataObject) -> None:
    said, wanted = row
    if wanted in ("plans", "rules") or '"' in said:
        return
    words = said.split()
    at = data.draw(st.integers(0, len(words)))
    word = data.draw(st.sampled_from(["not", "don't", "never", "except", "unless", "without"]))
    got = plan(" ".join([*words[:at], word, *words[at:]]))
    assert got == "declined" or got.startswith("set "), got  # "don't forget …" remembers


@pytest.mark.parametrize(
    "text",
    [
        *HOSTILE,
        "in 10 minutes " * 73,
        "at 7 pm and " * 85,
        "turn on the pump at 7 pm and " * 35,
        "every monday and " * 60,
        "when the door opens " * 51,
        "turn on the pump for 5 s. " * 39,
        "half an hour before " * 51,
        "1 " * 300,
        "a quarter of " * 78,
        "my time zone is " + "a/" * 500,
        "i live at " + "1" * 500,
        "forget the schedule " * 51,
        "at 7 p.m. " * 100,
        "for for for in in at at every every " * 28,
    ],
)
def test_hostile(text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("said", "part"),
    (
        ("turn on the heater at 7", "07:00 or 19:00"),
        ("turn on the heater at 12 am", "noon or midnight"),
        ("turn on the heater every day", "at what time"),
        ("turn on the heater tomorrow", "cannot plan 'tomorrow'"),
        ("turn on the heater every monday at sunset", "runs every day"),
        ("turn off the heater for 5 minutes", "only on can be for a time"),
        ("every day at 07:00 turn on the heater for an hour", "over 10 minutes"),
        ("turn on the heater and turn off the pump at 7 pm", "which of these"),
        ("if the door is open turn on the siren", "may mean now"),
        ("when the door has been open turn on the siren", "how long"),
        ("turn on the siren when the door opens for 5 minutes", "what lasts so long"),
        ("when pin 4 opens turn on pin 5", "either level"),
        ("when the pump goes on turn off the pump", "never rest"),
        ("when it rains turn off the pump", "rules of a point"),
        ("when the door opens turn on the boiler", "'boiler'"),
        ("my time zone is Berlin", "Europe/Berlin"),
        ("I live at 91, 5", "no place on earth"),
        ("forget the schedule for the heater", "'for'"),
        ("at 7 pm read the door", "only switching"),
        ("will you turn on the heater at 7 pm?", "could be a question"),
        ("don't turn on the heater at 7 pm", "'don't'"),
    ),
)
def test_reason(said: str, part: str) -> None:
    assert part in reason(said, HOUSE, PLANNING)


@pytest.mark.parametrize("said", [s for s, _ in DECLINED])
def test_every_reason_is_short_and_one_line(said: str) -> None:
    text = reason(said, HOUSE, PLANNING)
    assert 0 < len(text) <= 200 and "\n" not in text
    assert not text.endswith(".")


def test_a_condition_is_no_question_about_a_fact() -> None:
    assert ask("when my alarm rings, turn on pin 5") == "declined"
    assert ask("when is my birthday, please") == "get birthday"


def test_only_a_name_by_itself_is_forgotten() -> None:
    assert ask("forget the pump if pin 4 goes off") == "declined"
    assert ask("forget my pin 6") == "unname heater"


def test_cost() -> None:
    """The aim is 150 µs on an idle machine, declined or not; ten times that would be another
    algorithm."""
    grammar = Grammar(Lexicon(POINTS))
    tools = {t.name for t in PLANNING}
    medians = []
    for said, _ in ROWS[::6]:
        took = []
        for _ in range(40):
            start = time.perf_counter_ns()
            with contextlib.suppress(Declined):
                grammar.parse(said, {}, tools)
            took.append(time.perf_counter_ns() - start)
        medians.append(statistics.median(took) / 1000)
    assert statistics.median(medians) < 1500
