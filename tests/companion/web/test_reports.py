"""Reports, what-if, chart and budgets over HTTP, from a companion with answers in its store."""

import csv
import io
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from companion.chart import ChartError
from companion.meter.purse import Cap, Claim, Reserved
from companion.store import Row
from companion.web.reports import LINES_MAX, _cell
from tests.companion.conftest import House, MakeHouse, Model, Phrases


def http(house: House) -> Any:
    headers = {"Authorization": "Bearer test-token"}
    return httpx2.AsyncClient(base_url=house.companion.url, headers=headers, timeout=30)


NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
TODAY, YESTERDAY = (day.date().isoformat() for day in (NOON, NOON - timedelta(1)))
MODELS = ("cheap", "commodity"), ("dear", "premium")


def rows() -> list[Row]:
    noon, before = NOON.timestamp(), NOON.timestamp() - 86_400
    free = {"backend": "commands", "tier": "edge", "would_in": 900, "would_out": 20}
    cheap = {"backend": "cheap", "tier": "commodity", "model": "v", "tokens_in": 1000}
    return [
        Row(noon, "kitchen", "a1.1", "a1", **free, ms=4),
        Row(noon, "kitchen", "a2.1", "a2", **cheap, tokens_out=50, tokens_cached=400,
            nano_usd=210_000, ms=900, energy_mj=1500, energy_how="estimated", estimated=1),
        Row(noon, "=cmd|x", "a3.1", "a3", **cheap, tokens_out=10, nano_usd=170_000, ms=700,
            energy_mj=250, energy_how="measured", tokens_reasoning=4),
        Row(before, "kitchen", "a4.1", "a4", outcome="no_answer", nano_usd=5_000_000, ms=9000),
    ]  # fmt: skip


async def with_answers(make: MakeHouse, **changes: Any) -> House:
    models = [
        Model(name, lambda request: pytest.fail("nobody is asked"), tier=tier, needs_context=True)  # type: ignore[arg-type]
        for name, tier in MODELS
    ]
    house: House = await make(Phrases(), *models, http=True)
    companion = house.companion
    companion.config = replace(companion.config, timezone="UTC", **changes)
    assert companion.store is not None
    for row in rows():
        companion.store.add(row)
    await companion.store.flush()
    return house


async def test_spend_by_device_and_day(house: MakeHouse) -> None:
    h = await with_answers(house)
    async with http(h) as client:
        response = await client.get("/reports/spend?by=device,day")
        body = response.json()
        assert list(body) == ["by", "since", "until", "timezone", "rows", "total", "notes"]
        assert body["by"] == ["device", "day"] and body["timezone"] == "UTC" and not body["notes"]
        assert [(r["device"], r["day"], r["asks"]) for r in body["rows"]] == [
            ("=cmd|x", TODAY, 1),
            ("kitchen", YESTERDAY, 1),
            ("kitchen", TODAY, 2),
        ]
        assert body["rows"][2] == {
            "device": "kitchen",
            "day": TODAY,
            "asks": 2,
            "answered": 2,
            "answered_share": 1.0,
            "tokens_in": 1000,
            "tokens_out": 50,
            "tokens_cached": 400,
            "tokens_reasoning": 0,
            "estimated_share": 0.5,
            "usd": 0.00021,
            "p50_ms": 4,
            "p95_ms": 900,
            "energy_j_measured": 0.0,
            "energy_j_estimated": 1.5,
        }
        assert body["rows"][1]["p50_ms"] is None and body["rows"][1]["answered_share"] == 0
        total = body["total"]
        assert (total["asks"], total["answered_share"], total["usd"]) == (4, 0.75, 0.00538)

        one = (await client.get("/reports/spend?since=today")).json()
        assert one["rows"] == [] and one["total"]["asks"] == 3 and one["since"] == TODAY
        old = (await client.get(f"/reports/spend?until={YESTERDAY}&by=tier")).json()
        assert [r["tier"] for r in old["rows"]] == [""]
        assert (await client.get("/reports/spend?since=2d")).json()["total"]["asks"] == 4
        assert (await client.get("/reports/spend?since=1d")).json()["total"]["asks"] == 3


