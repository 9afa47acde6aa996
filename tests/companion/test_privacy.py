"""What is private stays in the house: watched at every socket of a real companion."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.companion.conftest import Broker
from tests.companion.crowd import Crowd, crowd
from tests.companion.scripted_upstream import ScriptedUpstream
from tests.companion.serving import Serving, serving
from tests.companion.watched import AWAY

SECRET = "what did the doctor tell me about the blue pills"
OPEN = "what is the tallest mountain"

# The cloud is the better choice by every measure but privacy.
CONFIG = """
[[backend]]
name = "house"
url = "{house}"
model = "small"
tier = "edge"
quality = 10
typical_ms = 9000

[[backend]]
name = "cloud"
url = "{cloud}"
model = "large"
tier = "premium"
house = false
quality = 99
typical_ms = 100
free = true
"""
PRIVATE = '[router]\npolicy = "private"\n'
MIXED = """
[router]
policy = "best"

[[router.rule]]
devices = ["bedroom"]
policy = "private"
"""


class Cloud:
    """A listener that takes connections, keeps what is said, and answers nothing."""

    def __init__(self, address: str) -> None:
        self.connections = 0
        self.heard = b""
        self._listener = socket.create_server((address, 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._listener.fileno() < 0 or self._closing:
                connection.close()
                return
            self.connections += 1
            with connection:
                connection.settimeout(5)
                self.heard += connection.recv(65536)

    _closing = False

    def close(self) -> None:
        self._closing = True
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()


@pytest.fixture
def house() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(params=["127.0.0.1"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    listener = Cloud(request.param)
    yield listener
    listener.close()


away = pytest.mark.parametrize("cloud", [AWAY], indirect=True)


def watched(tmp_path: Path) -> tuple[Path, tuple[str, ...]]:
    """Where it is written what was connected to, and the launcher that writes it."""
    seen = tmp_path / "seen.txt"
    return seen, (str(Path(__file__).with_name("watched.py")), str(seen))


def hosts(seen: Path) -> set[str]:
    return {line.split(maxsplit=1)[1] for line in seen.read_text().splitlines()}


async def answered(boards: Crowd, house: ScriptedUpstream, device: str, ask: str) -> None:
    house.script([{"text": "It is two a day."}])
    answer = await boards.ask(device, ask, SECRET, ms=8000)
    assert (answer.get("say"), answer.get("by")) == ("It is two a day.", "edge/house"), answer


async def refused(boards: Crowd, house: ScriptedUpstream, device: str, asks: list[str]) -> None:
    """While the model of the house fails, and while it is left alone for that."""
    house.script([{"status": 500}] * 3)
    for ask in asks:
        refusal = await boards.ask(device, ask, SECRET, ms=8000)
        assert refusal["err"]["code"] == "no_answer"


@away
async def test_a_private_house_connects_to_nothing_outside(
    broker: Broker, house: ScriptedUpstream, cloud: Cloud, tmp_path: Path
) -> None:
    config = CONFIG.format(house=house.url, cloud=f"http://cloud.example:{cloud.port}/v1")
    seen, launcher = watched(tmp_path)
    with serving(tmp_path / "home", broker.url, config + PRIVATE, launcher):
        async with crowd(broker.url, ["priv1"]) as boards:
            await answered(boards, house, "priv1", "k0.1")
            # A requester's wish narrows what is allowed and never widens it.
            wishes = ["k1.1", "k2.1", "b_k3.1", "f_k4.1", "k5.1"]
            await refused(boards, house, "priv1", wishes)
    # To its end: nothing that it does when it starts or stops goes out either.
    assert hosts(seen) == {"127.0.0.1"}
    assert cloud.connections == 0


@away
async def test_in_an_open_house_only_what_is_not_private_leaves(
    broker: Broker, house: ScriptedUpstream, cloud: Cloud, tmp_path: Path
) -> None:
    config = CONFIG.format(house=house.url, cloud=f"http://cloud.example:{cloud.port}/v1")
    seen, launcher = watched(tmp_path)
    with serving(tmp_path / "home", broker.url, config + MIXED, launcher):
        async with crowd(broker.url, ["bedroom", "hall"]) as boards:
            await answered(boards, house, "bedroom", "k0.1")
            await answered(boards, house, "hall", "p_k0.1")
            await refused(boards, house, "bedroom", ["k1.1", "k2.1", "k3.1", "k4.1"])
            await refused(boards, house, "hall", ["p_k1.1", "p_k2.1"])
            await boards.ask("hall", "k7.1", OPEN, ms=8000)
    # The same watch sees what does leave, or it would be blind.
    assert hosts(seen) == {"127.0.0.1", AWAY, "cloud.example"}
    assert OPEN.encode() in cloud.heard
    assert SECRET.encode() not in cloud.heard


async def test_as_it_is_shipped_a_private_house_has_local_peers_only(
    broker: Broker, house: ScriptedUpstream, cloud: Cloud, tmp_path: Path
) -> None:
    """On uvloop, with the operating system as the witness of where its sockets lead."""
    config = CONFIG.format(house=house.url, cloud=f"http://127.0.0.1:{cloud.port}/v1")
    with serving(tmp_path / "home", broker.url, config + PRIVATE) as companion:
        async with crowd(broker.url, ["priv1"]) as boards:
            await answered(boards, house, "priv1", "k0.1")
            await refused(boards, house, "priv1", ["k1.1", "k2.1", "k3.1", "k4.1"])
            peers = peers_of(companion)
    model = int(re.findall(r":(\d+)/", house.url)[0])
    assert peers == {("127.0.0.1", broker.port), ("127.0.0.1", model)}
    assert cloud.connections == 0


def peers_of(companion: Serving) -> set[tuple[str, int]]:
    """Whom the process has connected to and not hung up on; proc_pid_net(5)."""
    pid = companion.process.pid
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        found = re.fullmatch(r"socket:\[(\d+)\]", str(fd.readlink()))
        inodes |= {found[1]} if found else set()
    peers = set()
    for table, width in (("tcp", 8), ("tcp6", 32), ("udp", 8), ("udp6", 32)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[2].split(":")
            if fields[9] in inodes and int(port, 16):
                raw = bytes.fromhex(address)
                words = [raw[i : i + 4][::-1] for i in range(0, width // 2, 4)]
                family = socket.AF_INET if width == 8 else socket.AF_INET6
                peers.add((socket.inet_ntop(family, b"".join(words)), int(port, 16)))
    return peers
