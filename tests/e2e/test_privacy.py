"""What is private opens no connection to the world outside: a whole companion, each socket of it
watched from inside, by Python's audit events."""

import json
from pathlib import Path

import pytest

from tests.companion.scripted_upstream import ScriptedUpstream
from tests.e2e.rig import wait_for

# uvloop connects below Python, where no event is raised; so the watched one runs without it.
WATCH = """
import asyncio, json, os, sys, types
sys.modules["uvloop"] = types.SimpleNamespace(run=asyncio.run)
EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname")
def hear(event, args):
    if event in EVENTS and "serve" in getattr(sys, "argv", ()):
        address = args[0] if "host" in event or "info" in event else args[1]
        if isinstance(address, tuple):
            address = address[0]
        with open(os.environ["WATCHED"], "a") as out:
            print(json.dumps([event, os.fsdecode(address) if address else ""]), file=out)
sys.addaudithook(hear)
"""

CLOUDS = """
[router]
policy = "POLICY"

[[backend]]
name = "far"
url = "https://far.invalid/v1"
model = "m"
tier = "premium"
quality = 95
input_usd_per_mtok = 1
output_usd_per_mtok = 2

[[backend]]
name = "near"
url = "http://near.invalid/v1"
model = "m"
tier = "commodity"
input_usd_per_mtok = 1
output_usd_per_mtok = 2

[[backend]]
name = "house"
url = "URL"
model = "m"
tier = "edge"
"""


@pytest.mark.parametrize("policy", ["private", "best"])
def test_every_socket_of_a_companion_is_watched(
    fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    watch, heard = tmp_path / "watch", tmp_path / "heard"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    monkeypatch.setenv("PYTHONPATH", str(watch))
    monkeypatch.setenv("WATCHED", str(heard))
    with ScriptedUpstream() as upstream:
        faults = [{"text": "from home"}, {"status": 500}, {"cut": True}, {"calls": [("no", {})]}]
        upstream.script(faults + [{"text": "from home"}] * 10)
        system = fresh(CLOUDS.replace("URL", upstream.url).replace("POLICY", policy))
        monkeypatch.delenv("PYTHONPATH")
        system.board()
        backends = [system.say("sing me a song").get("backend") for _ in faults]
        assert backends[0] == "house"
        assert len(upstream.requests) >= len(faults)
        # Nor after the file was read again, which opens connections anew.
        toml = system.home / "ganglion.toml"
        toml.write_text(toml.read_text() + "\n[limits]\nconcurrent_asks = 9\n")
        wait_for("the reload", lambda: "was read again" in system.companion.text())
        assert system.say("sing me a song")["backend"] in ("house", None)
    events = [json.loads(line) for line in heard.read_text().splitlines()]
    hosts = {host for _, host in events}
    assert "127.0.0.1" in hosts, events
    outside = hosts - {"127.0.0.1", "localhost", "::1", ""}
    if policy == "private":
        assert outside == set()
    else:
        # The watch sees what there is to see.
        assert outside >= {"far.invalid", "near.invalid"}