async def test_csv_is_rfc_4180_and_no_spreadsheet_runs_it(house: MakeHouse) -> None:
    h = await with_answers(house)
    async with http(h) as client:
        response = await client.get("/reports/spend?by=device,backend&format=csv")
    assert response.headers["content-type"].startswith("text/csv")
    assert 'filename="spend.csv"' in response.headers["content-disposition"]
    text = response.text
    assert text.endswith("\r\n") and text.count("\r\n") == text.count("\n") == 5
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(r["device"], r["backend"], r["usd"]) for r in table] == [
        ("'=cmd|x", "cheap", "0.00017"),
        ("kitchen", "", "0.005"),
        ("kitchen", "cheap", "0.00021"),
        ("kitchen", "commands", "0"),
    ]
    assert table[1]["p50_ms"] == ""


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("a=1", "a=1"),
        (-3, "-3"),
        (0.0, "0"),
        (100.0, "100"),
        (0.000000001, "0.000000001"),
        (1234567.5, "1234567.5"),
        (None, ""),
    ],
)
def test_cells(value: Any, cell: str) -> None:
    assert _cell(value) == cell


async def test_what_if(house: MakeHouse) -> None:
    h = await with_answers(house)
    async with http(h) as client:
        body = (await client.get("/reports/what-if")).json()
        sheet = (await client.get("/reports/what-if?format=csv")).text
    assert (body["asks"], body["answered"], body["guessed"], body["usd"]) == (4, 3, 1, 0.00538)
    assert any("estimates" in note for note in body["notes"])
    found = {s["name"]: (s["at"], s["answered_share"], s["usd"]) for s in body["scenarios"]}
    # Both models ask 1 and 2 USD a million; 900 + 2000 tokens in, 20 + 60 out.
    assert found == {
        "edge": ("", 0.25, 0.0),
        "commodity": ("cheap", 0.75, 0.00306),
        "premium": ("dear", 0.75, 0.00306),
        "DeepSeek V3.2": ("DeepSeek V3.2", 0.75, pytest.approx(0.0004396)),
        "Claude Sonnet": ("Claude Sonnet", 0.75, pytest.approx(0.0099)),
        "GPT-5": ("GPT-5", 0.75, pytest.approx(0.0298)),
    }
    lines = list(csv.DictReader(io.StringIO(sheet)))
    assert [(line["name"], line["input_usd_per_m"]) for line in lines[3:]] == [
        ("DeepSeek V3.2", "0.14"),
        ("Claude Sonnet", "3"),
        ("GPT-5", "10"),
    ]


async def test_the_chart_shows_what_the_report_says(house: MakeHouse) -> None:
    h = await with_answers(house)
    async with http(h) as client:
        svg = await client.get("/reports/chart.svg?since=2d")
        png = await client.get("/reports/chart.png?since=2d")
    assert svg.headers["content-type"] == "image/svg+xml"
    title = f"Spending, {YESTERDAY} to {TODAY}: 0.00538 USD, 75.0% of 4 asks answered"
    assert title in svg.text and "not answered" in svg.text
    assert png.headers["content-type"] == "image/png" and png.content[:4] == b"\x89PNG"


