"""The embedded broker: a real mosquitto, real clients."""

from __future__ import annotations

import os
import queue
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools import ports
from tools.accounts import matches, password_line
from tools.broker import BrokerError, EmbeddedBroker
from tools.ports import PortTaken

Clients = Callable[..., Any]
REFUSED = 135  # paho's name for CONNACK 5, "not authorized"


def wait_for(what: Callable[[], object], timeout_s: float = 5.0) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


# -- logins --------------------------------------------------------------------------------


def test_login(broker: EmbeddedBroker, client: Clients) -> None:
    secret = broker.add("kitchen")
    assert client(broker, "kitchen", secret).code() == 0
    assert broker.devices() == {"kitchen"} and broker.known("kitchen")


@pytest.mark.parametrize("user, secret", [("kitchen", "wrong"), ("kitchen", ""), ("ghost", "x")])
def test_login_refused(broker: EmbeddedBroker, client: Clients, user: str, secret: str) -> None:
    broker.add("kitchen")
    assert client(broker, user, secret).code() == REFUSED


@pytest.mark.parametrize(
    "device", ["", "all", "a" * 33, "Kitchen", "a/b", "+", "a:b", "a\nb", "_x:"]
)
def test_bad_ids(broker: EmbeddedBroker, device: str) -> None:
    with pytest.raises(ValueError, match="is not a device id"):
        broker.add(device)


# -- topics: also test_access.py -----------------------------------------------------------


def test_services_share_asks_and_hear_everything(broker: EmbeddedBroker, client: Clients) -> None:
    workers = [client(broker, *broker.add_service(name)) for name in ("one", "two")]
    for worker in workers:
        assert worker.code() == 0
        worker.hears("$share/companions/gn/+/up/ask").hears("gn/+/up/cancel")
    device = client(broker, "mine", broker.add("mine"))
    for n in range(4):
        device.says("gn/mine/up/ask", str(n))
    device.says("gn/mine/up/cancel", "c")
    asks = []
    for worker in workers:
        while (got := worker.next())[0] != "gn/mine/up/cancel":
            asks.append(got[1])
    assert sorted(asks) == [b"0", b"1", b"2", b"3"]
    assert all(worker.losses.empty() for worker in workers)


# -- changes while it runs -----------------------------------------------------------------


def test_a_renewed_secret_voids_the_old_and_drops_its_holder(
    broker: EmbeddedBroker, client: Clients
) -> None:
    old = broker.add("kitchen")
    holder = client(broker, "kitchen", old)
    assert holder.code() == 0
    new = broker.rotate("kitchen")
    holder.losses.get(timeout=5)
    assert holder.code() == REFUSED  # it tries again with what it has
    assert client(broker, "kitchen", new).code() == 0
    assert broker.is_valid("kitchen", new) and not broker.is_valid("kitchen", old)


def test_a_removed_device_is_dropped_and_others_stay(
    broker: EmbeddedBroker, client: Clients
) -> None:
    gone, stays = (client(broker, name, broker.add(name)) for name in ("gone", "stays"))
    assert gone.code() == stays.code() == 0
    broker.remove("gone")
    broker.remove("gone")
    assert not broker.known("gone")
    gone.losses.get(timeout=5)
    assert gone.code() == REFUSED
    stays.hears("gn/stays/down/say")  # answered: still connected
    assert stays.losses.empty()


def test_secrets_are_long_and_only_hashes_are_kept(broker: EmbeddedBroker) -> None:
    secrets = {broker.add("kitchen") for _ in range(4)}
    assert len(secrets) == 4 and all(len(secret) >= 22 for secret in secrets)  # 22 x 6 >= 128 bit
    kept = "".join(path.read_text() for path in broker.folder.iterdir() if path.suffix != ".log")
    assert not any(secret in kept for secret in secrets)
    assert stat.S_IMODE((broker.folder / "passwords").stat().st_mode) == 0o600
    assert not list(broker.folder.glob(".*"))  # no half-written file stays


