"""MQTT 3.1.1 packets to bytes and back, with no socket in sight (sans-IO).

Those that open a session are in mqtt_open.py.

Written from the OASIS standard "MQTT Version 3.1.1"; section numbers in the comments are
its own. Runs unchanged on MicroPython and CPython, so that both test it.
"""

try:
    from micropython import const
except ImportError:  # CPython

    def const(value):
        return value


CONNACK = const(2)
PUBLISH = const(3)
PUBACK = const(4)
SUBACK = const(9)
PINGRESP = const(13)

PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"

_FIRST_BUFFER = const(512)
_PIECE = const(128)  # characters, of a payload on its way into a packet
# Room beside the payload: fixed header (5), topic length (2), topic (96), packet id (2).
_HEAD_ROOM = const(105)


class MQTTError(Exception):
    """The other end broke the protocol; the connection cannot go on."""


def append_string(out, text):
    """Length and text, as section 1.5.3 has them."""
    data = text.encode() if isinstance(text, str) else text
    out.append(len(data) >> 8)
    out.append(len(data) & 255)
    out.extend(data)


def _head(kind_flags, length):
    """A fixed header, to be followed by `length` bytes (section 2.2)."""
    out = bytearray((kind_flags,))
    while True:
        digit = length & 127
        length >>= 7
        out.append(digit | 128 if length else digit)
        if not length:
            return out


def packet(kind_flags, body):
    """Any packet, from its first byte and all behind its length."""
    out = _head(kind_flags, len(body))
    out.extend(body)
    return out


def _pieces(payload):
    """The bytes of a payload, a little at a time: a heap of 96 KiB has no room for two of it."""
    for part in payload if isinstance(payload, (list, tuple)) else (payload,):
        if isinstance(part, str):
            for at in range(0, len(part), _PIECE):
                yield part[at : at + _PIECE].encode()
        elif callable(part):
            for text in part():
                yield from _pieces(text)
        else:
            yield part


def size(payload):
    """Bytes of a payload: bytes, str, or a list of them and of functions that yield them, the
    same each time they are called."""
    n = 0
    for piece in _pieces(payload):
        n += len(piece)
    return n


def publish(topic, payload, pid=0, retain=False):
    """PUBLISH; QoS 1 when `pid` (1..65535) is given, QoS 0 otherwise.

    `payload` is as in `size`. The result is one buffer, for one write: several
    small writes cost 24 to 44 ms each with Nagle's algorithm in the way.
    """
    n = size(payload)
    head = publish_head(topic, n, pid, retain)
    at = len(head)
    out = bytearray(at + n)
    out[:at] = head
    for piece in _pieces(payload):
        end = at + len(piece)
        out[at:end] = piece
        at = end
    return out


def publish_head(topic, length, pid=0, retain=False):
    """All of a PUBLISH but its payload of `length` bytes, for one too long to hold twice."""
    topic = topic.encode()
    out = _head(
        0x30 | (2 if pid else 0) | (1 if retain else 0),
        2 + len(topic) + (2 if pid else 0) + length,
    )
    append_string(out, topic)
    if pid:
        out.append(pid >> 8)
        out.append(pid & 255)
    return out


def set_dup(packet):
    """Mark a PUBLISH made by `publish` as sent before (section 3.3.1.1), in place."""
    packet[0] |= 8


def puback(pid):
    return bytes((0x40, 2, pid >> 8, pid & 255))


class Decoder:
    """Bytes in, packets out; at most `limit` bytes of payload are ever held.

    `space()` lends a writable view for `readinto`, `filled(n)` says how much came, then
    `next()` is called until it returns None. What `next()` returns points into the buffer and
    is good until the next `space()`.
    """

    def __init__(self, limit):
        self._max = limit + _HEAD_ROOM
        self._buf = bytearray(min(_FIRST_BUFFER, self._max))
        self._start = 0  # first byte not yet consumed
        self._end = 0  # first free byte
        self._skip = 0  # bytes of an oversized packet still to be thrown away

    def space(self):
        """A memoryview of at least one byte to read into."""
        if self._start:
            n = self._end - self._start
            self._buf[:n] = self._buf[self._start : self._end]
            self._start = 0
            self._end = n
        if self._end == len(self._buf):
            # Grow only: a heap that frees and takes big blocks in turn falls to pieces. A new
            # buffer, because views of the old one may still be about.
            old = self._buf
            self._buf = bytearray(min(2 * len(old), self._max))
            self._buf[: self._end] = old
        return memoryview(self._buf)[self._end :]

    def filled(self, n):
        self._end += n

    def next(self):
        """The next whole packet as `(kind, flags, body, whole)`, or None.

        `whole` is False for a PUBLISH longer than the limit: its body is cut, its topic and
        packet id are there, and the rest is thrown away as it comes.
        """
        if self._skip:
            n = min(self._skip, self._end - self._start)
            self._start += n
            self._skip -= n
            if self._skip:
                return None
        have = self._end - self._start
        if have < 2:
            return None
        buf = self._buf
        at = self._start + 1
        length = 0
        shift = 0
        while True:
            if at == self._end:
                return None
            digit = buf[at]
            at += 1
            length |= (digit & 127) << shift
            if digit < 128:
                break
            shift += 7
            if shift > 21:
                raise MQTTError("remaining length has more than four bytes")
        kind = buf[self._start] >> 4
        flags = buf[self._start] & 15
        if at - self._start + length > self._max:
            if kind != PUBLISH:
                raise MQTTError("packet of %d bytes" % length)
            # Wait until the topic and packet id are here, then let the rest go by.
            if self._end - at < 2:
                return None
            head = 2 + (buf[at] << 8 | buf[at + 1]) + 2
            if at - self._start + head > self._max:
                # Not acknowledged, for its packet id lies behind what we can hold; but whoever
                # may choose the name of an event must not be able to end the session.
                self._skip = length
                self._start = at
                return self.next()
            if self._end - at < head:
                return None
            body = memoryview(buf)[at : at + head]
            self._skip = length - head
            self._start = at + head
            return kind, flags, body, False
        if self._end - at < length:
            return None
        self._start = at + length
        return kind, flags, memoryview(buf)[at : at + length], True


def parse_publish(flags, body):
    """`(topic, packet id or 0, payload view)` of a PUBLISH body. A topic that is too long to be
    one of ours is "": who may write events chooses their names."""
    if len(body) < 2:
        raise MQTTError("short PUBLISH")
    n = (body[0] << 8 | body[1]) + 2
    qos = flags >> 1 & 3
    if qos > 1:
        raise MQTTError("PUBLISH with QoS %d" % qos)
    if len(body) < n + 2 * qos:
        raise MQTTError("short PUBLISH")
    try:
        topic = str(body[2:n], "utf-8") if n <= _HEAD_ROOM else ""
    except UnicodeError:
        raise MQTTError("topic is not UTF-8") from None
    pid = 0
    if qos:
        pid = body[n] << 8 | body[n + 1]
        n += 2
        if not pid:
            raise MQTTError("packet id 0")
    return topic, pid, body[n:]


def parse_pid(body):
    """Packet id of a PUBACK or SUBACK body."""
    if len(body) < 2:
        raise MQTTError("short acknowledgement")
    return body[0] << 8 | body[1]
