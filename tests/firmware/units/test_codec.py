# The MQTT codec, on MicroPython and on CPython.
from ganglion import mqtt, mqtt_open


def feed(decoder, data, step):
    out = []
    at = 0
    while at < len(data):
        room = decoder.space()
        n = min(step, len(room), len(data) - at)
        room[:n] = data[at : at + n]
        decoder.filled(n)
        at += n
        while True:
            packet = decoder.next()
            if packet is None:
                break
            kind, flags, body, whole = packet
            out.append((kind, flags, bytes(body), whole))
    return out


def raises(error, function, *args):
    try:
        function(*args)
    except error:
        return
    raise AssertionError("no %s" % error)


def test_connect_bytes():
    # Byte for byte as in section 3.1 of the standard.
    packet = mqtt_open.connect("dev", "usr", "pw", 30, "w", "bye")
    assert bytes(packet) == (
        b"\x10\x20\x00\x04MQTT\x04\xee\x00\x1e\x00\x03dev\x00\x01w\x00\x03bye\x00\x03usr\x00\x02pw"
    ), packet


def test_publish_bytes():
    assert bytes(mqtt.publish("a/b", "hi", 10)) == b"\x32\x09\x00\x03a/b\x00\x0ahi"
    assert bytes(mqtt.publish("a/b", b"hi")) == b"\x30\x07\x00\x03a/bhi"
    assert bytes(mqtt.publish("a", "", 1, True)) == b"\x33\x05\x00\x01a\x00\x01"
    packet = mqtt.publish("a", "x", 65535)
    mqtt.set_dup(packet)
    assert packet[0] == 0x3A
    assert packet[5:7] == b"\xff\xff"


def test_subscribe_bytes():
    assert bytes(mqtt_open.subscribe(258, "a/+")) == b"\x82\x08\x01\x02\x00\x03a/+\x01"
    two = b"\x82\x0c\x01\x02\x00\x03a/+\x01\x00\x01b\x01"
    assert bytes(mqtt_open.subscribe(258, "a/+", "b")) == two
    assert mqtt_open.granted(b"\1\2\1\x80") and not mqtt_open.granted(b"\1\2\1\x80", 1)


def test_remaining_length_borders():
    # The values of table 2.4 in the standard.
    for n in (0, 127, 128, 16383, 16384):
        packet = mqtt.publish("t", bytes(n))
        out = feed(mqtt.Decoder(20000), packet, 777)
        assert len(out) == 1 and out[0][3]
        topic, pid, payload = mqtt.parse_publish(out[0][1], out[0][2])
        assert (topic, pid, len(payload)) == ("t", 0, n)


def test_any_split():
    data = bytes(mqtt.publish("gn/x/down/say", '{"a":1}', 7)) + b"\x40\x02\x00\x05" + b"\xd0\x00"
    whole = feed(mqtt.Decoder(4096), data, 1000)
    assert [p[0] for p in whole] == [mqtt.PUBLISH, mqtt.PUBACK, mqtt.PINGRESP]
    for step in range(1, len(data)):
        assert feed(mqtt.Decoder(4096), data, step) == whole


def test_too_big_is_skipped_and_the_next_packet_is_whole():
    big = bytes(mqtt.publish("gn/x/down/do", bytes(5000), 9))
    data = big + bytes(mqtt.publish("gn/x/down/do", "ok", 10)) + big
    for step in (1, 3, 100, 4096):
        decoder = mqtt.Decoder(4096)
        out = feed(decoder, data, step)
        assert [(p[0], p[3]) for p in out] == [(3, False), (3, True), (3, False)], out
        topic, pid, _ = mqtt.parse_publish(out[0][1], out[0][2])
        assert (topic, pid) == ("gn/x/down/do", 9)
        assert mqtt.parse_publish(out[1][1], out[1][2])[2] == b"ok"
        assert len(decoder._buf) <= 4096 + 105


def test_limit_is_exact():
    out = feed(mqtt.Decoder(4096), mqtt.publish("gn/x/down/do", bytes(4096), 1), 512)
    assert out[0][3] and len(mqtt.parse_publish(out[0][1], out[0][2])[2]) == 4096


def test_broken_packets_are_refused():
    raises(mqtt.MQTTError, feed, mqtt.Decoder(100), b"\x30\xff\xff\xff\xff\x01", 10)
    raises(mqtt.MQTTError, feed, mqtt.Decoder(100), b"\x20\xff\x7f" + bytes(300), 10)
    raises(mqtt.MQTTError, mqtt.parse_publish, 2, b"\x00\x09abc")
    raises(mqtt.MQTTError, mqtt.parse_publish, 2, b"\x00")
    raises(mqtt.MQTTError, mqtt.parse_publish, 4, b"\x00\x01a\x00\x01")
    raises(mqtt.MQTTError, mqtt.parse_publish, 2, b"\x00\x01a\x00\x00")
    raises(mqtt.MQTTError, mqtt.parse_publish, 0, b"\x00\x02\xff\xfe")
    raises(mqtt.MQTTError, mqtt.parse_pid, b"\x00")


def test_a_topic_that_is_too_long_ends_nothing():
    ok = bytes(mqtt.publish("gn/x/down/do", "ok", 10))
    for n, seen in ((90, "t"), (200, ""), (4000, "")):
        # With a payload that fits, and with one that does not.
        for payload in (b"1", bytes(5000)):
            data = bytes(mqtt.publish("t" * n, payload, 9)) + ok
            for step in (1, 97, 4096):
                out = feed(mqtt.Decoder(4096), data, step)
                topic, pid, _ = mqtt.parse_publish(out[0][1], out[0][2])
                assert (topic, pid) == (seen and "t" * n, 9), (n, topic, pid)
                assert mqtt.parse_publish(out[1][1], out[1][2])[2] == b"ok"
    # Longer than the buffer: it goes by unseen.
    data = bytes(mqtt.publish("t" * 6000, "x", 9)) + ok
    for step in (1, 97, 4096):
        out = feed(mqtt.Decoder(4096), data, step)
        assert [mqtt.parse_publish(p[1], p[2])[1] for p in out] == [10]
