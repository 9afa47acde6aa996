"""What retained messages tell of the devices."""

import json
from typing import Any

import pytest

from companion.fleet import Fleet, Presence
from companion.wire import WireError
from tests.companion.conftest import TOOLS


def status(**fields: Any) -> bytes:
    return json.dumps({"online": True, "boot": 3, **fields}).encode()


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def seen(fleet: Fleet) -> list[tuple[str, Presence]]:
    events: list[tuple[str, Presence]] = []
    fleet.listen(lambda device, presence: events.append((device, presence)))
    return events


def test_a_device_comes_and_goes(fleet: Fleet, seen: list[Any]) -> None:
    fleet.on_status("kitchen", status(fw="0.1.0", heap=41234, up=12, clock=True))
    fleet.on_status("kitchen", status(heap=40000))
    device = fleet.get("kitchen")
    assert device is not None and device.online and device.heap == 40000
    fleet.on_status("kitchen", b'{"online":false,"boot":3}')
    assert not device.online
    assert seen == [("kitchen", "online"), ("kitchen", "offline")]


def test_a_device_is_found_by_its_id_or_its_name(fleet: Fleet) -> None:
    fleet.on_status("kitchen", status(name="Green house"))
    fleet.on_status("attic", status(name="Attic"))
    fleet.on_status("shed", status(name=None))
    assert [d.id for d in fleet.called("kitchen")] == ["kitchen"]
    assert [d.id for d in fleet.called(" green  HOUSE")] == ["kitchen"]
    assert fleet.called("cellar") == []
    # An id comes before a name; two of one name are both told.
    fleet.on_status("shed", status(name="kitchen"))
    assert [d.id for d in fleet.called("kitchen")] == ["kitchen"]
    fleet.on_status("shed", status(name="attic"))
    assert [d.id for d in fleet.called("Attic")] == ["attic", "shed"]
    fleet.on_status("attic", status())
    assert [d.id for d in fleet.called("Attic")] == ["shed"]


def test_groups_are_known_with_the_points(fleet: Fleet) -> None:
    lamp = {"lamp": {"pin": 5, "dir": "out", "level": 1}}
    fleet.on_state("kitchen", json.dumps({"v": 1, "points": lamp, "groups": ["lights"]}).encode())
    device = fleet.get("kitchen")
    assert device is not None and device.groups == ("lights",)
    fleet.on_state("kitchen", json.dumps({"v": 2, "points": lamp}).encode())
    assert device.groups == ()


def test_the_will_of_an_older_boot_is_ignored(fleet: Fleet, seen: list[Any]) -> None:
    fleet.on_status("kitchen", status(boot=4))
    fleet.on_status("kitchen", b'{"online":false,"boot":3}')
    device = fleet.get("kitchen")
    assert device is not None and device.online and device.boot == 4
    assert seen == [("kitchen", "online")]


@pytest.mark.parametrize("boot", [4, 1], ids=["restart", "wiped flash"])
def test_another_boot_is_news(fleet: Fleet, seen: list[Any], boot: int) -> None:
    fleet.on_status("kitchen", status(boot=3))
    fleet.on_status("kitchen", status(boot=boot))
    assert seen == [("kitchen", "online"), ("kitchen", "boot")]
    device = fleet.get("kitchen")
    assert device is not None and device.boot == boot


def test_tools_points_and_facts(fleet: Fleet) -> None:
    fleet.on_tools("kitchen", TOOLS)
    toolset = fleet.toolset("kitchen", "tools1")
    assert toolset is not None and len(toolset.specs) == 2
    assert fleet.toolset("kitchen", "other") is None
    assert fleet.toolset("nobody", "tools1") is None
    # Devices alike share one compiled set; a device's set is never taken for another's.
    fleet.on_tools("cellar", TOOLS)
    assert fleet.toolset("cellar", "tools1") is toolset
    fleet.on_tools("attic", TOOLS.replace(b"gpio_read", b"evil_read"))
    assert fleet.toolset("kitchen", "tools1") is toolset

    # In parts: complete once all are here, in any order; another hash begins anew.
    assert json.loads(TOOLS)["hash"] == "tools1"
    whole = json.loads(TOOLS) | {"hash": "tools2", "of": 2}
    parts = [
        json.dumps(whole | {"part": n + 1, "specs": [whole["specs"][n]]}).encode() for n in (0, 1)
    ]
    fleet.on_tools("kitchen", parts[1])
    fleet.on_tools("kitchen", parts[1])
    assert fleet.toolset("kitchen", "tools2") is None
    fleet.on_tools("kitchen", parts[0])
    joined = fleet.toolset("kitchen", "tools2")
    assert joined is not None and [s.name for s in joined.specs] == [s.name for s in toolset.specs]
    fleet.on_tools("cellar", parts[0])
    fleet.on_tools("cellar", parts[0].replace(b"tools2", b"tools3"))
    fleet.on_tools("cellar", parts[1])
    assert fleet.toolset("cellar", "tools2") is None
    with pytest.raises(WireError):
        fleet.on_tools("cellar", json.dumps(whole | {"part": 3}).encode())

    fleet.on_state("kitchen", b'{"v":1,"points":{"lamp":{"pin":5,"dir":"out","level":1}}}')
    device = fleet.get("kitchen")
    assert device is not None
    assert device.public()["points"] == {"lamp": {"pin": 5, "dir": "out", "level": 1}}

    assert fleet.facts("kitchen", None) == {}
    assert fleet.facts("kitchen", "m1") is None
    fleet.learn_facts("kitchen", "m1", {"plants": "mornings"})
    assert fleet.facts("kitchen", "m1") == {"plants": "mornings"}
    for n in range(10):
        fleet.learn_facts("kitchen", f"n{n}", {})
    assert fleet.facts("kitchen", "m1") is None


def test_what_cannot_be_read_changes_nothing(fleet: Fleet) -> None:
    fleet.on_status("kitchen", status())
    for payload in (b"{", b'{"online":"yes","boot":3}', b"\xff", b"x" * 5000):
        with pytest.raises(WireError):
            fleet.on_status("kitchen", payload)
        with pytest.raises(WireError):
            fleet.on_tools("kitchen", payload)
        with pytest.raises(WireError):
            fleet.on_state("kitchen", payload)
    device = fleet.get("kitchen")
    assert device is not None and device.online


def test_a_cleared_status_forgets_the_device(fleet: Fleet) -> None:
    fleet.on_status("kitchen", status())
    fleet.on_status("kitchen", b"")
    assert fleet.get("kitchen") is None


def test_a_failing_listener_does_not_hide_news_from_the_next(fleet: Fleet) -> None:
    events: list[str] = []

    def broken(device: str, presence: Presence) -> None:
        raise RuntimeError

    fleet.listen(broken)
    stop = fleet.listen(lambda device, presence: events.append(presence))
    fleet.on_status("kitchen", status())
    stop()
    fleet.on_status("kitchen", b'{"online":false,"boot":3}')
    assert events == ["online"]
