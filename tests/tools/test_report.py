"""``ganglion report`` and ``ganglion budget`` against a running companion with answers."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from companion.config import StoreConfig
from companion.meter.budget import Budgets
from companion.meter.purse import Cap, Claim
from companion.store import Row, Store
from tests.tools.system import Serving, ganglion
from tools.report import budget_lines, spend_lines, what_if_lines

TOML = """
timezone = "UTC"

[[budget]]
scope = "house"
per = "month"
usd = 5

[[budget]]
scope = "device"
per = "day"
name = "kitchen"
usd = 0.02
tokens = 20000
"""
CAPS = (
    Cap("house", "month", nano=5_000_000_000),
    Cap("device", "day", "kitchen", nano=20_000_000, tokens=20_000),
)


async def fill(path: Path) -> None:
    """What a companion would have written: three answers, one of them paid, and one reserved."""
    store = Store(StoreConfig(f"sqlite:///{path}"))
    await store.open()
    now = time.time()
    free = {"backend": "commands", "tier": "edge", "would_in": 900, "would_out": 20, "ms": 4}
    paid = {"backend": "cloud", "tier": "commodity", "model": "v", "tokens_in": 1200, "ms": 810}
    for row in (
        Row(now, "kitchen", "a1.1", "a1", **free),
        Row(now, "bed", "a2.1", "a2", **free),
        Row(now, "kitchen", "a3.1", "a3", **paid, tokens_out=80, nano_usd=12_000_000),
    ):
        store.add(row)
    slots = Budgets(CAPS, {}, "UTC").slots("kitchen", now)
    await store.ledger.reserve(Claim("kitchen", "a3.1", slots, 15_000_000, 2000, now + 60))
    await store.ledger.settle("kitchen", "a3.1", 12_000_000, 1280, b"")
    await store.aclose()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("reports")
    (home / "ganglion.toml").write_text(TOML)
    asyncio.run(fill(home / "companion.db"))
    serving = Serving(home)
    yield home
    assert serving.stop() == 0


def lines(*arguments: str, home: Path) -> list[str]:
    result = ganglion(*arguments, home=home)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def words(line: str) -> str:
    return " ".join(line.split())


def test_spend_as_a_table(home: Path) -> None:
    head, bed, kitchen, total = lines("report", "spend", "--by", "device", home=home)
    assert head.split()[:4] == ["device", "asks", "answered", "in"]
    assert words(bed) == "bed 1 100.0 % 0 0 0 0 0.0 % 0.0000 4 4 - -"
    assert words(kitchen) == "kitchen 2 100.0 % 1,200 80 0 0 0.0 % 0.0120 4 810 - -"
    assert total.split()[:2] == ["all", "3"]
    # Numbers end where their heads do.
    for word in ("asks", "USD", "p95 ms"):
        end = head.index(word) + len(word)
        assert all(line[end - 1] != " " and line[end : end + 1] in ("", " ") for line in
                   (bed, kitchen, total))  # fmt: skip


def test_spend_as_json_and_csv(home: Path) -> None:
    (text,) = lines("report", "spend", "--by", "tier", "--format", "json", home=home)
    body = json.loads(text)
    assert [(row["tier"], row["usd"]) for row in body["rows"]] == [
        ("commodity", 0.012),
        ("edge", 0),
    ]
    sheet = ganglion("report", "spend", "--by", "day,tier", "--format", "csv", home=home).stdout
    assert [row["asks"] for row in csv.DictReader(io.StringIO(sheet))] == ["1", "2"]


def test_days_can_be_chosen(home: Path) -> None:
    assert lines(
        "report", "spend", "--until", "2020-01-01", "--since", "2019-01-01", home=home
    ) == ["Nobody asked anything in this time."]
    wrong = ganglion("report", "spend", "--since", "last week", home=home)
    assert wrong.returncode == 1 and "write 2026-11-01, today, or 7d" in wrong.stderr


def test_what_if_as_a_table(home: Path) -> None:
    head, was, edge, commodity, *_, deepseek, claude, gpt, _a, guessed, _c = lines(
        "report", "what-if", home=home
    )
    assert head.split()[:3] == ["where", "prices", "of"]
    assert words(was) == "as it was 100.0 % 0.0120"
    assert words(edge) == "all edge free 66.7 % 0.0000 0 0"
    assert commodity.startswith("all commodity  DeepSeek V3.2")
    # 900 + 900 + 1200 tokens in, 20 + 20 + 80 out.
    assert deepseek.split()[-3:] == ["0.0005", "0.14", "0.42"]
    assert claude.split()[-3:] == ["0.0108", "3", "15"]
    assert gpt.split()[-3:] == ["0.0312", "10", "10"]
    assert guessed.startswith("2 of 3 answers came without a model")


@pytest.mark.parametrize(("name", "begin"), [("a.svg", b"<?xml"), ("b.PNG", b"\x89PNG")])
def test_a_chart_is_written(home: Path, tmp_path: Path, name: str, begin: bytes) -> None:
    out = tmp_path / name
    (said,) = lines("report", "chart", "--out", str(out), "--since", "7d", home=home)
    assert name in said
    assert out.read_bytes().startswith(begin)


def test_a_chart_that_cannot_be_says_why(home: Path, tmp_path: Path) -> None:
    gif = ganglion("report", "chart", "--out", str(tmp_path / "a.gif"), home=home)
    assert gif.returncode == 2 and ".svg or .png" in gif.stderr
    nowhere = ganglion("report", "chart", "--out", str(tmp_path / "no" / "a.svg"), home=home)
    assert nowhere.returncode == 1 and "cannot be written" in nowhere.stderr


def test_budgets_as_a_table_and_csv(home: Path) -> None:
    head, house, usd, tokens = lines("budget", home=home)
    assert head.split() == ["who", "per", "in", "cap", "spent", "reserved", "left", "until"]
    assert words(house).startswith("house month USD 5.0000 0.0120 0.0000 4.9880")
    assert words(usd).startswith("device kitchen day USD 0.0200 0.0120 0.0000 0.0080")
    assert words(tokens).startswith("device kitchen day tokens 20,000 1,280 0 18,720")
    sheet = ganglion("budget", "--format", "csv", home=home).stdout
    assert [row["usd_left"] for row in csv.DictReader(io.StringIO(sheet))] == ["4.988", "0.008"]


def test_without_a_companion_it_says_what_to_start(tmp_path: Path) -> None:
    result = ganglion("budget", home=tmp_path)
    assert result.returncode == 1 and "ganglion serve" in result.stderr


def test_what_devices_write_does_not_steer_the_terminal() -> None:
    row = {"asks": 1, "answered_share": 1.0, "usd": 0.0, "p50_ms": None, "p95_ms": None}
    row |= {"tokens_in": 0, "tokens_out": 0, "tokens_cached": 0, "tokens_reasoning": 0}
    row |= {"estimated_share": 0.0, "energy_j_measured": 0.0, "energy_j_estimated": 0.0}
    report = {
        "by": ["backend"],
        "rows": [{"backend": "\x1b[2Jx", **row}],
        "total": row,
        "notes": [],
    }
    told = "\n".join(spend_lines(report))
    assert "\x1b" not in told
    # Nothing is no small amount, and needs no more digits than others.
    assert " 0.0000 " in told and "0.00000" not in told


def test_where_there_is_nothing_it_says_so() -> None:
    assert "[[budget]]" in budget_lines([])[0]
    assert what_if_lines({"asks": 0}) == ["Nobody asked anything in this time."]
