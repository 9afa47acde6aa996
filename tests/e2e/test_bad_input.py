"""Bad input gets a clear error and changes nothing."""

import json
import socket
from typing import Any

import pytest

from tests.e2e.rig import Board, System, wait_for


@pytest.fixture(autouse=True)
def nothing_changed(system: System, board: Board):
    """Pads, points and facts are after the test what they were before."""

    def state() -> Any:
        pads = {n: p["level"] for n, p in board.control.call("pads")["pads"].items()}
        facts = system.do("memory_list", {})["receipt"]
        points = system.do("gpio_read_all", {})["receipt"]
        return pads, facts, points

    before = state()
    yield
    assert state() == before
    # And the next sentence works.
    assert system.say("is pin 13 on?")["answered"]


def events(system: System, count: int) -> list[dict[str, Any]]:
    return system.tap.of("event")[count:]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{", "bad_json"),
        (b"[" * 3000, "bad_json"),
        (b"[1]", "bad_message"),
        (b"\xff\xfe{}", "bad_utf8"),
        (b"{}", "bad_message"),
        (b'{"id":"' + b"x" * 5000 + b'"}', "too_big"),
        (json.dumps({"id": "has space", "boot": 1, "exp": 1}).encode(), "bad_message"),
    ],
    ids=["not JSON", "deep", "array", "not UTF-8", "empty", "5 KiB", "bad id"],
)
@pytest.mark.parametrize("leaf", ["do", "say"])
def test_what_is_no_message(
    system: System, board: Board, leaf: str, payload: bytes, code: str
) -> None:
    count = len(system.tap.of("event"))
    system.tap.send(f"gn/demo/down/{leaf}", payload)
    wait_for("an event", lambda: events(system, count))
    event = events(system, count)[0]
    assert (event["kind"], event["on"], event["code"]) == ("bad_message", leaf, code), event


@pytest.mark.parametrize(
    ("tool", "args", "code", "words"),
    [
        ("gpio_wite", {"pin": 5, "value": 1}, "unknown_tool", "gpio_wite"),
        ("gpio_write", {"pin": 5}, "bad_args", "value is missing"),
        ("gpio_write", {"pin": 5, "value": "on"}, "bad_args", "value must be 0, 1"),
        ("gpio_write", {"pin": "5.5", "value": 1}, "unknown_point", "5.5"),
        ("gpio_write", {"pin": 5, "value": 1, "extra": 2}, "bad_args", "'extra'"),
        ("gpio_write", {"pin": 6, "value": 1}, "refused", "flash"),
        ("gpio_write", {"pin": 34, "value": 1}, "refused", "only be read"),
        ("memory_get", {"key": "nothing"}, "not_found", "nothing"),
        ("point_set", {"name": "lamp", "pin": 6}, "refused", "flash"),
        ("memory_set", {"key": "k" * 33, "value": "v"}, "bad_args", "32 bytes"),
    ],
)
def test_a_wrong_call(
    system: System, board: Board, tool: str, args: dict[str, Any], code: str, words: str
) -> None:
    receipt = board.do(tool, args)
    assert receipt["err"] == code and words in receipt["msg"], receipt


def test_the_service_names_what_is_wrong(system: System, board: Board) -> None:
    status, body = system.http("POST", "/devices/attic/say", {"text": "hi"})
    assert status == 404 and "attic" in body["error"]["msg"] and "demo" in body["error"]["msg"]
    for bad in ({}, {"text": ""}, {"text": 5}, {"text": "x" * 1100}, []):
        status, body = system.http("POST", "/devices/demo/say", bad)
        assert status in (400, 413, 422), (bad, status, body)
        assert body["error"]["msg"], body
    status, body = system.http("POST", "/devices/demo/do", {"tool": "gpio_write", "args": "x"})
    assert status in (400, 422) and body["error"]["msg"]


def test_the_command_line_names_what_is_wrong(system: System, board: Board) -> None:
    for args, words in (
        (["say", "attic", "hello"], "attic"),
        (["do", "demo", "gpio_write", "{pin:5}"], "JSON"),
        (["do", "demo", "gpio_write", "[5]"], "object"),
        (["do", "demo", "gpio_write", '{"pin": 6, "value": 1}'], "flash"),
        (["say", "demo", "x" * 1100], "1024"),
    ):
        done = system.run(*args, expect=None)
        text = done.stdout + done.stderr
        assert done.returncode != 0 and words in text and "Traceback" not in text, text


def test_a_port_that_is_taken_is_named(system: System) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home = system.home / "other"
        env_home = system.env["GANGLION_HOME"]
        system.env["GANGLION_HOME"] = str(home)
        try:
            done = system.run("serve", "--port", str(port), expect=None)
        finally:
            system.env["GANGLION_HOME"] = env_home
    text = done.stdout + done.stderr
    assert done.returncode != 0 and str(port) in text and "Traceback" not in text, text


def test_a_device_that_lies_does_not_shake_the_companion(system: System, board: Board) -> None:
    for leaf in ("ask", "reply", "status", "tools", "state", "done", "event", "cancel"):
        for payload in (b"", b"{", b"[]", b"\xff", b'{"id":5}', b'{"id":"x","new":[["z"]]}'):
            system.tap.send(f"gn/liar/up/{leaf}", payload)
        system.tap.send(f"gn/liar/up/{leaf}", b'{"id":"' + b"y" * 5000 + b'"}')
    assert system.http("GET", "/healthz")[0] == 200
    assert system.say("is pin 13 on?")["answered"]
