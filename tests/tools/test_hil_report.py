"""The bench's records: what is written is read again, and a damaged file is named as such."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.hil.compare import Change, Comparison, compare
from tools.hil.record import Board, Figure, Record, Run, Series, from_json, read, to_json, write
from tools.problem import Problem, Usage

BOARD = Board("virtual", "bench-1", "ESP32", "1.26.1", "0.1.0", "/dev/pts/3")
LATENCY = Figure("rule to pin", "ms", (5.0, 6.5, 5.5), limit=50.0)
RECORD = Record(
    test="test_rules.py::test_pin",
    family="rules",
    title="A rule switches its pin",
    outcome="passed",
    reason="",
    seconds=1.25,
    heap_free_min=61_440,
    flash_writes=3,
    resets=("power-on",),
    figures=(LATENCY,),
    series=(Series("free heap", "B", ((0.0, 61_440.0), (60.0, 61_500.0))),),
)
RUN = Run(
    began="2026-11-21T10:00:00+00:00",
    seconds=92.5,
    board=BOARD,
    machine="a desk",
    capabilities=("jumper",),
    missing={"power": "needs [power] in bench.toml"},
    planted="",
    tests=(RECORD,),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.json"
    write(RUN, path)
    assert read(path) == RUN
    assert [file.name for file in path.parent.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"seconds":1.25', '"seconds":"long"', "tests[0].seconds: Input should be a valid number"),
        ("5.0,6.5,5.5", "5.0,null", "tests[0].figures[0].values[1]: Input should be a valid"),
        ("5.0,6.5,5.5", "", "tests[0].figures[0]: figure 'rule to pin' has no values"),
        ("5.0,6.5", "5.0,NaN", "tests[0].figures[0]: figure 'rule to pin' has a number that is"),
        ("61500.0", "1e999", "tests[0].series[0]: series 'free heap' has a number that is not"),
        ('"passed"', '"green"', "tests[0].outcome: Input should be 'passed', 'failed' or"),
        ('"chip"', '"chips"', "board.chip: Field required (and 1 more)"),
        ("+00:00", "", "began is '2026-11-21T10:00:00', which is no ISO 8601 time in UTC"),
        ('"format":1', '"format":2', "format is 2, this bench reads format 1"),
        ('"tests"', '"pests"', "not a run of the bench"),
        ("{", "", "it is not JSON"),
    ],
)
def test_damage_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(to_json(RUN).replace(old, new, 1))
    with pytest.raises(Usage) as caught:
        read(path)
    assert said in str(caught.value) and str(path) in str(caught.value)


def test_a_path_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(Usage, match=r"there is no file .*none.json"):
        read(tmp_path / "none.json")
    with pytest.raises(Usage, match=r"is a directory; name the run.json in it"):
        read(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Usage, match="bytes is no run of this bench"):
        read(tmp_path / "bytes")
    with pytest.raises(Problem, match="cannot be written"):
        write(RUN, tmp_path / "bytes" / "run.json")


def test_a_line_that_is_no_utf8_is_kept_readable() -> None:
    noisy = replace(RUN, tests=(replace(RECORD, reason="it said \udcff\x00\x1b[2J grüß"),))
    assert from_json(to_json(noisy)).tests[0].reason == "it said ?\x00\x1b[2J grüß"


def test_figures() -> None:
    hundred = Figure("n", "ms", tuple(float(n) for n in range(100, 0, -1)))
    assert (hundred.median, hundred.p95, hundred.max) == (50.5, 95.0, 100.0)
    assert Figure("n", "ms", (3.0, 1.0)).p95 == 3.0
    assert Figure("n", "B", (9.0, 4.0), "higher", limit=4.0).past_limit is False
    assert Figure("n", "B", (9.0, 3.9), "higher", limit=4.0).past_limit is True
    assert Figure("n", "ms", (9.0, 4.0), limit=8.0).past_limit is True


def changed(now: Record, was: Record = RECORD, board: Board = BOARD) -> dict[str, Change]:
    """What changed beside "same", of a run of one test."""
    found = compare(replace(RUN, tests=(now,), board=board), replace(RUN, tests=(was,)))
    return {change.what: change for change in found.changes if change.verdict != "same"}


@pytest.mark.parametrize(
    ("was", "now", "verdict"),
    [
        ("passed", "failed", "worse"),
        ("passed", "skipped", "worse"),
        ("failed", "passed", "better"),
        ("skipped", "passed", "better"),
        ("failed", "skipped", None),
        ("skipped", "failed", None),
    ],
)
def test_an_outcome_is_worse_once_it_is_not_shown_any_more(
    was: Any, now: Any, verdict: str | None
) -> None:
    found = changed(replace(RECORD, outcome=now), replace(RECORD, outcome=was))
    assert [change.verdict for change in found.values()] == ([verdict] if verdict else [])


def figure(*values: float, **more: Any) -> Record:
    return replace(RECORD, figures=(Figure("f", "ms", values, **more),))


@pytest.mark.parametrize(
    ("was", "now", "verdict"),
    [
        (figure(10.0), figure(11.9), None),
        (figure(10.0), figure(12.1), "worse"),
        (figure(12.1), figure(10.0), "better"),
        (figure(10.0, better="higher"), figure(8.0, better="higher"), "worse"),
        (figure(0.0), figure(0.0), None),
        # Twice as slow, but each run alone is as wide as that.
        (figure(5.0, 10.0, 25.0, 30.0), figure(9.0, 20.0, 50.0, 60.0), None),
        (figure(9.0, 10.0, 10.0, 10.0, 90.0), figure(19.0, 20.0, 20.0, 20.0, 95.0), "worse"),
        # Past its limit once is past its limit, whatever the median says.
        (figure(10.0, 10.0, 10.0, limit=50.0), figure(9.0, 9.0, 51.0, limit=50.0), "worse"),
        (figure(9.0, 9.0, 51.0, limit=50.0), figure(10.0, 10.0, 10.0, limit=50.0), "better"),
        (figure(9.0, 9.0, 51.0, limit=50.0), figure(9.0, 9.0, 52.0, limit=50.0), None),
    ],
)
def test_a_figure_is_worse_when_it_matters_and_is_no_noise(
    was: Record, now: Record, verdict: str | None
) -> None:
    assert [change.verdict for change in changed(now, was).values()] == (
        [verdict] if verdict else []
    )


def test_what_a_limit_says_is_told_in_words() -> None:
    change = changed(figure(9.0, 51.0, limit=50.0), figure(9.0, 9.0, limit=50.0))["f"]
    assert change.why == "past its limit: 51 ms at worst, 50 ms allowed"


def test_heap_and_flash() -> None:
    assert changed(replace(RECORD, heap_free_min=61_440 - 1024)) == {}
    assert changed(replace(RECORD, heap_free_min=61_440 - 1025))["heap low-water"] == Change(
        RECORD.test, "heap low-water", "60 KiB", "59 KiB", "worse", "-1,025 B"
    )
    assert changed(replace(RECORD, heap_free_min=None)) == {}
    assert changed(replace(RECORD, flash_writes=5)) == {}
    assert changed(replace(RECORD, flash_writes=6))["flash writes"].verdict == "worse"
    many = replace(RECORD, flash_writes=100)
    assert changed(replace(RECORD, flash_writes=120), many) == {}


def test_numbers_of_another_board_are_not_compared_but_outcomes_are() -> None:
    bad = replace(figure(900.0), outcome="failed", heap_free_min=5, flash_writes=99)
    other = replace(BOARD, kind="real")
    assert set(changed(bad, board=other)) == {"outcome"}
    notices = compare(replace(RUN, board=other), RUN).notices
    assert notices == (
        "The base ran on a virtual ESP32, this run on a real ESP32: outcomes are compared, "
        "no numbers.",
    )
    elsewhere = compare(replace(RUN, machine="a shelf", tests=(bad,)), RUN)
    assert {change.what for change in elsewhere.of("worse")} == {
        "outcome",
        "heap low-water",
        "flash writes",
    }
    assert "no figures" in elsewhere.notices[0]


def test_a_planted_fault_is_said() -> None:
    assert (
        "planted on purpose: pin_stuck."
        in compare(RUN, replace(RUN, planted="pin_stuck")).notices[0]
    )


def test_tests_and_figures_come_and_go() -> None:
    other = replace(RECORD, test="test_rules.py::test_adc", figures=())
    found = compare(replace(RUN, tests=(other,)), RUN)
    assert [change.test for change in found.of("new")] == [other.test]
    assert [change.test for change in found.of("gone")] == [RECORD.test]
    assert changed(replace(RECORD, figures=()))["rule to pin"].verdict == "gone"
    # A test that failed had not come to measuring; that it failed says enough.
    assert set(changed(replace(RECORD, figures=(), outcome="failed"))) == {"outcome"}


numbers = st.one_of(
    st.sampled_from([0.0, 1.0, 1.2, 10.0, 12.0, -1.0]),
    st.floats(-1e9, 1e9, allow_nan=False),
)
figures = st.builds(
    Figure,
    name=st.sampled_from("fg"),
    unit=st.sampled_from(["ms", "B"]),
    values=st.lists(numbers, min_size=1, max_size=6).map(tuple),
    better=st.sampled_from(["lower", "higher"]),
    limit=st.none() | numbers,
)
records = st.builds(
    Record,
    test=st.sampled_from(["a", "b", "c"]),
    family=st.just("rules"),
    title=st.text(max_size=5),
    outcome=st.sampled_from(["passed", "failed", "skipped"]),
    reason=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    seconds=st.floats(0, 1e6),
    heap_free_min=st.none() | st.integers(0, 1 << 18),
    flash_writes=st.none() | st.integers(0, 50),
    resets=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    figures=st.lists(figures, max_size=3, unique_by=lambda one: one.name).map(tuple),
)
runs = st.builds(
    replace,
    st.just(RUN),
    machine=st.sampled_from(["a desk", "a shelf"]),
    tests=st.lists(records, max_size=3, unique_by=lambda one: one.test).map(tuple),
)
TURNED = {"worse": "better", "better": "worse", "same": "same", "new": "gone", "gone": "new"}


def verdicts(found: Comparison) -> set[tuple[str, str, str]]:
    return {(change.test, change.what, change.verdict) for change in found.changes}


@settings(max_examples=100, deadline=None)
@given(runs, runs)
def test_turning_two_runs_round_turns_the_verdicts(one: Run, other: Run) -> None:
    there = verdicts(compare(one, other))
    back = verdicts(compare(other, one))
    assert {(test, what, TURNED[verdict]) for test, what, verdict in there} == back


@settings(max_examples=100, deadline=None)
@given(runs)
def test_a_run_is_as_good_as_itself_and_survives_its_file(run: Run) -> None:
    assert {change.verdict for change in compare(run, run).changes} <= {"same"}
    assert from_json(to_json(run)) == run
