"""Console: `status` and `log`."""

import gc

import network
from micropython import const

from . import VERSION, clock, lazy

_ROW_BYTES = const(9)  # as in store.py


def status(board):
    config = board.config or {}
    health = board.health()
    yield "%s: ganglion %s on %s" % (
        config.get("device", "(not provisioned)"),
        VERSION,
        config.get("board", "esp32"),
    )
    if board.problem:
        yield "SAFE MODE: no agent runs, outputs are at their safe levels. 'safe off' ends it."
        yield "safe mode: " + board.problem
    yield "boot %d (%s), up %s, %d B of memory free, %d KB of flash" % (
        health["boot"],
        health["reset"],
        lazy.load("log").span(health["up"]),
        health["heap"],
        health["flash"] // 1024,
    )
    yield lazy.load("command_wifi").state(network.WLAN(network.STA_IF), config)
    lazy.drop("command_wifi")
    link = board.link
    if link:
        yield "link %s" % (
            "up: broker %s:%s, %d since boot" % (config["host"], config["port"], link.sessions)
            if link.connected
            else link.problem
        )
    now = clock.now()
    if now is None:
        yield "the time is not known: what goes by the clock waits"
    elif board.agent:
        yield board.agent.tools.run("get_time", {})[1]
    else:
        yield "time %s" % clock.iso(now)
    if board.kit:
        store = board.kit.store
        yield "%d entries in %d bytes of log; %d events wait for the broker" % (
            store.end // _ROW_BYTES,
            store.size,
            store.count("e:"),
        )
    gc.collect()


def log(board):
    yield "boot, time since: what (the newest last; kept over resets, not over a power cut)"
    try:
        for line in lazy.load("log").lines():
            yield line
    finally:
        lazy.drop("log")