def test_devices_survive_a_new_start_and_services_do_not(
    home: Path, mosquitto: list[str], client: Clients
) -> None:
    with EmbeddedBroker(home / "broker", command=mosquitto) as first:
        secret = first.add("kitchen")
        service = first.add_service("companion")
        port = first.port
    with EmbeddedBroker(home / "broker", command=mosquitto) as second:
        assert second.devices() == {"kitchen"}
        assert second.port == port  # boards that still run look there
        assert client(second, "kitchen", secret).code() == 0
        assert client(second, *service).code() == REFUSED


def test_password_format_is_mosquittos_own() -> None:
    """The line is what `mosquitto_passwd -b file u secret` of 2.0.11 wrote."""
    theirs = (
        "u:$7$101$iCIF6JVeACQjIvzA$hwVCehxcn4aEC7b1tSggk+zASwB71GYyKfe1Sl1kBM5hkR2/xuWgnEMj1e/"
        "L0ee+GhbXXdssvJs2NpHfqVdSFA=="
    )
    assert matches(theirs, "secret") and not matches(theirs, "Secret")
    assert password_line("u", "secret", b64decode("iCIF6JVeACQjIvzA")) == theirs


# -- faults --------------------------------------------------------------------------------


def test_killed_mosquitto_comes_back_on_its_port(broker: EmbeddedBroker, client: Clients) -> None:
    device = client(broker, "kitchen", broker.add("kitchen"))
    assert device.code() == 0
    for round_ in (1, 2):
        port, pid = broker.port, broker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        device.losses.get(timeout=5)
        assert device.code() == 0
        assert (broker.port, broker.restarts) == (port, round_)
        assert broker.pid not in (None, pid)
    device.hears("gn/kitchen/down/say")


def test_a_change_while_mosquitto_is_down_counts(broker: EmbeddedBroker, client: Clients) -> None:
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    secret = broker.add("kitchen")
    wait_for(lambda: broker.restarts == 1)
    assert client(broker, "kitchen", secret).code() == 0


