# The device itself: versions, its name, a restart that answers first and happens once.
import asyncio
import json

import machine
import rig

from ganglion import clock


def agent():
    a, wire = rig.agent()
    a.tools.kit.agent = a
    return a, wire


def do(a, cid, tool, args, boot=3):
    msg = {"id": cid, "boot": boot, "exp": clock.now() + 20, "tool": tool, "args": args}
    a.handle("do", json.dumps(msg).encode())


def restarts(seconds):
    """Run the loop for some time; how often the chip was reset in it."""
    found = []

    def reset():
        found.append(1)

    async def scene():
        await asyncio.sleep_ms(int(seconds * 1000))

    machine.reset = reset
    asyncio.run(scene())
    return len(found)


def test_versions_and_names():
    a, _ = agent()
    receipt, said, acted = a.tools.run("get_version", {})
    assert receipt["board"] == "esp32" and receipt["tools"] == "tools1" and not acted, receipt
    assert receipt["device"] == "dev" and receipt["name"] is None
    assert receipt["fw"] in said and receipt["micropython"] in said and "I am dev, an esp32" in said


def test_a_name_is_kept_shown_and_taken_away():
    a, wire = agent()
    receipt, said, acted = a.tools.run("rename_device", {"name": " Green  house "})
    assert receipt == {"name": "Green house"} and acted and said == "I am called Green house now."
    assert wire.of("status")[-1]["name"] == "Green house"
    assert a.tools.run("get_version", {})[0]["name"] == "Green house"
    for name in (" ", "a\nb", "a/b", "x" * 25, 5):
        assert a.tools.run("rename_device", {"name": name})[0]["err"] == "bad_args", name
    assert rig.Store(a.tools.kit.store.path).get("c:name") == "Green house"
    receipt, said, _ = a.tools.run("rename_device", {})
    assert receipt == {"name": None} and said == "I have no name but dev.", said
    assert wire.of("status")[-1]["name"] is None


def test_a_reboot_is_answered_first():
    a, wire = agent()
    a.tools.kit.guard.store = a.tools.kit.store
    do(a, "x1", "reboot", {})
    done = wire.of("done")
    assert done == [{"id": "x1", "receipt": {"boot": 3}}], done
    assert not restarts(0.3), "the broker does not have the receipt yet"
    wire.ack()
    assert restarts(0.3) == 1 and not wire.connected, "said goodbye, so no will is sent"


def test_a_reboot_waits_for_what_runs():
    a, _ = agent()
    a.inbox.running.append("turn")  # whose reply is still being made
    a.tools.run("reboot", {})
    assert not restarts(0.3)
    a.inbox.running.remove("turn")
    assert restarts(0.3) == 1


def test_a_double_of_a_reboot_restarts_nothing():
    a, wire = agent()
    do(a, "x1", "reboot", {})
    do(a, "x1", "reboot", {})
    assert [d["receipt"] for d in wire.of("done")] == [{"boot": 3}, {"boot": 3}]
    wire.ack()
    assert restarts(0.4) == 1
    # The next boot has forgotten the id, and refuses what was meant for the one before.
    b, wire = agent()
    b.boot = b.inbox.boot = 4
    do(b, "x1", "reboot", {}, boot=3)
    assert wire.of("done")[-1]["receipt"]["err"] == "stale_boot"
    assert not restarts(0.2)


def test_a_board_that_has_just_started_does_not_restart():
    a, _ = agent()
    a.tools.kit.health = lambda: {"up": 4}
    receipt, said, acted = a.tools.run("reboot", {})
    assert receipt["err"] == "busy" and "ask again in 6 s" in said and not acted, said
    assert not restarts(0.2)


def test_the_last_levels_are_on_flash_before():
    a, wire = agent()
    kit = a.tools.kit
    kit.guard.store = kit.store
    a.tools.run("limit_set", {"pin": 5, "restore": "last"})
    a.tools.run("gpio_write", {"pin": 5, "value": 1})
    a.tools.run("reboot", {})
    wire.ack()
    assert restarts(0.3) == 1
    assert rig.Store(kit.store.path).get("o:5") == 1
