"""The bench's records: what is written is read again, and a damaged file is named as such."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.hil.compare import Change, Comparison, compare
from tools.hil.page import page
from tools.hil.plots import MOST_POINTS, thin, ticks, time_ticks
from tools.hil.record import Board, Figure, Record, Run, Series, from_json, read, to_json, write
from tools.hil.summary import gist, text
from tools.hil.units import duration, number, quantity
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
        (figure(*[10.0] * 5), figure(*[11.9] * 5), None),
        (figure(*[10.0] * 5), figure(*[12.1] * 5), "worse"),
        (figure(*[12.1] * 5), figure(*[10.0] * 5), "better"),
        (figure(*[10.0] * 5, better="higher"), figure(*[8.0] * 5, better="higher"), "worse"),
        # Of a few values nobody knows the noise.
        (figure(10.0), figure(19.9), None),
        (figure(10.0), figure(20.1), "worse"),
        (figure(20.1), figure(*[10.0] * 5), "better"),
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
    assert changed(replace(RECORD, heap_free_min=61_440 - 4096)) == {}
    assert changed(replace(RECORD, heap_free_min=61_440 - 4097))["heap low-water"] == Change(
        RECORD.test, "heap low-water", "60 KiB", "56 KiB", "worse", "-4,097 B"
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


def test_outcomes_come_before_figures_and_these_before_what_the_board_had_left() -> None:
    first = replace(RECORD, heap_free_min=1, figures=(replace(LATENCY, values=(40.0,)),))
    last = replace(RECORD, test="z", outcome="failed")
    base = replace(RUN, tests=(RECORD, replace(last, outcome="passed")))
    found = compare(replace(RUN, tests=(first, last)), base)
    assert [change.what for change in found.of("worse")] == [
        "outcome",
        "rule to pin",
        "heap low-water",
    ]


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
    series=st.lists(
        st.builds(
            Series,
            name=st.text(max_size=5),
            unit=st.sampled_from(["B", "ms", ""]),
            points=st.lists(st.tuples(st.floats(0, 1e6), numbers), max_size=4).map(tuple),
        ),
        max_size=1,
    ).map(tuple),
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


@settings(max_examples=100, deadline=None, derandomize=True)
@given(runs, runs)
def test_turning_two_runs_round_turns_the_verdicts(one: Run, other: Run) -> None:
    there = verdicts(compare(one, other))
    back = verdicts(compare(other, one))
    assert {(test, what, TURNED[verdict]) for test, what, verdict in there} == back


@settings(max_examples=50, deadline=None, derandomize=True)
@given(runs)
def test_a_run_is_as_good_as_itself_and_survives_its_file(run: Run) -> None:
    assert {change.verdict for change in compare(run, run).changes} <= {"same"}
    assert from_json(to_json(run)) == run


class Seen(HTMLParser):
    """A page as a browser's parser sees it: fails where a tag is not closed by its own end."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.said = ""
        self.paths: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on") and name not in ("src", "srcdoc"), (tag, name)
            if name == "id":
                self.ids.append(str(value))
            elif name == "href":
                self.links.append(str(value))
            elif name == "d":
                self.paths.append(str(value))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.said += data


FAILED = replace(
    RECORD,
    test="test_guard.py::test_max_on[a b]",
    family="guard",
    title="max_on switches off",
    outcome="failed",
    reason=(
        "def test_max_on():\n>   wait()\nE   AssertionError: pin 4 <high> & \x1b[31mred\x1b[0m\x00"
    ),
    resets=("power-on", "watchdog", "watchdog"),
)
SKIPPED = replace(
    RECORD, test="test_power.py::test_cut", family="power", title="Power goes", outcome="skipped",
    reason="needs [power] in bench.toml", heap_free_min=None, flash_writes=None, figures=(),
    series=(), resets=(),
)  # fmt: skip


