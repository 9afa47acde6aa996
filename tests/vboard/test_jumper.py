"""A wire between two pads: levels, interrupts, counters; and a wire to another board."""

import asyncio
import itertools

import pytest

from tools.paths import FIRMWARE
from tools.vboard import BadOperation, BoardControl, wired

MAIN = (
    "from machine import PWM, Pin\n"
    "seen = []\n"
    "a = Pin(4, Pin.OUT, value=0)\n"
    "b = Pin(5, Pin.IN)\n"
    "def watch(trigger): b.irq(lambda pin: seen.append(pin()), trigger)\n"
    "def burst(n):\n"
    "  for _ in range(n): a.on(); a.off()\n"
)


async def test_one_pad_reads_what_the_other_makes(make):
    board = await make(MAIN)
    board.jumper(4, 5)
    await board.do("a.on()")
    assert await board.ask("(a(), b())") == (1, 1) and board.level(5) == 1
    assert (board.pads()["4"]["jumper"], board.pads()["5"]["jumper"]) == (5, 4)
    # The wire stays through a reset, as what is soldered does.
    await board.reset()
    await board.ready(2)
    await board.do("b.init(Pin.OUT, value=1); a.init(Pin.IN)")
    assert await board.ask("a()") == 1
    board.jumper(5, None)
    assert await board.ask("(a(), b())") == (0, 1) and "jumper" not in board.pads()["4"]


async def test_both_sides_read_the_same_of_a_wire(make):
    """All combinations of what makes a level at two joined pads, in the chip and outside."""
    board = await make(
        "from machine import PWM, Pin\n"
        "def t(a, b):\n"
        "  found = []\n"
        "  for mode, latch, pull in a:\n"
        "    p = Pin(4, mode, pull, value=latch)\n"
        "    for mode, latch, pull in b:\n"
        "      q = Pin(5, mode, pull, value=latch)\n"
        "      found.append((p(), q()))\n"
        "  return found\n"
    )
    board.jumper(4, 5)
    states = [(3, 0, None), (3, 1, None), (7, 0, None), (7, 1, 2), (1, 0, None), (1, 0, 1)]
    for outside in itertools.product((None, 0, 1), repeat=3):
        board.hold(4, outside[0])
        board.drive(4, outside[1])
        board.drive(5, outside[2])
        found = await board.ask(f"t({states}, {states})")
        # The launcher reads the last of them from the same memory.
        assert found[-1] == (board.level(4), board.level(5)), outside
        for (one, two), levels in zip(itertools.product(states, repeat=2), found, strict=True):
            assert levels == expected(one, two, outside), (one, two, outside)


def expected(one, two, outside):
    """What 330 Ω between two pads give: first what is at the pad, then what is across, then the
    pulls."""
    hold, ext_one, ext_two = outside
    made_one = hold if hold is not None else driven(one, ext_one)
    made_two = driven(two, ext_two)
    pulled = [int(pull == 2) for _, _, pull in (one, two) if pull]

    def first(*levels):
        return next((level for level in levels if level is not None), None)

    return (
        first(made_one, made_two, *pulled, 0),
        first(made_two, made_one, *reversed(pulled), 0),
    )


def driven(state, ext):
    mode, latch, _ = state
    return latch if mode == 3 or (mode == 7 and not latch) else ext


async def test_each_edge_that_the_chip_makes_interrupts_at_the_other_end(make):
    board = await make(MAIN)
    board.jumper(4, 5)
    await board.do("watch(Pin.IRQ_RISING | Pin.IRQ_FALLING)")
    await board.do("burst(50)")
    # Seen while the burst ran, since the handler read both levels.
    assert await board.ask("seen") == [1, 0] * 50
    await board.do("seen.clear(); watch(Pin.IRQ_RISING)")
    await board.do("burst(50)")
    assert await board.ask("len(seen)") == 50
    await board.do("seen.clear(); b.irq(None)")
    await board.do("burst(5)")
    assert await board.ask("seen") == []


async def test_edges_wait_for_a_callback_that_runs_as_many_as_the_chip_keeps(make):
    main = MAIN + "def late(pin): burst(3); print('made', len(seen))\n"
    board = await make(main)
    board.jumper(4, 5)
    await board.do("watch(Pin.IRQ_RISING)")
    await board.do("c = Pin(18); c.irq(late)")
    board.drive(18, 1)
    await board.wait_serial("made 0")  # the interrupts of a callback wait for its end
    assert await board.ask("len(seen)") == 3
    await board.do("seen.clear()")
    await board.do("c.irq(lambda pin: burst(30))")
    board.drive(18, 0)
    async with asyncio.timeout(5):
        while (n := await board.ask("len(seen)")) < 8:
            pass
    assert n == 8


