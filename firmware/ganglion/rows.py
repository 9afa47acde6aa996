"""The table of rules.py from what is on flash. Loaded when a rule or a point has changed."""

import binascii
import struct

from micropython import const

from .rules import mark

_PREFIX = "r:"
_ROW = ">IBBffffIIIB"  # as rules.py has it
_ROW_BYTES = const(35)
_NO_PIN = const(255)
_RARE = const(32)
# In the order of the numbers in rules.py.
_CONDITIONS = "on off changes above below between silent arrives equals"
# What makes a rule what it is: hash to hysteresis, and `for`.
_AT_READING = const(18)
_AT_FOR = const(22)
_AT_SINCE = const(26)


def rows(store, rules, old, now):
    """`(table, does one look at a pin)`. A rule that is what it was in `old` goes on where it
    was."""
    table = bytearray()
    fast = False
    for name in store.keys(_PREFIX):
        record = store.get(_PREFIX + name)
        if record is None or record.get("off"):
            continue
        gpio = _NO_PIN
        flags = 0
        if "read" in record:
            try:
                gpio = rules.resolve(record["read"])
            except Exception as e:
                rules.event("error", {"on": "rule", "by": name, "msg": repr(e)})
                continue
            fast = True
        elif "event" in record:
            gpio = mark(record["event"])
        elif record["sensor"][0] != "adc_read":
            flags = _RARE
        at = len(table)
        table.extend(
            struct.pack(
                _ROW,
                binascii.crc32(name.encode()),
                gpio,
                _CONDITIONS.split().index(record["is"]),
                record.get("value", 0),
                record.get("to", 0),
                record.get("hyst", 0),
                0,
                int(record.get("for", 0) * 1000),
                now & 0xFFFFFFFF,
                0,
                flags,
            )
        )
        for i in range(0, len(old), _ROW_BYTES):
            if (
                old[i : i + _AT_READING] == table[at : at + _AT_READING]
                and old[i + _AT_FOR : i + _AT_SINCE] == table[at + _AT_FOR : at + _AT_SINCE]
            ):
                table[at : at + _ROW_BYTES] = old[i : i + _ROW_BYTES]
    return table, fast