async def test_without_matplotlib_the_rest_goes_on(
    house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no(*_: object) -> bytes:
        raise ChartError("charts want matplotlib: pip install 'ganglion[chart]'")

    monkeypatch.setattr("companion.chart.render", no)
    h = await with_answers(house)
    async with http(h) as client:
        response = await client.get("/reports/chart.svg")
        assert response.status_code == 501
        assert "ganglion[chart]" in response.json()["error"]["msg"]
        assert (await client.get("/reports/spend")).status_code == 200


CAPS = (
    Cap("house", "month", nano=5_000_000_000),
    Cap("group", "day", "upstairs", tokens=1000),
    Cap("device", "day", nano=20_000_000, tokens=500),
)


async def test_budgets_say_what_is_left(house: MakeHouse) -> None:
    h = await with_answers(house, caps=CAPS, groups={"upstairs": ("bed",)})
    await h.device("bed")
    store = h.companion.store
    assert store is not None
    from companion.meter.budget import Budgets

    slots = Budgets(CAPS, {"upstairs": ("bed",)}, "UTC").slots("bed", time.time())
    until = time.time() + 60
    for ask in ("a1.1", "a2.1"):
        claim = Claim("bed", ask, slots, 7_000_000, 300 if ask == "a1.1" else 100, until)
        assert await store.ledger.reserve(claim) == Reserved()
    await store.ledger.settle("bed", "a1.1", 2_000_000, 120, b"")
    async with http(h) as client:
        body = (await client.get("/budgets")).json()
        sheet = (await client.get("/budgets?format=csv")).text
        h.companion.config = replace(h.companion.config, caps=())
        assert (await client.get("/budgets")).json() == []
    upstairs, bed = body[1], next(entry for entry in body if entry["name"] == "bed")
    assert body[0]["what"] == "the house's budget of this month" and body[0]["tokens"] is None
    assert body[0]["usd"] == {"cap": 5.0, "spent": 0.002, "reserved": 0.007, "left": 4.991}
    assert (upstairs["scope"], upstairs["name"], upstairs["usd"]) == ("group", "upstairs", None)
    assert upstairs["tokens"] == {"cap": 1000, "spent": 120, "reserved": 100, "left": 780}
    assert bed["window"] == "day" and bed["ends"] > time.time()
    assert bed["usd"] == {"cap": 0.02, "spent": 0.002, "reserved": 0.007, "left": 0.011}
    assert bed["tokens"] == {"cap": 500, "spent": 120, "reserved": 100, "left": 280}
    lines = {line["name"]: line for line in csv.DictReader(io.StringIO(sheet))}
    assert lines["bed"]["usd_left"] == "0.011" and lines["upstairs"]["usd_cap"] == ""


WRONG = (
    ("/reports/spend?by=model", "model"),
    ("/reports/spend?since=yesterday", "since: 'yesterday'"),
    ("/reports/spend?until=2026-02-30", "2026-02-30"),
    ("/reports/spend?since=0d", "0d"),
    ("/reports/spend?since=1900-01-01", "1900-01-01"),
    ("/reports/spend?since=2026-02-02&until=2026-02-01", "after"),
    ("/reports/spend?format=xml", "format"),
    ("/reports/chart.svg?since=2000-01-01", "1100 days"),
    ("/reports/what-if?since=x", "since"),
)


async def test_what_is_asked_wrongly_is_said(house: MakeHouse) -> None:
    h = await house(http=True)
    async with http(h) as client:
        for path, word in WRONG:
            response = await client.get(path)
            assert response.status_code == 422, path
            assert word in response.json()["error"]["msg"]


async def test_a_report_too_long_to_read_is_refused(
    house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LINES_MAX >= 10_000
    monkeypatch.setattr("companion.web.reports.LINES_MAX", 1)
    h = await with_answers(house)
    async with http(h) as client:
        response = await client.get("/reports/spend?by=device")
        assert response.status_code == 422
        assert "fewer days" in response.json()["error"]["msg"]


async def test_a_companion_that_keeps_nothing_says_so(house: MakeHouse) -> None:
    h = await house(http=True, store=None)
    async with http(h) as client:
        for path in ("/reports/spend", "/reports/what-if", "/reports/chart.svg", "/budgets"):
            response = await client.get(path)
            assert response.status_code == 409
            assert "[store]" in response.json()["error"]["msg"]