async def test_mode_pull_and_pwm_make_edges_too(make):
    board = await make(MAIN)
    board.jumper(4, 5)
    await board.do("watch(3)")
    await board.do("a.init(Pin.IN, Pin.PULL_UP)")
    assert await board.ask("(seen, b())") == ([1], 1)
    await board.do("a.init(Pin.OUT, value=0)")
    assert await board.ask("seen") == [1, 0]
    await board.do("w = PWM(a, freq=1000, duty_u16=40000)")
    assert await board.ask("(seen, b())") == ([1, 0, 1], 1)
    await board.do("w.duty_u16(20000)")
    assert await board.ask("seen") == [1, 0, 1, 0]
    await board.do("w.duty_u16(40000); w.deinit()")
    assert await board.ask("seen") == [1, 0, 1, 0, 1, 0]


async def test_what_is_outside_reaches_the_other_end(make):
    board = await make(MAIN + "a.init(Pin.IN)\n")
    board.jumper(4, 5)
    await board.do("watch(3)")
    board.drive(4, 1)
    board.hold(4, 0)
    await board.do("pass")
    board.hold(4, None)
    board.drive(5, 0)  # at the pad itself, so it wins over what is across
    await board.do("pass")
    assert await board.ask("(a(), b())") == (1, 0)
    async with asyncio.timeout(5):
        while len(await board.ask("seen")) < 2:
            pass


async def test_a_write_to_a_joined_pad_takes_no_heap(make):
    board = await make(MAIN + "import gc\nn = 0\ndef count(pin):\n  global n\n  n += 1\n")
    board.jumper(4, 5)
    await board.do("b.irq(count)")
    ask = "(gc.collect(), gc.mem_alloc(), [a.toggle() for _ in (1, 2, 3, 4)], gc.mem_alloc())"
    _, with_list, _, after = await board.ask(ask)
    assert await board.ask("n") == 4
    _, with_none, _, without = await board.ask(ask.replace("a.toggle()", "None"))
    assert after - with_list == without - with_none


async def test_wires_that_cannot_be(make):
    board = await make()
    board.jumper(4, 5)
    board.jumper(5, 4)  # the same wire
    for a, b, told in (
        (4, 4, "cannot be joined to itself"),
        (4, 18, "pin 4 is joined to pin 5 already"),
        (18, 5, "pin 5 is joined to pin 4 already"),
        (18, 24, "no pin 24"),
    ):
        with pytest.raises(BadOperation, match=told):
            board.jumper(a, b)
    board.jumper(18, None)
    async with await BoardControl.of(board.folder) as control:
        await control.call("jumper", a=4, b=None)
        assert "jumper" not in (await control.call("pads"))["pads"]["5"]
        await control.call("jumper", a=4, b=18)
        assert (await control.call("pads"))["pads"]["18"]["jumper"] == 4


async def test_a_counter_of_the_firmware_counts_the_edges_of_a_wire(make, tmp_path):
    (tmp_path / "firmware-counts/ganglion").mkdir(parents=True)
    counter = (FIRMWARE / "ganglion/hw_counter.py").read_text()
    (tmp_path / "firmware-counts/hw_counter.py").write_text(counter)
    board = await make(MAIN + "import hw_counter\n", "counts")
    board.jumper(4, 5)
    await board.do("hw_counter.start(5, 'rising', 0, None)")
    await board.do("burst(200)")
    assert await board.ask("hw_counter.stop(5)") == 200


async def reads(board, level):
    async with asyncio.timeout(5):
        while await board.ask("p()") != level:
            pass


async def test_a_wire_to_another_board_carries_what_drives_a_pad(make):
    one = await make(MAIN + "a.on()\n")
    two = await make("from machine import Pin\np = Pin(18, Pin.IN, Pin.PULL_UP)\n", "two")
    assert await two.ask("p()") == 1
    async with wired(one, 4, two, 18):
        await one.do("a.off()")
        await reads(two, 0)
        await one.do("a.init(Pin.IN)")  # nothing drives it: the pull of the other board is free
        await reads(two, 1)
        await one.do("a.init(Pin.OUT, value=0)")
        await reads(two, 0)
    assert two.level(18) == 1
    with pytest.raises(BadOperation, match="no pin 24"):
        async with wired(one, 4, two, 24):
            pass
    assert two.pads()["18"]["ext"] is None
