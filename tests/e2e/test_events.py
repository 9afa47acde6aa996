"""What happened while the network was away is told when it is back: once, in order."""

from tests.e2e.rig import System, wait_for


def test_events_of_boots_without_a_network_come_later(fresh) -> None:
    system: System = fresh()
    board = system.board()
    first = board.boot
    wait_for("the first boot's event", lambda: _boots(system) == [first])
    board.control.call("net", up=False)
    for _ in range(2):
        boots = board.control.call("stats")["boots"]
        board.control.call("serial")
        board.control.call("power", on=False)
        board.control.call("power", on=True)
        wait_for("a boot", lambda b=boots: board.control.call("stats")["boots"] > b)
        wait_for("the agent", lambda: " of demo, " in board.control.call("serial")["text"])
    assert _boots(system) == [first]
    board.control.call("net", up=True)
    board.online(after=first + 1)
    wait_for("their events", lambda: len(_boots(system)) == 3)
    assert _boots(system) == [first, first + 1, first + 2]
    # Taken from flash once the broker had them.
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=first + 2)
    wait_for("the next boot's event", lambda: len(_boots(system)) > 3)
    assert _boots(system) == [first, first + 1, first + 2, first + 3]


def _boots(system: System) -> list[int]:
    return [e["boot"] for e in system.tap.of("event") if e["kind"] == "boot"]
