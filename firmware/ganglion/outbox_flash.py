"""Events that wait on flash: loaded when one does, since mostly none does."""

from micropython import const

from .store import StoreFull

_MAX_STORED = const(16)
_LOST = "lost"  # of a stored event: how many had given way and were not told yet


def _key(at):
    return "e:%d" % at


def load(box):
    """What an earlier boot left."""
    found = [(e["boot"], e["n"], int(at), e.get(_LOST, 0)) for at, e in box.store.items("e:")]
    found.sort()
    box.stored = [e[2] for e in found]
    if len(found) == _MAX_STORED:  # else, one was delivered since, and told it
        box.dropped = found[-1][3]


def read(box, send):
    """Send the oldest that is not under way; False when it cannot be sent now."""
    at = box.stored[box.sent]
    event = box.store.get(_key(at))
    if event is None:  # gone bad
        forget(box, at)
        return True
    event.pop(_LOST, None)
    if not send(event, at):
        return False
    box.sent += 1
    return True


def forget(box, at):
    box.stored.remove(at)
    try:
        box.store.delete(_key(at))
    except (StoreFull, OSError):
        pass  # it comes again after a reboot


def keep(box):
    """To flash with all that only the heap has, oldest first."""
    for entry in box.flying:
        if entry[2] is not None:
            at = _put(box, entry[2])
            if at < 0:
                return
            entry[1] = at
            entry[2] = None
            box.sent += 1
    while box.held:
        if _put(box, box.held[0]) < 0:
            return
        box.held.pop(0)


def _put(box, event):
    """Its place on flash, where the oldest gives way when 16 are there; -1: not written."""
    if not box.writes:
        return -1
    box.writes -= 1
    stored = box.stored
    full = len(stored) >= _MAX_STORED
    if full:
        at = stored[0]
    else:
        at = 0
        while at in stored:
            at += 1
    lost = box.dropped
    # One that is flying is still in the link's hands.
    if full and not box.sent:
        lost += 1
    if lost:
        event[_LOST] = lost
    try:
        box.store.set(_key(at), event)
    except (StoreFull, OSError):
        event.pop(_LOST, None)
        return -1
    box.dropped = lost
    if full:
        stored.pop(0)
        if box.sent:
            box.sent -= 1
            for entry in box.flying:
                if entry[1] == at:
                    entry[1] = -1
    stored.append(at)
    return at
