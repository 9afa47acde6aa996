"""Pins, pulls, interrupts, timers, ADC, PWM, I2C."""

import asyncio
import itertools
import time

import pytest

from tools.runtime import micropython
from tools.vboard import BadOperation, layout
from tools.vboard.board import HEAP_KIB

PIN = "from machine import Pin\np = Pin(5, Pin.OUT, value=1)\n"


async def test_a_pad_follows_its_latch_until_it_is_held(make):
    board = await make(PIN)
    assert board.level(5) == 1 and await board.ask("p.value()") == 1
    board.hold(5, 0)
    assert await board.ask("p.value()") == 0
    await board.do("p.on()")
    assert board.pads()["5"] | {"level": 0, "latch": 1, "hold": 0} == board.pads()["5"]
    board.hold(5, None)
    assert await board.ask("p.value()") == 1
    await board.do("p(0)")
    assert board.level(5) == 0


async def test_a_pad_says_when_the_chip_changed_it(make):
    board = await make(PIN)
    before = time.time_ns()
    await board.do("p(0)")
    changed = board.hardware.changed_ns(5)
    assert before <= changed <= time.time_ns()
    await board.do("p(0)")
    assert board.hardware.changed_ns(5) == changed
    await board.do("p.toggle()")
    assert board.hardware.changed_ns(5) > changed
    # It takes no heap: a write to a pad must not fail where there is none.
    ask = "(gc.collect(), gc.mem_alloc(), [p.toggle() for _ in (1, 2, 3, 4)], gc.mem_alloc())"
    await board.do("import gc")
    _, with_list, _, after = await board.ask(ask)
    _, with_none, _, without = await board.ask(ask.replace("p.toggle()", "None"))
    assert after - with_list == without - with_none


async def test_both_sides_read_the_same_level(make):
    """All combinations of what makes a level: the two models must not drift apart."""
    board = await make("from machine import ADC, I2C, PWM, Pin, Timer\n")
    for mode, latch, pull in itertools.product((None, 1, 3, 7), (0, 1), (None, 1, 2)):
        await board.do(f"p = Pin(4, {mode}, {pull}, value={latch})")
        for hold, ext in itertools.product((None, 0, 1), (None, 0, 1)):
            board.hold(4, hold)
            board.drive(4, ext)
            assert await board.ask("p.value()") == board.level(4), (mode, latch, pull, hold, ext)


async def test_inputs_float_and_are_driven(make):
    board = await make("from machine import ADC, I2C, PWM, Pin, Timer\np = Pin(4, Pin.IN)\n")
    assert await board.ask("p()") == 0
    board.drive(4, 1)
    assert await board.ask("p()") == 1
    board.drive(4, None)
    await board.do("p.init(Pin.IN, Pin.PULL_UP)")
    assert await board.ask("p()") == 1


async def test_pins_that_the_chip_has_not(make):
    board = await make(
        "import machine\ndef t(*a):\n"
        "  try: machine.Pin(*a)\n  except ValueError as e: return str(e)\n"
    )
    assert await board.ask("t(24, 1)") == "invalid pin"
    assert await board.ask("t(40, 1)") == "invalid pin"
    assert await board.ask("t(34, 3)") == "pin can only be input"
    assert await board.ask("t(34, 1)") is None
    with pytest.raises(BadOperation):
        board.hold(24, 1)


async def test_an_edge_interrupts_a_hanging_program(make):
    main = (
        "from machine import ADC, I2C, PWM, Pin, Timer\n"
        "def edge(pin): print('edge', pin(), [1] * 10)\n"
        "p = Pin(4, Pin.IN)\n"
        "p.irq(edge, Pin.IRQ_RISING)\n"
        "print('hangs')\n"
        "while True: pass\n"
    )
    board = await make(main, wait=False)
    await board.wait_serial("hangs")
    board.drive(4, 1)
    await board.wait_serial("edge 1", 1)
    board.drive(4, 0)
    await asyncio.sleep(0.05)
    assert board.serial.since(0).count("edge") == 1  # falling was not asked for
    board.drive(4, 1)
    await board.wait_serial("edge 1 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\r\nedge", 1)


