"""TLS on the chip: what a handshake takes, and whom the board does not trust."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from hil_tests.events import caught_up, in_order, runs
from tools.broker import EmbeddedBroker
from tools.certificates import Authority, broker_certificate
from tools.hil.bench import DEVICE, Bench, Faults
from tools.hil.board import Board
from tools.hil.plugin import Recorder
from tools.listeners import Lan
from tools.ports import LOOPBACK, free_port

# The link gives a session up that is not there by then (docs/limits.md has the back-off before).
CONNECT_S = 10
BACK_S = 30 * 1.25 + CONNECT_S
HEAP_MIN_BYTES = 4096


def dialled_s(faults: Faults, since_s: float) -> float:
    """When the board's last connection since then came to the proxy (`time.monotonic`)."""
    dialled = [at_s for at_s, text in faults.proxy.log if at_s >= since_s and " from " in text]
    assert dialled, faults.proxy.log[-10:]
    return dialled[-1]


def test_handshakes(board: Board, faults: Faults, record: Recorder) -> None:
    """Five handshakes: how long each takes, and what is left of the heap at its end"""
    took_s, free = [], []
    for n in range(5):
        at_s = time.monotonic()
        if n == 0:
            board.reset()
        else:
            faults.reset()
            faults.clear()
            board.online(since_s=at_s, seconds=BACK_S)
        status = board.wire.of("status", at_s, online=True)[0]
        took_s.append(status.at_s - dialled_s(faults, at_s))
        free.append(float(status.body["heap"]))
        # And what else it says at its beginning is there, before the next.
        assert board.sessions == n + 1
    record.figure("handshake and login", "s", took_s, limit=CONNECT_S)
    record.figure("heap free after it", "B", free, better="higher", limit=HEAP_MIN_BYTES)


def issued(authority: Authority, name: str, began: datetime) -> str:
    """A certificate of that authority for its broker's own key, good for ten days."""
    key = load_pem_private_key(authority.broker_key.read_bytes(), None)
    ca_key = load_pem_private_key((authority.folder / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(authority.ca_pem.read_bytes())
    made = broker_certificate(key, [name], issuer, ca_key, now=began, days=10)
    return made.public_bytes(Encoding.PEM).decode()


@contextlib.contextmanager
def impostors(bench: Bench, folder: Path) -> Iterator[dict[str, EmbeddedBroker]]:
    """Three brokers that the board must not trust, by what is wrong with them."""
    now, ours = datetime.now(UTC), bench.authority
    host = ours.certificate().names[0]
    other = Authority(folder / "other")
    other.make([host])
    wrong = {
        "another authority": (other.broker_pem.read_text(), other),
        "another name": (issued(ours, "elsewhere.test", now), ours),
        "expired": (issued(ours, host, now - timedelta(20)), ours),
    }
    with contextlib.ExitStack() as stack:
        made = {}
        for what, (certificate, authority) in wrong.items():
            lan = Lan(free_port(), certificate, authority.broker_key.read_text(), address=LOOPBACK)
            # Below the bench's folder: pytest's own are closed to an unprivileged broker.
            at = bench.folder / what.replace(" ", "-")
            made[what] = stack.enter_context(EmbeddedBroker(at, lan=lan))
            made[what].add(DEVICE)
        yield made


@pytest.mark.long
def test_whom_it_does_not_trust_it_tells_nothing(
    board: Board, faults: Faults, bench: Bench, record: Recorder, tmp_path: Path
) -> None:
    """A broker whose certificate is not right, or that has none, hears nothing of the board"""
    boot = board.reset()
    board.do("schedule_set", name="beat", when="every 1 s", tool="get_time", args={})
    at_s = time.monotonic()
    board.wait_event("fired", since_s=at_s, by="beat")
    with impostors(bench, tmp_path) as brokers:
        for what, broker in brokers.items():
            assert broker.lan is not None
            position = board.line.position
            faults.retarget(LOOPBACK, broker.lan.port)
            board.line.wait("TLS: ", BACK_S, position)
            position = board.line.position
            board.line.type("status\r")
            board.line.wait("TLS: ", 10, position)  # its console lives, and knows it, too
            log = (broker.folder / "mosquitto.log").read_text()
            assert f"on port {broker.lan.port}" in log, f"{what}: it never came: {log}"
            assert DEVICE not in log, f"{what}: it told who it is: {log}"
        accepted = faults.proxy.accepted
        faults.retarget(LOOPBACK, bench.broker.port)  # ours, but where nothing is encrypted
        until_s = time.monotonic() + BACK_S
        while faults.proxy.accepted == accepted or faults.proxy.connections:
            assert time.monotonic() < until_s, faults.proxy.log[-10:]
            time.sleep(0.02)
    back_s = time.monotonic()
    faults.clear()
    board.online(since_s=back_s, seconds=BACK_S)
    came_s = board.wire.of("status", back_s, online=True)[0].at_s
    record.figure("back", "s", came_s - back_s, limit=BACK_S)
    caught_up(board)
    assert board.boot == boot
    assert board.sessions == 2, "it logged in where it must not"
    assert f"as {DEVICE} (" in (bench.broker.folder / "mosquitto.log").read_text()
    meanwhile = runs(in_order(board.wire.of("event", at_s), boot), "beat")
    assert len(meanwhile) >= 3, meanwhile
