"""The bench's records: what is written is read again, and a damaged file is named as such."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

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