async def test_timers_interrupt_a_hanging_program_and_keep_time(make):
    main = (
        "from machine import ADC, I2C, PWM, Pin, Timer\n"
        "import time\n"
        "n = [0, 0]\n"
        "began = time.ticks_ms()\n"
        "def tick(t):\n"
        "  n[0] += 1\n"
        "  if n[0] == 50:\n"
        "    t.deinit()\n"
        "    print('ticks', time.ticks_diff(time.ticks_ms(), began), n[1])\n"
        "def once(t): n[1] += 1\n"
        "def bad(t): raise ValueError('in a callback')\n"
        "a = Timer(0); b = Timer(1); c = Timer(2)\n"
        "a.init(period=10, callback=tick)\n"
        "b.init(mode=Timer.ONE_SHOT, period=25, callback=once)\n"
        "c.init(mode=Timer.ONE_SHOT, period=30, callback=bad)\n"
        "while True: pass\n"
    )
    board = await make(main, wait=False)
    printed = await board.wait_serial("ticks")
    printed = await board.wait_serial("ticks 5")
    _, ms, once = printed[printed.index("ticks") :].split()[:3]
    assert 480 <= int(ms) <= 800 and once == "1"
    assert "ValueError: in a callback" in printed


async def test_no_callback_runs_inside_the_flash_driver(make):
    """Edges and a 1 ms timer all the while files are written, then everything reads back."""
    main = (
        "from machine import ADC, I2C, PWM, Pin, Timer\n"
        "n = 0\n"
        "def tick(t):\n"
        "  global n\n"
        "  n += 1\n"
        "  with open('t', 'w') as f: f.write(str(n))\n"
        "def work():\n"
        "  for i in range(600):\n"
        "    with open('f%d' % (i % 5), 'w') as f: f.write(str(i) * 200)\n"
        "  return n\n"
        "t = Timer(0)\n"
        "t.init(period=1, callback=tick)\n"
    )
    board = await make(main)
    assert await board.ask("work()", 20) > 10
    await board.do("t.deinit()")
    assert await board.ask("open('f4').read() == '599' * 200")
    assert await board.ask("int(open('t').read()) == n")


async def test_adc_pwm_and_i2c(make):
    main = (
        "from machine import ADC, I2C, PWM, Pin, Timer\n"
        "a = ADC(Pin(36), atten=ADC.ATTN_11DB)\n"
        "w = PWM(Pin(18), freq=1000, duty_u16=49152)\n"
        "i = I2C(0, scl=Pin(22), sda=Pin(21))\n"
        "def missing():\n"
        "  try: i.readfrom(9, 1)\n"
        "  except OSError as e: return e.errno\n"
    )
    board = await make(main)
    board.adc(36, 1650)
    assert await board.ask("(a.read(), a.read_u16(), a.read_uv())") == (2047, 32767, 1650000)
    assert board.pads()["18"]["pwm"] == {"freq_hz": 1000, "duty_u16": 49152}
    board.i2c(0x76, bytes(range(256)))
    assert await board.ask("i.scan()") == [0x76]
    assert await board.ask("i.readfrom_mem(118, 208, 2)") == b"\xd0\xd1"
    await board.do("i.writeto_mem(118, 255, b'zA')")
    assert await board.ask("i.readfrom_mem(118, 255, 2)") == b"zA"
    assert await board.ask("missing()") == 19
    board.i2c(0x76, None)
    assert await board.ask("i.scan()") == []


async def test_what_the_stand_ins_cost_the_heap(make):
    board = await make()
    bytes_a_kib = 1024 * micropython().bits // 32
    assert 0 < board.stats()["standin_bytes"] < 11 * bytes_a_kib
    # They and the block that fills them up leave the firmware what a chip of this size has.
    total = await board.ask("__import__('gc').mem_alloc() + __import__('gc').mem_free()")
    added_kib = layout.STANDIN_HEAP // 1024
    assert (HEAP_KIB + added_kib - 3) * bytes_a_kib < total <= (HEAP_KIB + added_kib) * bytes_a_kib
    assert await board.ask("__import__('_hw').reserve is not None")
    assert board.hardware[layout.READY] == 1
