"""No routine that passes the check exceeds its steps or time, leaves on what it did not say, or has
an interlock pair on at any moment; and what does not pass is told with its place. Hypothesis makes
the programs, the 32-bit MicroPython checks and runs them, with chance readings, failures, cuts."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools import paths, runtime

FULL = os.environ.get("GANGLION_FULL") == "1"
UNITS = Path(__file__).parent / "units"

pins = st.sampled_from(["fan", "hall light", "blind up", "blind up", "blind down", "blind down"])
numbers = st.sampled_from([0, 1, 2, 3, 0.5, 7, -1, 60])
names = st.sampled_from(["x", "y"])
refs = st.sampled_from(["$n", "$n", "$k", "$x", "$y", "$c.level", "$c.ok"])
reads = st.sampled_from([{"read": "door"}, {"read": "fan"}])
values = st.recursive(
    numbers | refs | reads,
    lambda inner: st.tuples(
        inner, st.sampled_from(["+", "-", "*", "/", "%", "min", "max"]), inner
    ).map(list),
    max_leaves=3,
)
comparisons = st.tuples(values, st.sampled_from(["==", "!=", "<", ">=", ">"]), values).map(list)
conditions = st.recursive(
    reads | reads | comparisons | st.just("$c.ok") | st.booleans(),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map(lambda v: {"and": v}),
        st.lists(inner, min_size=1, max_size=2).map(lambda v: {"or": v}),
        inner.map(lambda v: {"not": v}),
    ),
    max_leaves=3,
)
levels = st.sampled_from([0, 0, 0, 1, 1, "toggle", "$n", "$x", "$c.level"])
writes = st.builds(
    lambda pin, value, more: {"call": ["gpio_write", {"pin": pin, "value": value}], **more},
    pins,
    levels,
    st.sampled_from([{}, {}, {"try": True}, {"as": "c"}]),
)
simple = st.one_of(
    writes,
    writes,
    writes,
    st.just({"call": ["gpio_read", {"pin": "door"}], "as": "c"}),
    st.sampled_from([0, 1, 0.25, ["$k", "*", 2], ["$c.level", "min", 3], "$x"]).map(
        lambda v: {"wait": v}
    ),
    st.builds(lambda name, value: {"set": [name, value]}, names, values),
    st.sampled_from(["hello", "{n} {door}", "{x}", "{c.level}"]).map(lambda v: {"notify": v}),
)


def blocks(step: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    body = st.lists(step, min_size=1, max_size=4)
    return st.one_of(
        st.builds(lambda c, a: {"if": c, "then": a}, conditions, body),
        st.builds(lambda c, a, b: {"if": c, "then": a, "else": b}, conditions, body, body),
        st.builds(
            lambda n, a: {"repeat": n, "do": a},
            st.sampled_from([0, 1, 2, 5, "$k", ["$k", "+", 1], 40]),
            body,
        ),
        st.builds(
            lambda c, n, a: {"while": c, "max": n, "do": a},
            conditions,
            st.sampled_from([1, 3, 30]),
            body,
        ),
        st.builds(
            lambda name, s, a: {"ask": "{n}?", "as": name, "within": s, "offline": a},
            names,
            st.sampled_from([1, 5, 120]),
            body,
        ),
    )


steps = st.recursive(simple, blocks, max_leaves=5)
START = [
    {"set": ["x", 1]},
    {"set": ["y", 0]},
    {"call": ["gpio_read", {"pin": "door"}], "as": "c", "try": True},
]


@st.composite
def programs(draw: st.DrawFn) -> dict[str, Any]:
    program: dict[str, Any] = {
        "name": "p",
        "params": {
            "n": {"type": "int", "default": 0, "min": 0, "max": 1},
            "k": {"type": "int", "default": 2, "min": 0, "max": 4},
        },
        "do": START * draw(st.integers(0, 3).map(bool))
        + draw(st.lists(steps, min_size=1, max_size=6)),
    }
    if draw(st.booleans()):
        program["finally"] = START * draw(st.integers(0, 3).map(bool)) + draw(
            st.lists(steps, min_size=1, max_size=4)
        )
    return program


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 70)
    | st.sampled_from(["$x", "fan", "", "a b", 1e9]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["call", "wait", "if", "then", "do", "repeat", "set", "read", "and", "ask"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=4,
)


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    """A program with junk somewhere in it."""
    program = json.loads(json.dumps(draw(programs())))
    at: Any = program
    while True:
        keys = sorted(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return program
        key = draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not draw(st.integers(0, 3)):
            at[key] = draw(junk)
            return program
        at = at[key]


class Chip:
    """One MicroPython that judges program after program."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        command = [*runtime.micropython().command, "-X", "heapsize=2m"]
        self._child = subprocess.Popen(
            [*command, str(UNITS / "_routine_driver.py"), str(paths.ROOT / "firmware"), str(UNITS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def judge(self, program: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
        assert self._child.stdin and self._child.stdout
        self._child.stdin.write(json.dumps([program, seeds]) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        assert line, "MicroPython ended"
        verdict = dict(json.loads(line))
        assert "wrong" not in verdict, verdict
        self.seen["passed" if "steps" in verdict else "refused"] += 1
        if "what" in verdict:
            place(program, verdict["path"], verdict["what"])
        return verdict

    def close(self) -> None:
        assert self._child.stdin
        self._child.stdin.close()
        self._child.wait(10)


def place(program: Any, path: str, what: str) -> None:
    """An error names a place that is there, down to the step, and says something."""
    assert 5 <= len(what) <= 200, what
    at = program
    for key, index in re.findall(r"(\w+)|\[(\d+)\]", path):
        if key and isinstance(at, dict) and key in at:
            at = at[key]
        elif index and isinstance(at, list) and int(index) < len(at):
            at = at[int(index)]
        else:
            # Below a step: the words of the language, or a field that is missing there.
            assert (re.fullmatch(r"[\w.\[\] ]+", path) and at is not program) or "." not in path, (
                path
            )
            return


@pytest.fixture(scope="module")
def chip() -> Iterator[Chip]:
    c = Chip()
    yield c
    c.close()


_SETTINGS = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "database": None,
    "derandomize": not FULL,
}


@settings(max_examples=3000 if FULL else 400, **_SETTINGS)
@given(program=programs(), seed=st.integers(0, 1000))
def test_what_passes_keeps_its_bounds(chip: Chip, program: dict[str, Any], seed: int) -> None:
    chip.judge(program, [seed * 12 + n for n in range(12)])


@settings(max_examples=3000 if FULL else 250, **_SETTINGS)
@given(program=spoiled())
def test_what_is_wrong_is_told_with_its_place(chip: Chip, program: dict[str, Any]) -> None:
    chip.judge(program, [1, 2])


def test_enough_of_both_was_seen(chip: Chip) -> None:
    if chip.seen.total() > 500:
        assert chip.seen["passed"] > 80 and chip.seen["refused"] > 80, chip.seen
