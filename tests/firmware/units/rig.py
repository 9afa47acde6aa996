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

    def publish(self, leaf, payload, retain=False):
        text = payload if isinstance(payload, str) else "".join(payload)
        if len(text.encode()) > 4096:
            return False
        self.sent.append((leaf, json.loads(text), retain))
        return True

    def stream(self, leaf, chunks, retain=False):
        return self.publish(leaf, "".join(chunks()), retain)

    def room(self):
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


def tools():
    return Tools(kit())


def agent():
    wire = Wire()
    return Agent("dev", 3, tools(), Inbox(3), wire, "power_on"), wire