def test_the_page_says_what_failed_first_and_links_to_it() -> None:
    run = replace(RUN, tests=(RECORD, FAILED, SKIPPED))
    base = replace(RUN, tests=(RECORD, replace(FAILED, outcome="passed"), SKIPPED))
    seen = Seen(page(run, compare(run, base)))
    order = [
        "1 test failed",
        "1 passed, 1 failed, 1 skipped",
        "virtual ESP32 bench-1 at /dev/pts/3, firmware 0.1.0 on MicroPython 1.26.1",
        "2026-11-21 10:00 UTC, 1 min 32 s",
        "What failed",
        "AssertionError: pin 4 <high>",
        "Against the run of 2026-11-21 10:00 UTC",
        "worse",
        "passedfailed",  # the cells of what was and what is
        "Rules",
        "rule to pin",
        "median5.5 ms",
        "max6.5 ms",
        "limit50 ms",
        "free heap",
        "Guard",
        "60 KiB",
        "power-on, watchdog (2 times)",
        "def test_max_on():",
        "Power",
        "needs [power] in bench.toml",
        "Not wired: power",
    ]
    at = 0
    for told in order:
        at = seen.said.find(told, at)
        assert at >= 0, f"{told!r} is not on the page, or too early"
    assert "red\\x00" in seen.said and "\x1b" not in seen.said
    inner = [link.removeprefix("#") for link in seen.links if link.startswith("#")]
    assert inner and set(inner) <= set(seen.ids) and len(seen.ids) == len(set(seen.ids))
    assert [link for link in seen.links if not link.startswith("#")] == ["data:,"]


def test_hostile_text_stays_text() -> None:
    evil = "<script>alert(1)</script>\"' onload=x &amp;"
    record = Record(
        evil, evil, evil, "failed", evil, 1.0, 1, 1, (evil,),
        (Figure(evil, evil, (1.0, 2.0, 3.0, 4.0), limit=1000.0),),
        (Series(evil, evil, ((0.0, 1.0), (1.0, 2.0))),),
    )  # fmt: skip
    board = Board("virtual", evil, evil, evil, evil, evil)
    run = Run(RUN.began, 1.0, board, evil, (evil,), {evil: evil}, evil, (record,))
    base = replace(run, tests=(replace(record, outcome="passed"), replace(record, test=evil * 2)))
    for other in (base, replace(base, machine="else")):
        seen = Seen(page(run, compare(run, other)))
        assert "script" not in seen.tags
        assert seen.said.count(evil) > 15


def test_a_planted_fault_a_board_without_a_base_and_an_empty_run() -> None:
    assert "A fault was planted on purpose" in Seen(page(replace(RUN, planted="x"), None)).said
    assert "Nothing failed" in Seen(page(RUN, None)).said
    assert "Nothing got worse." in Seen(page(RUN, compare(RUN, RUN))).said
    assert "no tests ran" in Seen(page(replace(RUN, tests=()), None)).said
    assert "Nothing was shown" in Seen(page(replace(RUN, tests=(SKIPPED,)), None)).said


@settings(max_examples=50, deadline=None, derandomize=True)
@given(runs, runs)
def test_any_run_gives_a_page_and_a_few_lines(run: Run, base: Run) -> None:
    comparison = compare(run, base)
    for path in Seen(page(run, comparison)).paths:
        assert "nan" not in path and "inf" not in path
    assert len(text(run, comparison).splitlines()) <= 30


def test_a_day_of_points_is_bounded_and_keeps_its_spikes() -> None:
    points = [(float(at), 60_000.0 + at % 100) for at in range(86_400)]
    points[40_000] = (40_000.0, 12.0)
    points[40_001] = (40_001.0, 99_999.0)
    thinned = thin(points)
    assert len(thinned) <= MOST_POINTS
    assert {points[0], points[40_000], points[40_001], points[-1]} <= set(thinned)
    assert list(thinned) == sorted(thinned)
    assert thin(points[:MOST_POINTS]) == points[:MOST_POINTS]
    soak = replace(RECORD, series=(Series("free heap", "B", tuple(points)),))
    many = replace(RUN, tests=tuple(replace(soak, test=f"t{at}") for at in range(10)))
    html = page(many, None)
    assert "86,400 points drawn as 500" in html
    assert len(html) < 200_000


