# An agent with real tools, guard, store (LittleFS in RAM) and a recorded link.
import json

import machine
import ramdisk
from boards import esp32

from ganglion.agent import Agent
from ganglion.guard import Guard
from ganglion.inbox import Inbox
from ganglion.points import Points
from ganglion.store import Store
from ganglion.tools import Kit, Tools

HEALTH = {"heap": 40000, "up": 65, "boot": 3, "flash": 1000000, "reset": "power_on"}


class Wire:
    """Stands where the link is and keeps what is sent."""

    def __init__(self):
        self.sent = []
        self.connected = True
        self.sessions = 1
        self.problem = "away"
        self.on_ack = None
        self._unacked = []
        self._pid = 0

    def publish(self, leaf, payload, retain=False):
        text = "".join([p if isinstance(p, str) else "".join(p()) for p in payload])
        if len(text.encode()) > 4096:
            return False
        self.sent.append((leaf, json.loads(text), retain))
        self._pid += 1
        self._unacked.append(self._pid)
        return self._pid

    def ack(self):
        pids = self._unacked
        self._unacked = []
        for pid in pids:
            if self.on_ack:
                self.on_ack(pid)

    def stream(self, leaf, chunks, retain=False):
        return self.publish(leaf, "".join(chunks()), retain)

    def drained(self):
        return True

    def idle(self):
        return not self._unacked

    def close(self):
        self.connected = False

    def room(self):
        """Asked before an event; the broker then acknowledges what went before."""
        self.ack()
        return True

    def of(self, leaf):
        return [m for where, m, _ in self.sent if where == leaf]


def kit(store=None):
    machine.clean()
    if store is None:
        try:
            ramdisk.unmount()
        except OSError:
            pass
        ramdisk.mount(ramdisk.Disk(32), True)
        store = Store("/ram/store.log")
    return Kit(Guard(esp32), Points(store), store, lambda: dict(HEALTH))


def tools(store=None):
    return Tools(kit(store))


def agent(store=None, boot=3):
    wire = Wire()
    made = tools(store)
    with open("/ram/tools-1.json", "w") as f:
        f.write('{"hash":"tools1","specs":[{"name":"x"}]}')
    made = Agent("dev", boot, made, Inbox(boot), wire, "power_on", specs="/ram/tools-%d.json")
    return made, wire