def test_a_taken_port_is_named_with_its_holder(home: Path, mosquitto: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as error:
            EmbeddedBroker(home / "broker", port=port, command=mosquitto).start()
    assert f"port {port}" in str(error.value) and "--port" in str(error.value)
    assert f"(pid {os.getpid()})" in str(error.value)


def test_a_given_port_is_used(home: Path, mosquitto: list[str]) -> None:
    port = ports.free_port()
    with EmbeddedBroker(home / "broker", port=port, command=mosquitto) as broker:
        assert broker.port == port


def test_losing_the_race_for_a_free_port_tries_another(
    home: Path, mosquitto: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        offered = iter([other.getsockname()[1], ports.free_port()])
        monkeypatch.setattr(ports, "free_port", lambda: next(offered))
        with EmbeddedBroker(home / "broker", command=mosquitto) as broker:
            assert broker.port != other.getsockname()[1]


def test_a_mosquitto_that_cannot_start_says_why(home: Path) -> None:
    broker = EmbeddedBroker(home / "broker", command=["/bin/sh", "-c", "echo Error: no; exit 3"])
    with pytest.raises(BrokerError, match="Error: no"):
        broker.start()
    assert broker.pid is None
    broker.stop()


def test_stop_is_final_and_repeatable(home: Path, mosquitto: list[str]) -> None:
    broker = EmbeddedBroker(home / "broker", command=mosquitto)
    broker.start()
    pid = broker.pid
    assert pid is not None
    broker.stop()
    broker.stop()
    assert not alive(pid) and broker.pid is None and broker.restarts == 0


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_mosquitto_ends_with_a_parent_killed_hard(home: Path, mosquitto: list[str]) -> None:
    program = textwrap.dedent(f"""
        import pathlib, time
        from tools.broker import EmbeddedBroker
        broker = EmbeddedBroker(pathlib.Path({str(home)!r}) / "broker", command={mosquitto!r})
        broker.start()
        print(broker.pid, flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    wait_for(lambda: not alive(pid))


@pytest.mark.skipif(os.geteuid() != 0, reason="root only")
def test_root_is_given_up_where_the_folder_allows_it(
    home: Path, mosquitto: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with EmbeddedBroker(home / "broker", command=mosquitto) as broker:
        assert Path(f"/proc/{broker.pid}").stat().st_uid != 0
        broker.add("kitchen")
    closed = tmp_path_factory.mktemp("closed")
    closed.chmod(0o700)
    with EmbeddedBroker(closed / "broker", command=mosquitto) as broker:
        broker.add("kitchen")  # cannot be entered by others: it keeps root, and works


def test_many_changes_at_once(broker: EmbeddedBroker, client: Clients) -> None:
    made: queue.Queue[tuple[str, str]] = queue.Queue()

    def register(n: int) -> None:
        made.put((f"d{n}", broker.add(f"d{n}")))

    threads = [threading.Thread(target=register, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(broker.devices()) == 20
    while not made.empty():
        assert broker.is_valid(*made.get())


# -- senders of events ---------------------------------------------------------------------


def test_a_sender_may_write_events_and_nothing_else(
    broker: EmbeddedBroker, client: Clients
) -> None:
    kitchen, attic = (client(broker, name, broker.add(name)) for name in ("kitchen", "attic"))
    for device in (kitchen, attic):
        device.hears("gn/+/down/#").hears("gn/all/down/event/+")
    home = client(broker, *broker.add_sender("home"))
    assert home.code() == 0
    home.hears("#")
    for topic in ("gn/kitchen/down/do", "gn/kitchen/up/event", "gn/kitchen/down/event", "x",
                  "gn/kitchen/down/event/a/b", "gn/all/down/say"):  # fmt: skip
        home.says(topic, "forged")
    home.says("gn/kitchen/down/event/bell", "1")
    assert kitchen.next() == ("gn/kitchen/down/event/bell", b"1")
    home.says("gn/all/down/event/bell", "2")
    for device in (kitchen, attic):
        assert device.next() == ("gn/all/down/event/bell", b"2")
    # A device is no sender, neither to another nor to all.
    attic.says("gn/kitchen/down/event/bell", "forged")
    attic.says("gn/all/down/event/bell", "forged")
    attic.says("gn/attic/down/event/bell", "forged")
    bell = client(broker, *broker.add_sender("bell", ["attic"], ["bell", "knock"]))
    bell.says("gn/kitchen/down/event/bell", "forged")
    bell.says("gn/all/down/event/bell", "forged")
    bell.says("gn/attic/down/event/fire", "forged")
    bell.says("gn/attic/down/event/knock", "3")
    assert attic.next() == ("gn/attic/down/event/knock", b"3")
    assert kitchen.heard.empty() and attic.heard.empty() and home.heard.empty()


def test_senders_stay_until_they_are_removed(
    home: Path, mosquitto: list[str], client: Clients
) -> None:
    with EmbeddedBroker(home / "broker", command=mosquitto) as first:
        secret = first.add("kitchen")
        user, old = first.add_sender("bell", ["kitchen", "all"], ["bell"])
        topics = ("gn/all/down/event/bell", "gn/kitchen/down/event/bell")
        assert first.senders() == {"bell": topics}
    with EmbeddedBroker(home / "broker", command=mosquitto) as second:
        assert second.senders() == {"bell": topics} and second.devices() == {"kitchen"}
        kitchen = client(second, "kitchen", secret).hears("gn/+/down/#")
        sender = client(second, user, old)
        sender.says("gn/kitchen/down/event/fire", "forged")
        sender.says("gn/all/down/event/bell", "1")
        assert kitchen.next() == ("gn/all/down/event/bell", b"1")
        second.remove_sender("bell")
        sender.losses.get(timeout=5)
        assert second.senders() == {} and client(second, user, old).code() == REFUSED
        assert "warning" not in (home / "broker" / "mosquitto.log").read_text().lower()


@pytest.mark.parametrize(
    "name, devices, events",
    [("Home", [], []), ("", [], []), ("a" * 32, [], []), ("a\nb", [], []), ("@a", [], []),
     ("a", ["Kitchen"], []), ("a", ["+"], []), ("a", [], ["a/b"]), ("a", [], ["#"]),
     ("a", [], ["front door"]), ("a", [], ["Bell"]), ("a", [], ["x\ny"]), ("a", [], ["é" * 13]),
     ("a", [], [f"e{n}" for n in range(65)])],
)  # fmt: skip
def test_what_is_no_sender(
    broker: EmbeddedBroker, name: str, devices: list[str], events: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"sender|device id|event"):
        broker.add_sender(name, devices, events)
    assert broker.senders() == {}