def test_a_long_traceback_is_cut_to_its_end() -> None:
    reason = "\n".join(f"line {at}" for at in range(5000)) + "\nE   the end" + "!" * 20_000
    html = page(replace(RUN, tests=(replace(FAILED, reason=reason),)), None)
    assert len(html) < 60_000 and "before this left out" in html and "!!!</pre>" in html


def test_axes_are_marked_at_round_numbers() -> None:
    assert ticks(0, 100) == [0, 50, 100]
    assert ticks(59.2, 61.1) == pytest.approx([59.5, 60, 60.5, 61])
    assert time_ticks(0, 86_400) == ([at * 10_800.0 for at in range(9)], 3600, "h")
    assert time_ticks(0, 10_800)[0] == [at * 1800.0 for at in range(7)]
    assert time_ticks(0, 30 * 86_400) == ([at * 432_000.0 for at in range(7)], 86_400, "d")
    assert time_ticks(0, 1)[0] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (number(0), "0"),
        (number(0.012345), "0.0123"),
        (number(-1.2), "-1.2"),
        (number(123_456), "123,456"),
        (number(99.95), "100"),
        (quantity(61_440, "B"), "60 KiB"),
        (quantity(900, "B"), "900 B"),
        (quantity(12_345, "ms"), "12.3 s"),
        (quantity(3, ""), "3"),
        (duration(0.0312), "31 ms"),
        (duration(59.97), "1 min 0 s"),
        (duration(86_400), "24 h 0 min"),
    ],
)
def test_numbers_are_shown_with_the_digits_that_count(shown: str, said: str) -> None:
    assert shown == said


def test_the_terminal_says_what_failed_and_where_the_report_is() -> None:
    run = replace(RUN, tests=(RECORD, FAILED, SKIPPED))
    base = replace(RUN, tests=(RECORD, replace(FAILED, outcome="passed"), SKIPPED))
    assert text(run, compare(run, base), Path("build/hil/report.html")).splitlines() == [
        "virtual ESP32 bench-1: 1 passed, 1 failed, 1 skipped in 1 min 32 s",
        "Failed:",
        "  test_guard.py::test_max_on[a b]",
        "    AssertionError: pin 4 <high> & ?[31mred?[0m?",
        "Skipped 1 test: not wired are [power]",
        "Worse than the run of 2026-11-21 10:00 UTC:",
        "  test_guard.py::test_max_on[a b] outcome: passed → failed",
        "Report: build/hil/report.html",
    ]
    assert "Nothing got worse since" in text(RUN, compare(RUN, RUN))


@pytest.mark.parametrize(("failures", "skips"), [(40, 0), (40, 40), (3, 40), (0, 0)])
def test_the_terminal_is_told_in_30_lines(failures: int, skips: int) -> None:
    bad = [replace(FAILED, test=f"f{at}") for at in range(failures)]
    away = [replace(SKIPPED, test=f"s{at}") for at in range(skips)]
    base = replace(
        RUN,
        tests=tuple(replace(one, outcome="passed") for one in bad + away),
        machine="a shelf",
        planted="rule_deaf",
    )
    run = replace(RUN, tests=tuple(bad + away), planted="pin_stuck")
    lines = text(run, compare(run, base), Path("report.html")).splitlines()
    assert len(lines) <= 30 and lines[-1] == "Report: report.html"
    assert sum("Assertion" in line for line in lines) >= min(failures, 6)
    assert sum("skipped (it is not" in line for line in lines) >= (6 if skips > failures else 0)


def test_the_line_of_a_failure_that_says_most() -> None:
    assert gist("x\nE   assert 1 == 2\nE    more\nt.py:3: AssertionError") == "assert 1 == 2"
    assert gist("the board went away\n") == "the board went away"
    assert gist(" \n") == "no reason was given"
