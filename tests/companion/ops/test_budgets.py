"""Budgets on the metrics page: which are shown, under which labels, with which numbers."""

from pathlib import Path
from typing import Any

import httpx2

from companion.backends.base import Answer, Usage
from companion.meter.budget import Budgets
from companion.meter.purse import Cap
from companion.ops.budgets import shown
from companion.store import Counted
from tests.companion.conftest import House, MakeHouse, Model

CAPS = (
    Cap("house", "month", nano=2_000_000_000),
    Cap("group", "day", "night", tokens=20_000),
    Cap("device", "day", nano=30_000_000),
    Cap("device", "day", "kitchen", nano=100_000_000),
    Cap("device", "hour", "porch", nano=0),
)


def test_thousands_of_devices_are_one_line() -> None:
    budgets = Budgets(CAPS, {"night": ("bed",)}, "UTC")
    now = 1_795_000_000.0
    standings = budgets.every([f"d{n}" for n in range(2000)], now)
    (d7,) = [s for s in standings if s.name == "d7"]
    held = {d7.slot.key: Counted(nano_spent=10_000_000, nano_reserved=5_000_000)}
    found = {one.labels: one for one in shown(standings, frozenset({"kitchen", "porch"}), held)}
    assert set(found) == {
        ("house", "", "month"),
        ("group", "night", "day"),
        ("device", "", "day"),
        ("device", "kitchen", "day"),
        ("device", "porch", "day"),
        ("device", "porch", "hour"),
    }
    # The one that has used most of it stands for all.
    each = found["device", "", "day"]
    assert each.standing.name == "d7" and each.share == 0.5
    assert found["device", "porch", "hour"].share == 1  # a budget of nothing is used up
    assert found["group", "night", "day"].counted == Counted()


async def page(h: House) -> str:
    url, headers = f"{h.companion.url}/metrics", {"Authorization": "Bearer test-token"}
    async with httpx2.AsyncClient(headers=headers) as http:
        return str((await http.get(url)).text)


async def scraped(h: House) -> dict[str, float]:
    lines = [line for line in (await page(h)).splitlines() if line.startswith("ganglion_budget_")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


async def test_a_scrape_shows_limit_spent_and_reserved(house: MakeHouse) -> None:
    def script(request: Any) -> Answer:
        return Answer(say="Yes.", usage=Usage(1000, 100))

    h: House = await house(
        Model("m", script), http=True, caps=CAPS, groups={"night": ("bed",)}, timezone="UTC"
    )
    device = await h.device("kitchen")
    device.ask("a1.1", ["u", "what is love"])
    assert (await device.answer("a1.1"))["say"] == "Yes."
    spent = 1000 * 1e-6 + 100 * 2e-6
    found = await scraped(h)
    house_, kitchen = (
        f'{{name="{name}",per="{per}",scope="{scope}"}}'
        for scope, name, per in (("house", "", "month"), ("device", "kitchen", "day"))
    )
    assert found[f"ganglion_budget_limit_usd{house_}"] == 2
    assert abs(found[f"ganglion_budget_spent_usd{house_}"] - spent) < 1e-9
    assert found[f"ganglion_budget_reserved_usd{kitchen}"] == 0
    assert found[f"ganglion_budget_limit_usd{kitchen}"] == 0.1
    night = '{name="night",per="day",scope="group"}'
    assert found[f"ganglion_budget_limit_tokens{night}"] == 20_000
    assert f"ganglion_budget_limit_usd{night}" not in found  # it has none


async def test_a_database_that_cannot_be_read_takes_budgets_from_the_page_and_no_more(
    house: MakeHouse, tmp_path: Path
) -> None:
    (tmp_path / "bad.db").write_bytes(b"no database" * 100)
    h: House = await house(
        http=True, caps=CAPS, groups={"night": ("bed",)}, store=tmp_path / "bad.db"
    )
    text = await page(h)
    assert "ganglion_store_ok 0.0" in text and "ganglion_budget_limit_usd{" not in text
