"""What happened while the network was away is told when it is back: once, in order."""

from tests.e2e.rig import Board, System, wait_for


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
    # Taken from flash once the broker had them. Cut between its word and the flash they would come
    # once more: that is what QoS 1 promises.
    wait_for("the outbox to be empty", lambda: _waits_for_nothing(board))
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=first + 2)
    wait_for("the next boot's event", lambda: len(_boots(system)) > 3)
    assert _boots(system) == [first, first + 1, first + 2, first + 3]


def _waits_for_nothing(board: Board) -> bool:
    """As its console says."""
    board.control.call("serial", send="status\r")
    said: list[str] = []

    def whole() -> bool:
        said.append(board.control.call("serial")["text"])
        return "wait for the broker" in "".join(said)

    wait_for("what the console says", whole)
    return "; 0 events wait for the broker" in "".join(said)


def _boots(system: System) -> list[int]:
    return [e["boot"] for e in system.tap.of("event") if e["kind"] == "boot"]
