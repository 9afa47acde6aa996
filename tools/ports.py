"""Loopback ports: find a free one, and say who holds a taken one."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"


class PortTaken(OSError):
    """The wanted port is in use. ``port`` and ``holder`` (text, may be empty) say by whom."""

    def __init__(self, port: int, what: str = "the broker", option: str = "--port") -> None:
        self.port = port
        self.holder = holder(port)
        by = f" by {self.holder}" if self.holder else " by another process"
        super().__init__(
            f"port {port}, wanted for {what}, is already in use{by}. "
            f"Stop that, or choose another port with {option}."
        )


def free_port() -> int:
    """A port that was free a moment ago. Somebody may take it first: be ready to ask again."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int, address: str = LOOPBACK) -> bool:
    """Can ``port`` be listened on now? Connections in TIME_WAIT do not count as taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)  # Linux lets two bind with SO_REUSEADDR; only listening tells
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """``name (pid n)`` of the process listening on ``port``, or ``""`` where that is not visible.

    Linux only, from /proc: the listening socket's inode, then the process that has it open.
    Processes of other users are visible to root alone.
    """
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not inodes:
        return ""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        name = (process / "comm").read_text().strip()
                        return f"{name} (pid {process.name})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    """proc_pid_net(5): column 1 is local address:port in hex, 3 the state (0A = LISTEN)."""
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                field = line.split()
                if field[3] == "0A" and int(field[1].rpartition(":")[2], 16) == port:
                    found.add(field[9])
    return found
