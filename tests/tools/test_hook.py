"""Logins at a broker of one's own, by a command: here one that writes down what it was told."""

import json
import stat
from pathlib import Path

import pytest

from tests.tools.system import Serving, ganglion
from tools.broker import EmbeddedBroker
from tools.client import Refused
from tools.hook import CommandLogins


@pytest.fixture
def logins(tmp_path: Path) -> CommandLogins:
    return CommandLogins("sh -c 'cat >> told'", tmp_path / "logins.json")


def told(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "told").read_text().splitlines()]


def test_it_is_told_who_comes_and_who_goes(logins: CommandLogins, tmp_path: Path) -> None:
    secret = logins.add("kitchen")
    logins.admit("kitchen", "a secret that a board has")
    user, other = logins.add_sender("bell", ["kitchen"], ["bell"])
    assert logins.known("kitchen") and logins.senders() == {"bell": ("gn/kitchen/down/event/bell",)}
    logins.remove("kitchen")
    logins.remove("kitchen")  # known to nobody: nothing to tell
    assert not logins.known("kitchen")
    assert told(tmp_path) == [
        {"action": "add", "user": "kitchen", "secret": secret, "write": ["gn/kitchen/up/#"],
         "read": ["gn/kitchen/down/#", "gn/all/down/event/+"]},
        {"action": "add", "user": "kitchen", "secret": "a secret that a board has",
         "write": ["gn/kitchen/up/#"], "read": ["gn/kitchen/down/#", "gn/all/down/event/+"]},
        {"action": "add", "user": user, "secret": other, "write": ["gn/kitchen/down/event/bell"],
         "read": []},
        {"action": "remove", "user": "kitchen"},
    ]  # fmt: skip
    kept = tmp_path / "logins.json"
    assert secret not in kept.read_text() and stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("command", ["sh -c 'cat >&2; exit 3'", "sh -c false", "/no/such"])
def test_a_command_that_fails_lets_nobody_in(tmp_path: Path, command: str) -> None:
    logins = CommandLogins(command, tmp_path / "logins.json")
    with pytest.raises(OSError, match=r"broker.register .* could not add kitchen") as error:
        logins.add("kitchen")
    # It quotes what the command said, which may be all that it was told.
    assert "***" in str(error.value) or "cat" not in command
    assert not logins.known("kitchen")
    with pytest.raises(ValueError, match="device id"):
        logins.add("Kitchen")


def test_a_companion_at_a_broker_of_ones_own(home: Path, broker: EmbeddedBroker) -> None:
    """The broker is a mosquitto that the companion does not manage."""
    user, password = broker.add_service("companion")
    own = home / "own"
    own.mkdir()
    (own / "ganglion.toml").write_text("[broker]\nregister = \"sh -c 'cat >> told'\"\n")
    url = f"mqtt://{user}:{password}@{broker.host}:{broker.port}"
    serving = Serving(own, "--broker", url)
    try:
        secret = serving.client.register("kitchen")["secret"]
        with pytest.raises(Refused, match="is known"):
            serving.client.register("kitchen")
        serving.client.remove_device("kitchen")
        with pytest.raises(Refused, match="has no login"):
            serving.client.remove_device("kitchen")
    finally:
        assert serving.stop() == 0
    first, last = told(own)
    assert first["secret"] == secret and last == {"action": "remove", "user": "kitchen"}


def test_plain_mqtt_on_a_network_is_refused_unless_it_is_meant(home: Path) -> None:
    result = ganglion("serve", "--broker", "mqtt://u:secret@192.0.2.9", home=home)
    assert result.returncode == 2 and "--insecure" in result.stderr
    assert "secret@" not in result.stderr and "mqtts://" in result.stderr
    (home / "ganglion.toml").write_text('[broker]\nurl = "mqtt://192.0.2.9"\n')
    assert "--insecure" in ganglion("serve", home=home).stderr
