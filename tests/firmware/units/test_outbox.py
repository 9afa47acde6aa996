# Events: once, in order, on flash while they wait and never else.
import ramdisk

from ganglion.outbox import Outbox
from ganglion.store import Store

PATH = "/ram/store.log"


class Wire:
    """A link whose broker acknowledges when it is told to."""

    def __init__(self):
        self.connected = False
        self.on_ack = None
        self.sent = []  # (packet id, event)
        self.acked = 0
        self.full = False

    def room(self):
        return not self.full

    def publish(self, leaf, payload, retain=False):
        import json

        assert leaf == "event"
        self.sent.append((len(self.sent) + 1, json.loads(payload)))
        return len(self.sent)

    def ack(self, n=99):
        while n and self.acked < len(self.sent):
            self.acked += 1
            n -= 1
            self.on_ack(self.acked)

    def names(self):
        return ["%d.%d" % (e["boot"], e["n"]) for _, e in self.sent]


def fresh():
    try:
        ramdisk.unmount()
    except OSError:
        pass
    ramdisk.mount(ramdisk.Disk(32), True)
    return boot()


def boot():
    """As after the power was away."""
    store = Store(PATH)
    wire = Wire()
    return store, wire, Outbox(store, wire)


def waiting(box):
    return len(box.stored) + len(box.held)


def tell(box, boot, first, last):
    for n in range(first, last + 1):
        box.add({"kind": "x", "boot": boot, "n": n})


def test_what_is_delivered_at_once_is_not_written():
    store, wire, box = fresh()
    wire.connected = True
    tell(box, 1, 1, 3)
    assert wire.names() == ["1.1", "1.2", "1.3"]
    wire.ack()
    box.tick()
    assert store.writes == 0 and waiting(box) == 0
    # A burst waits in the heap.
    tell(box, 1, 4, 12)
    assert wire.names()[3:] == ["1.4", "1.5", "1.6", "1.7"]
    wire.ack()
    assert wire.names()[3:] == ["1.%d" % n for n in range(4, 13)]
    wire.ack()
    assert store.writes == 0


def test_they_wait_on_flash_over_reboots_and_come_in_order():
    store, wire, box = fresh()
    tell(box, 1, 1, 3)
    assert store.count("e:") == 3
    store, wire, box = boot()
    tell(box, 2, 1, 4)
    wire.connected = True
    box.pump()
    wire.ack(2)
    # The power goes as two are acknowledged.
    store, wire, box = boot()
    tell(box, 3, 1, 1)
    wire.connected = True
    box.pump()
    wire.ack()
    assert wire.names() == ["1.3", "2.1", "2.2", "2.3", "2.4", "3.1"], wire.names()
    assert not [e for _, e in wire.sent if "dropped" in e or "lost" in e]
    assert store.count("e:") == 0 and waiting(box) == 0
    tell(box, 3, 2, 2)
    assert wire.names()[-1] == "3.2" and store.count("e:") == 0


def test_a_session_that_ends_brings_what_flies_to_flash():
    store, wire, box = fresh()
    wire.connected = True
    tell(box, 1, 1, 6)
    wire.connected = False
    box.tick()
    assert store.count("e:") == 6
    # The link brings the four again by itself; they are not sent twice.
    wire.connected = True
    box.pump()
    assert wire.names() == ["1.1", "1.2", "1.3", "1.4"]
    wire.ack()
    assert wire.names() == ["1.%d" % n for n in range(1, 7)]
    assert store.count("e:") == 0
    # And without the link's memory they come from flash.
    tell(box, 1, 7, 8)
    wire.connected = False
    box.tick()
    store, wire, box = boot()
    wire.connected = True
    box.pump()
    assert wire.names() == ["1.7", "1.8"]


def test_the_oldest_give_way_and_are_counted():
    store, wire, box = fresh()
    tell(box, 1, 1, 16)
    for n in range(17, 21):
        for _ in range(60):
            box.tick()
        tell(box, 1, n, n)
    assert store.count("e:") == 16 and store.writes == 20
    store, wire, box = boot()
    wire.connected = True
    box.pump()
    wire.ack()
    assert wire.names() == ["1.%d" % n for n in range(5, 21)], wire.names()
    assert wire.sent[0][1]["dropped"] == 4
    assert not [e for _, e in wire.sent[1:] if "dropped" in e]
    # Told once, also when the power goes between.
    store, wire, box = boot()
    wire.connected = True
    tell(box, 2, 1, 1)
    assert wire.sent[0][1] == {"kind": "x", "boot": 2, "n": 1}


def test_a_storm_does_not_wear_flash():
    store, wire, box = fresh()
    tell(box, 1, 1, 500)
    assert store.writes == 16 and waiting(box) == 28
    for _ in range(600):
        box.tick()
    assert store.writes == 26
    wire.connected = True
    box.pump()
    wire.ack()
    assert wire.names()[-1] == "1.500"
    told = sum([e.get("dropped", 0) for _, e in wire.sent])
    assert told + len(wire.sent) == 500, (told, len(wire.sent))
    numbers = [e["n"] for _, e in wire.sent]
    assert numbers == sorted(numbers)


def test_flash_that_takes_nothing_leaves_the_heap():
    store, wire, box = fresh()
    store.path = "/ram"  # a folder
    store.unread = True
    tell(box, 1, 1, 20)
    assert store.writes == 0 and waiting(box) == 12
    wire.connected = True
    box.pump()
    wire.ack()
    assert wire.names() == ["1.%d" % n for n in range(9, 21)]
    assert wire.sent[0][1]["dropped"] == 8


def test_a_long_event_is_cut():
    store, _, box = fresh()
    box.add({"kind": "error", "boot": 1, "n": 1, "msg": "x" * 1000})
    assert store.get("e:0") == {"kind": "error", "boot": 1, "n": 1, "cut": True}
