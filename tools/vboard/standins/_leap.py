# Time that is jumped over where the board would only wait: days of a board in minutes.
#
# What the firmware computes takes the time that it takes here. Where all its tasks sleep and no
# byte is there to read, the world's clock is put ahead instead: to when the next task wakes, or by
# the launcher's step where that is more (tasks that look at something every few milliseconds then
# look once a step); never past the moment that the launcher wants to see, and never while it or
# `may` says that an answer is on its way. Loaded only where the launcher asks for it.
import struct
import sys
import time

import _hw
import utime
from _hw import mem
from micropython import const
from utime import ticks_add, ticks_diff

_STAY = const(10)
_CLOCK = const(40)
_AHEAD = const(10432)
_LEAP_TO = const(10440)
_LEAP_MS = const(10448)

_period = ticks_add(0, -1) + 1
_ahead = 0  # of the ticks; kept within half a period of 0, as ticks_add wants it


def may():
    """Milliseconds that may be left out, at most; 0 while something is under way. The program
    puts its own in place of this."""
    return 1 << 29


def world_ms():
    """Unix milliseconds of the world that the board is in."""
    return utime.time_ns() // 1000000 + struct.unpack_from("<q", mem, _AHEAD)[0]


def ticks_ms():
    return ticks_add(utime.ticks_ms(), _ahead)


def _time():
    return world_ms() // 1000 + struct.unpack_from("<q", mem, _CLOCK)[0]


def jump(ms):
    global _ahead
    struct.pack_into("<q", mem, _AHEAD, struct.unpack_from("<q", mem, _AHEAD)[0] + ms)
    _ahead = (_ahead + ms + _period // 2) % _period - _period // 2


def _sleep(s):
    jump(int(s * 1000))


class TaskQueue:
    """What asyncio has in C, where it reads the host's clock."""

    def __init__(self):
        self._tasks = []

    def peek(self):
        return self._tasks[0] if self._tasks else None

    def push(self, task, key=None):
        task.data = None
        task.ph_key = ticks_ms() if key is None else key
        n = len(self._tasks)
        while n and ticks_diff(task.ph_key, self._tasks[n - 1].ph_key) < 0:
            n -= 1
        self._tasks.insert(n, task)

    def pop(self):
        return self._tasks.pop(0)

    def remove(self, task):
        self._tasks.remove(task)


class Task:
    """`state` is True while it runs, a queue of those who wait for it, a callback, None when it
    has ended and nobody knows, else False. `data`: what it waits in; its result; what to throw."""

    def __init__(self, coro, globals=None):
        self.coro = coro
        self.data = None
        self.state = True
        self.ph_key = 0

    def __iter__(self):
        if self.state is True:
            self.state = TaskQueue()
        elif not self.state:
            self.state = False
        elif not isinstance(self.state, TaskQueue):
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        if not self.state:
            raise self.data
        waiting = _core.cur_task
        self.state.push(waiting)
        waiting.data = self

    def done(self):
        return not self.state

    def cancel(self):
        task = self
        if not task.state:
            return False
        if task is _core.cur_task:
            raise RuntimeError("can't cancel self")
        while isinstance(task.data, Task):
            task = task.data
        queue = _core._task_queue
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            queue.push(task)
        elif ticks_diff(task.ph_key, ticks_ms()) > 0:
            queue.remove(task)
            queue.push(task)
        task.data = _core.CancelledError
        return True


# asyncio takes its clock, its tasks and its queue as it is imported.
time.ticks_ms = ticks_ms
time.time = _time
time.sleep_ms = jump
time.sleep = _sleep
sys.modules["_asyncio"] = sys.modules["_leap"]
from asyncio import core as _core  # noqa: E402


def _left(dt):
    """How far to jump: milliseconds, 0 for not at all. `dt` as in wait_io_event."""
    most = 0 if mem[_STAY] else may()
    to = struct.unpack_from("<q", mem, _LEAP_TO)[0]
    # Read twice, as the launcher may be writing it.
    if not most or mem[_STAY] or to != struct.unpack_from("<q", mem, _LEAP_TO)[0]:
        return 0
    ms = min(struct.unpack_from("<I", mem, _LEAP_MS)[0], most)
    ms = min(max(ms, dt), to - world_ms())
    for timer in _hw.timers:
        ms = min(ms, ticks_diff(timer.due, ticks_ms()))
    return max(ms, 0)


class _Waiting(_core.IOQueue):
    def wait_io_event(self, dt):
        """Until a task is due, in `dt` ms, or never (-1); or until a byte is there."""
        super().wait_io_event(0)
        task = _core._task_queue.peek()
        if task:
            dt = ticks_diff(task.ph_key, ticks_ms())
            if dt <= 0:
                return
        ms = _left(dt)
        if ms:
            jump(ms)
            if _hw.run_timers:
                _hw.run_timers()
        else:
            super().wait_io_event(1)


# By its name in full: the build shortens names that are assigned.
setattr(_core, "_io_queue", _Waiting())  # noqa: B010
