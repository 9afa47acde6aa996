"""Max-on with the firmware's own guard on a board: it holds while Python hangs."""

import ast
import asyncio
import time

import pytest

from tools.paths import FIRMWARE

MAIN = """
import sys, time
sys.path.append("/fw")
from ganglion import guard, guard_set
from boards import esp32
class Flash:
    def __init__(self, rows): self.rows = rows
    def keys(self, prefix): return sorted(self.rows)
    def get(self, key, default=None): return self.rows.get(key[2:])
g = guard.Guard(esp32)
guard_set.boot(g, Flash({"5": {"max_on_s": 1}, "13": {"max_on_s": 2}, "18": {"max_on_s": 1}}), True)
def say(word): print(word)
"""
HANG = "\nsay('hangs')\nwhile True: pass\n"
PWM = (
    "from machine import PWM, Pin\n"
    "g.take(18, 'pwm', True)\n"
    "g.drive(18, True, lambda: PWM(Pin(18), freq=1000, duty_u16=50000))"
)
TIMES = """
out = []
say('hangs')
for n in range(7):
    time.sleep_ms(37 * n % 100)
    began = time.ticks_us()
    g.write(5, 1)
    while g.read(5): pass
    out.append(time.ticks_diff(time.ticks_us(), began))
print(out)
"""
TASKS = """
import asyncio
async def spin():
    g.write(5, 1)
    say('hangs')
    junk = []
    while True:
        junk.append(bytes(500))
        if len(junk) > 20: junk.clear()
async def other():
    while True: await asyncio.sleep(1)
async def main():
    asyncio.create_task(other())
    await spin()
asyncio.run(main())
"""


@pytest.fixture
def put(make, tmp_path):
    """A board with the firmware beside its main.py."""

    async def started(main):
        firmware = tmp_path / "firmware-bench" / "fw"
        for folder in ("ganglion", "boards"):
            (firmware / folder).mkdir(parents=True)
        for name in ("__init__", "guard", "guard_set", "lazy", "store"):
            source = FIRMWARE / "ganglion" / f"{name}.py"
            (firmware / "ganglion" / source.name).write_bytes(source.read_bytes())
        for name in ("__init__", "esp32"):
            source = FIRMWARE / "boards" / f"{name}.py"
            (firmware / "boards" / source.name).write_bytes(source.read_bytes())
        board = await make(main, wait=False)
        await board.wait_serial("hangs", 20)
        return board, time.monotonic()

    return started


async def low(board, pin, began, seconds):
    while board.level(pin):
        assert time.monotonic() - began < seconds, f"pin {pin} is still on"
        await asyncio.sleep(0.002)
    return time.monotonic() - began


async def test_outputs_end_while_python_spins(put):
    board, began = await put(MAIN + "g.write(5, 1); g.write(13, 1)" + HANG)
    assert board.level(5) == 1 and board.level(13) == 1
    # It was on before `began`; what the host's scheduler adds is not the guard's.
    assert 0.85 < await low(board, 5, began, 4) < 1.3
    assert board.level(13) == 1
    assert 1.85 < await low(board, 13, began, 4) < 2.3


async def test_pwm_ends_while_python_spins(put):
    board, began = await put(MAIN + PWM + HANG)
    assert board.pads()["18"]["pwm"]["duty_u16"] == 50000 and board.level(18) == 1
    assert 0.85 < await low(board, 18, began, 4) < 1.3
    pad = board.pads()["18"]
    assert pad["mode"] == "out" and "pwm" not in pad


async def test_how_exactly_it_ends(put):
    board, _ = await put(MAIN + TIMES)
    printed = await board.wait_serial("]", 30)
    times = ast.literal_eval(printed[printed.index("[") : printed.rindex("]") + 1])
    assert min(times) >= 999_000 and max(times) < 1_200_000, times
    assert sorted(times)[len(times) // 2] < 1_050_000, times


async def test_an_output_ends_while_a_task_hangs_and_fills_the_heap(put):
    board, began = await put(MAIN + TASKS)
    assert 0.85 < await low(board, 5, began, 4) < 1.3
