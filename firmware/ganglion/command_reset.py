"""Console: `factory reset`."""

import os

import machine

_STORE = "/store.log"
_CONFIG = "/config.json"


async def run(board, everything, answer):
    """Asks twice. What was set up goes; who the board is stays, unless `everything`."""
    print(
        "This forgets all names, facts, schedules, rules, routines, limits of pins, the time zone\n"
        "and what waits to be told. Nobody has a copy."
    )
    print(
        "Its name, its secret and the Wi-Fi go, too: it must be provisioned again."
        if everything
        else "Its name, its secret and the Wi-Fi stay."
    )
    if await answer("Type yes to go on: ") != "yes" or await answer("Type erase to do it: ") != (
        "erase"
    ):
        print("Nothing was erased.")
        return
    if board.link:
        if everything:
            board.link.publish("status", board.agent.will(), True)
        board.link.close()
    if board.kit:
        board.kit.guard.safe()  # their limits go
    try:
        wipe(everything)
    except OSError as e:
        print("Flash could not be erased (%s)." % e)
    # At once: the store in the heap is not the one on flash any more.
    print("Erased; starting again.")
    machine.RTC().memory(b"GNG\0")
    machine.reset()


def wipe(everything, store=_STORE, config=_CONFIG):
    """Each removal is whole or has not been, and none leaves a board that cannot boot: identity
    goes last. The count of boots stays, since none of its numbers may come twice."""
    for path in (store + ".new", store) + ((config + ".new", config) if everything else ()):
        try:
            os.stat(path)
        except OSError:
            continue
        os.remove(path)
