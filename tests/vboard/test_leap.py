"""Time that is left out: a day of a board in a second, and nothing of it missed."""

import asyncio

BEGINS = 1790000000

FIRMWARE = """
import asyncio, time
from machine import Timer
async def hours():
    for n in range(24):
        print("hour", n)
        await asyncio.sleep(3600)
    print("all", time.time() - begun)
async def polls():
    while True:
        await asyncio.sleep_ms(5)
async def waits():
    began = time.ticks_ms()
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 1000)
    except asyncio.TimeoutError:
        print("timed out after", time.ticks_diff(time.ticks_ms(), began) // 1000)
    task = asyncio.create_task(polls())
    await asyncio.sleep(1)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("canceled")
def rings(_):
    print("rang after", time.ticks_diff(time.ticks_ms(), began) // 1000)
began = time.ticks_ms()
begun = time.time()
Timer(0).init(mode=Timer.ONE_SHOT, period=7777000, callback=rings)
async def main():
    asyncio.create_task(hours())
    asyncio.create_task(polls())
    await waits()
    await asyncio.sleep(100000)
asyncio.run(main())
"""


async def test_a_day_passes_and_what_was_due_in_it_happens(make):
    board = await make(FIRMWARE, begins=BEGINS, wait=False)
    hardware = board.hardware
    await board.wait_serial("hour 0")
    assert 0 <= hardware.world_ms() - BEGINS * 1000 < 60_000
    hardware.leap_to((BEGINS + 86400) * 1000, 5000)
    printed = await board.wait_serial("hour 23", 60)
    assert "timed out after 1000" in printed and "canceled" in printed
    assert "rang after 7777" in printed
    async with asyncio.timeout(30):
        while hardware.world_ms() < (BEGINS + 86400) * 1000:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    # It stops there, and the chip's own clock, never set, has counted the same seconds.
    assert "all 864" in await board.wait_serial("all ", 30)
    assert hardware.world_ms() < (BEGINS + 86400 + 120) * 1000
