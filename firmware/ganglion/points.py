"""Points: names that people give to pins. Names are on flash; RAM holds four bytes of each.

A point's record is `[gpio, 1 for an output, more]`; `more` is there when something is in it:
`unit`, `scale` and `offset` (of a reading) and `group`.
"""

import json

from micropython import const

MAX_POINTS = 64
_MAX_GROUPS = const(16)  # as tool_points.py lets there be
PREFIX = "p:"

# A row: 16 bits of the name's hash, gpio, 1 for an output plus twice the level told last.
_ROW_BYTES = const(4)
_UNKNOWN = const(2)
_NEVER_TOLD = const(6)
_MAX_STATE_BYTES = const(4096)
_TAIL_BYTES = const(16)
_PIECE = const(200)


class Points:
    def __init__(self, store):
        self._store = store
        self.version = 0  # grows with each change, for `state`
        self._load()

    def _load(self):
        # Anew after each change: names change seldom, and rows stand in the store's order.
        store = self._store
        rows = bytearray(store.count(PREFIX) * _ROW_BYTES)
        at = 0
        for name, value in store.items(PREFIX):
            mark = store.mark(PREFIX + name)
            rows[at] = mark >> 8
            rows[at + 1] = mark & 255
            rows[at + 2] = value[0]
            rows[at + 3] = _NEVER_TOLD + value[1]
            at += _ROW_BYTES
        self._rows = rows
        # One point is looked up several times on the way to its pin.
        self._last = (None, None)

    def get(self, name):
        """`(gpio, output)` or None."""
        if self._last[0] != name:
            value = self._store.get(PREFIX + name)
            if value is None:
                return None
            self._last = (name, (value[0], bool(value[1])))
        return self._last[1]

    def more(self, name):
        """`unit`, `scale`, `offset`, `group`: those that are set."""
        value = self._store.get(PREFIX + name, ())
        return value[2] if len(value) > 2 else {}

    def names(self):
        return self._store.keys(PREFIX)

    def items(self):
        """`(name, [gpio, output, more?])` of each, in no order. Nothing may be set meanwhile."""
        return self._store.items(PREFIX)

    def name_of(self, gpio):
        if self._last[0] is not None and self._last[1][0] == gpio:
            return self._last[0]
        rows = self._rows
        for at in range(0, len(rows), _ROW_BYTES):
            if rows[at + 2] == gpio:
                mark = rows[at] << 8 | rows[at + 1]
                for name, value in self._store.items(PREFIX, mark):
                    if value[0] == gpio:
                        return name
        return None

    def set(self, name, gpio, output, more=None):
        """Returns the record as it stands on flash. Raises `store.StoreFull`."""
        record = [gpio, 1 if output else 0]
        if more:
            record.append(more)
        self._store.set(PREFIX + name, record)
        self._changed()
        return self.get(name)

    def delete(self, name):
        if not self._store.delete(PREFIX + name):
            return False
        self._changed()
        return True

    def _changed(self):
        self.version += 1
        self._load()

    def full(self, name):
        return self._store.count(PREFIX) >= MAX_POINTS and self.get(name) is None

    # ---- for `up/state`

    def look(self, guard):
        """Read every level; True when one is not as it was. Takes nothing of the heap."""
        rows = self._rows
        changed = False
        for at in range(0, len(rows), _ROW_BYTES):
            try:
                level = guard.read(rows[at + 2])
            except Exception:
                level = _UNKNOWN  # a name from another board's file, a limit
            if rows[at + 3] >> 1 != level:
                rows[at + 3] = rows[at + 3] & 1 | level << 1
                changed = True
        return changed

    def chunks(self):
        """The message of `up/state`, in pieces: names from flash, levels as `look` saw them."""
        rows = self._rows
        out = '{"v":%d,"points":{' % self.version
        left = _MAX_STATE_BYTES - len(out) - _TAIL_BYTES
        lead = ""
        more = at = 0
        groups = []
        for name, value in self.items():
            level = rows[at + 3] >> 1
            at += _ROW_BYTES
            group = value[2].get("group") if len(value) > 2 else None
            if group and group not in groups and len(groups) < _MAX_GROUPS:
                groups.append(group)
            item = '%s%s:{"pin":%d,"dir":"%s","level":%s}' % (
                lead,
                json.dumps(name),
                value[0],
                "out" if value[1] else "in",
                "null" if level >= _UNKNOWN else level,
            )
            n = len(item.encode())
            if n > left:
                more += 1
                continue
            left -= n
            lead = ","
            out += item
            if len(out) > _PIECE:
                yield out
                out = ""
        out += "}"
        if more:
            out += ',"more":%d' % more
        # People say them; those that have no room are found by the names of their points.
        lead = ',"groups":['
        for group in groups:
            item = lead + json.dumps(group)
            left -= len(item.encode())
            if left < 0:
                break
            lead = ","
            out += item
        yield out + ("]}" if lead == "," else "}")
