"""The MQTT packets that open a session, to bytes and back; the rest is in mqtt.py."""

from .mqtt import MQTTError, append_string, packet

# CONNACK return codes, section 3.2.2.3.
_REFUSED = (
    "",
    "the broker does not speak MQTT 3.1.1",
    "the broker refused the client id",
    "the broker is unavailable",
    "wrong user name or password",
    "not authorised",
)


def connect(client_id, user, password, keepalive_s, will_topic, will_payload):
    """CONNECT with a clean session and a retained QoS 1 will; returns a bytearray."""
    body = bytearray(b"\x00\x04MQTT\x04")
    # user name, password, will retain, will QoS 1, will, clean session: section 3.1.2.3
    body.append(0x80 | 0x40 | 0x20 | 0x08 | 0x04 | 0x02)
    body.append(keepalive_s >> 8)
    body.append(keepalive_s & 255)
    for text in (client_id, will_topic, will_payload, user, password):
        append_string(body, text)
    return packet(0x10, body)


def subscribe(pid, *filters):
    """SUBSCRIBE to topic filters at QoS 1."""
    body = bytearray((pid >> 8, pid & 255))
    for topic in filters:
        append_string(body, topic)
        body.append(1)
    return packet(0x82, body)


def accepted(body, pid, prefix):
    """What a CONNACK says: `(SUBSCRIBE to send, "", False)` when accepted, else None, why, and
    whether it will last."""
    if len(body) < 2:
        raise MQTTError("short CONNACK")
    code = body[1]
    if code:
        why = _REFUSED[code] if code < len(_REFUSED) else "code %d" % code
        return None, "refused: " + why, code in (2, 4, 5)
    event = "/down/event/+"
    return subscribe(pid, prefix + "/down/+", prefix + event, "gn/all" + event), "", False


def subscribed(body, log):
    """Takes a SUBACK. Raises MQTTError where the broker does not grant what a device lives on."""
    if not granted(body):
        raise MQTTError("the broker refused the subscription")
    # Without events everything else goes on, so that a broker of one's own need not have them.
    if not granted(body, 1):
        log("the broker refuses events: see docs/automation.md")


def granted(body, n=0):
    """Whether a SUBACK grants the filter `n`."""
    return len(body) > 2 + n and body[2 + n] <= 2
