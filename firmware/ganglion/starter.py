"""Starts jobs: conflicts, the queue, the note on flash, what comes before the first wait; and the
`finally` of a boot. Loaded for a use by the runner, which stays while something runs."""

import asyncio
import sys
import time

from micropython import const

from .job import Job
from .runner import NOTE, Task
from .store import StoreFull
from .tools import ToolError

_MAX_RUNNING = const(4)
_MAX_QUEUED = const(4)
_MAX_BYTES = const(2048)
_AT_ONCE = const(32)  # steps that run before the caller goes on


def _pins(kit, row, args):
    """A mask of the pins that a routine acts on."""
    mask = 0
    for ref in row["p"]:
        if isinstance(ref, str) and ref[:1] == "$":
            ref = args[ref[1:]]
        mask |= 1 << kit.resolve(ref)[0]
    return mask


def start(runner, name, row, args):
    mask = _pins(runner.kit, row, args)
    size = row["n"]
    for t in runner.tasks:
        if t.name == name or t.mask & mask:
            why = "'%s' runs and uses the same pins" % t.name
            if t.name == name:
                why = "it runs already"
            if row["r"].get("on_conflict") != "queue":
                raise ToolError("busy", why)
            if len(runner.queue) >= _MAX_QUEUED:
                raise ToolError("busy", "%s, and %d wait" % (why, _MAX_QUEUED))
            runner.queue.append((name, args))
            return {"routine": name, "state": "queued", "say": "%s waits: %s" % (name, why)}
    if len(runner.tasks) >= _MAX_RUNNING:
        raise ToolError("busy", "%d routines run already" % _MAX_RUNNING)
    if sum([t.size for t in runner.tasks]) + size > _MAX_BYTES:
        raise ToolError("busy", "the routines that run leave no memory for it")
    tell = runner.teller(name)
    job = Job(row, args, runner.act, runner.read, tell, runner.asker(name))
    t = Task(name, job, mask, size)
    if job.acts and "finally" in job.program:
        runner.kit.store.set(NOTE + name, args)  # StoreFull: it does not start
        t.noted = True
    runner.tasks.append(t)
    # Up to the first wait at once: what the caller replies comes from receipts.
    ms = 0
    for _ in range(_AT_ONCE):
        ms = runner.next(t)
        if ms != 0:
            break
    told = job.told
    job.told = None
    if ms is None:
        runner.finish(t)
    else:
        t.task = asyncio.create_task(runner.drive(t, ms))
    receipt = {"routine": name, "state": "done" if ms is None else "running", "did": told}
    if job.failed:
        receipt["err"], receipt["msg"] = job.failed
        if ms is not None:
            receipt["msg"] += "; its 'finally' runs"
    else:
        say = " ".join(told)
        if ms is not None:
            say += " %s runs, %d s at most." % (name, -(-job.ms // 1000))
        receipt["say"] = say.strip() or "%s is done" % name
    return receipt


def next_of(runner):
    """Start the first of the queue that can; and again, as long as one can."""
    at = 0
    while at < len(runner.queue) and len(runner.tasks) < _MAX_RUNNING:
        name, args = runner.queue[at]
        try:
            row = runner.kit.routines.row(name)
            if row is None:
                raise ToolError("not_found", "it was deleted")
            mask = _pins(runner.kit, row, args)
            blocked = sum([t.size for t in runner.tasks]) + row["n"] > _MAX_BYTES
            for t in runner.tasks:
                blocked = blocked or t.name == name or t.mask & mask
            if blocked:
                at += 1
                continue
            runner.queue.pop(at)
            receipt = start(runner, name, row, args)
        except (ToolError, StoreFull) as e:
            if at < len(runner.queue) and runner.queue[at][0] == name:
                runner.queue.pop(at)
            receipt = {"err": "busy", "msg": e.args[-1]}
        at = 0
        if "err" in receipt:
            runner.report(name, "failed", (receipt["err"], receipt["msg"]))


def last(kit, row, args):
    """At boot: run a `finally` to its end, here and now. What failed, or None."""
    from .runner import Runner

    runner = Runner(kit, None)
    job = Job(row, args, runner.act, runner.read, lambda text: None)
    try:
        for ms in job.last():
            time.sleep_ms(min(ms, 5000))
    except Exception as e:
        sys.print_exception(e)
    return job.failed
