"""Rules on MQTT events: a broker, a board, and clients that may tell it something or may not."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as mqtt

from tests.e2e.rig import Board, System, wait_for

BELL = "gn/demo/down/event/bell"


@contextmanager
def client(system: System, user: str, secret: str) -> Iterator[mqtt.Client]:
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, user)
    c.username_pw_set(user, secret)
    c.reconnect_delay_set(0.1, 0.5)
    c.connect("127.0.0.1", system.broker.port)
    c.loop_start()
    try:
        wait_for(f"the login of {user}", c.is_connected)
        yield c
    finally:
        c.disconnect()
        c.loop_stop()


def tell(c: mqtt.Client, topic: str, payload: str | bytes = "", retain: bool = False) -> None:
    """At QoS 1: the broker has it when this returns."""
    c.publish(topic, payload, 1, retain).wait_for_publish(5)


def fired(system: System, by: str = "bell") -> list[dict]:
    return [e for e in system.tap.of("event") if e["kind"] == "fired" and e["by"] == by]


def rule(board: Board, level: int | str, **more: object) -> None:
    args = {"name": "bell", "event": "bell", "is": "arrives", "tool": "gpio_write"}
    receipt = board.do("rule_set", args | {"args": {"pin": 5, "value": level}} | more)
    assert "err" not in receipt, receipt


def test_who_may_tell_a_device_and_who_may_not(fresh) -> None:
    system: System = fresh()
    board = system.board()
    other = system.board("attic")
    ready = [b'"clock": true', b'"clock":true']
    wait_for("the attic", lambda: [p for t, p in list(system.tap.messages)
             if t == "gn/attic/up/status" and any(r in p for r in ready)])  # fmt: skip
    reply = system.say("when the event bell arrives turn on pin 5")
    assert "event bell arrives" in reply["reply"], reply
    assert "err" not in other.do("rule_set", {"name": "bell", "event": "bell", "is": "arrives",
                                 "tool": "gpio_write", "args": {"pin": 5, "value": 1}})  # fmt: skip
    narrow = system.broker.add_sender("narrow", ["attic"], ["bell"])
    with (
        client(system, "spare", system.broker.add("spare")) as device,
        client(system, *narrow) as stranger,
        client(system, *system.broker.add_sender("home")) as home,
    ):
        # Another device's credentials, and those of who may tell only another device.
        for c in (device, stranger):
            for topic in (BELL, "gn/all/down/event/bell"):
                tell(c, topic)
        tell(stranger, "gn/attic/down/event/fire")
        # What a sender may not either, and what is no event.
        tell(home, "gn/demo/down/do", json.dumps(board.command("h1", tool="gpio_write",
             args={"pin": 13, "value": 1})))  # fmt: skip
        tell(home, BELL + "/now")
        # The broker hands on in order: had one of those passed, it would be seen by now.
        tell(home, BELL, "22.5")
        wait_for("the pad", lambda: board.level(5) == 1, 5)
        wait_for("the event", lambda: [e for e in system.tap.of("event") if e["kind"] == "fired"])
        assert board.level(13) == 0 and other.level(5) == 0
        tell(stranger, "gn/attic/down/event/bell")
        wait_for("the other's pad", lambda: other.level(5) == 1, 5)
        # To all: each device that has a rule for it.
        board.do("gpio_write", {"pin": 5, "value": 0})
        other.do("gpio_write", {"pin": 5, "value": 0})
        tell(home, "gn/all/down/event/bell")
        wait_for("both", lambda: board.level(5) == other.level(5) == 1, 5)


def test_values_doubles_and_what_is_no_message(fresh) -> None:
    system: System = fresh()
    board = system.board()
    rule(board, "toggle", **{"is": "above"}, value=22, hyst=1)
    with client(system, *system.broker.add_sender("home")) as home:
        for payload in ("22", "22.5", '{"value": 23}', "21.5", "20", '{"value": "22.1"}'):
            tell(home, BELL, payload)
        wait_for("two runs", lambda: len(fired(system)) == 2)
        rule(board, "toggle")
        for _ in range(3):
            tell(home, BELL, '{"id": "a1"}')  # three publishes of one ring of the bell
        tell(home, BELL, '{"id": "a2"}')
        wait_for("two more", lambda: len(fired(system)) == 4)
        bad = (b"\xff\xfe", b"x" * 600, b"y" * 5000, b'{"exp": 5}')
        for raw in bad:
            tell(home, BELL, raw)
        # Names that nobody would give, with and without a payload beyond all bounds.
        for size in (120, 3000, 6000):
            for raw in (b"", b"z" * 5000):
                tell(home, "gn/demo/down/event/" + "n" * size, raw)
        tell(home, BELL)
        wait_for("one more", lambda: len(fired(system)) == 5)
        codes = [e["code"] for e in system.tap.of("event") if e["kind"] == "bad_message"]
        assert codes == ["bad_utf8", "too_big", "too_big", "expired"], codes
        assert len(fired(system)) == 5
        assert all(s["online"] for s in system.tap.of("status"))  # it never went


def test_a_retained_event_does_not_come_again_at_a_boot(fresh) -> None:
    system: System = fresh()
    board = system.board()
    rule(board, 1)
    with client(system, *system.broker.add_sender("home")) as home:
        tell(home, BELL, "1", retain=True)
        wait_for("its run", lambda: len(fired(system)) == 1)
        boot = board.boot
        board.control.call("power", on=False)
        tell(home, BELL, "2")  # nobody is there, and nobody keeps it
        board.control.call("power", on=True)
        board.online(after=boot)
        time.sleep(1)
        assert board.level(5) == 0 and len(fired(system)) == 1
        # From then on it hears them, and after the broker has gone and come back, too.
        tell(home, BELL, "3")
        wait_for("the pad", lambda: board.level(5) == 1, 5)
        board.do("gpio_write", {"pin": 5, "value": 0})
        assert system.broker.pid is not None
        os.kill(system.broker.pid, signal.SIGKILL)
        wait_for("the broker", lambda: system.broker.restarts == 1)

        def again() -> bool:
            if home.is_connected():
                home.publish(BELL, "4", 1)
            time.sleep(0.3)
            return board.level(5) == 1

        wait_for("the pad", again, 30)
