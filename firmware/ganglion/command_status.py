"""Console: `status`, `wifi` and `log`."""

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
    lazy.drop("log")
    yield _network(config)
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


def wifi(board):
    yield _network(board.config or {})
    if board.link and not board.link.connected:
        yield "link " + board.link.problem


def _network(config):
    """One line: the network that is set, and what has become of it."""
    wlan = network.WLAN(network.STA_IF)
    ssid = (config.get("wifi") or {}).get("ssid")
    if not ssid:
        return "Wi-Fi: no network is set; 'wifi <name>' sets one"
    if not wlan.isconnected():
        return "Wi-Fi %s: not connected" % ssid
    return "Wi-Fi %s: connected, %s, %s dBm" % (ssid, wlan.ifconfig()[0], wlan.status("rssi"))


def log(board):
    yield "boot, time since: what (the newest last; kept over resets, not over a power cut)"
    try:
        for line in lazy.load("log").lines():
            yield line
    finally:
        lazy.drop("log")
