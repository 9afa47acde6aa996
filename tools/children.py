"""Child processes that never outlive us.

Three things go wrong with children of a command line tool, and each is handled here:

- *The parent is killed hard* (``kill -9``, out of memory): on Linux the kernel signals the child
  (``PR_SET_PDEATHSIG``). Elsewhere only an orderly exit ends it.
- *Ctrl-C reaches the whole foreground group*, so a child would die before its parent could stop it
  in order: each child leads a session of its own.
- *A child that ignores SIGTERM*: :func:`stop` waits, then kills.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

# Loaded before any fork: the child of a threaded process may call next to nothing safely.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _dies_with(parent: int, death_signal: int) -> Callable[[], None]:
    def arm() -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl: no signal would ever come
            os._exit(1)

    return arm


def spawn(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    stdin: IO[bytes] | int | None = subprocess.DEVNULL,
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes] | int | None = None,
    account: tuple[int, int] | None = None,
    death_signal: int = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in its own session, tied to the life of the **calling thread**.

    Linux sends ``death_signal`` when the *thread* that forked ends, not the process: call this
    from a thread that lives as long as the child should.

    ``account`` is a (uid, gid) to become first (root only). It is set before the death signal,
    since a change of user clears that.
    """
    uid, gid = account if account is not None else (None, None)
    return subprocess.Popen(
        list(command),
        cwd=cwd,
        env=env,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        user=uid,
        group=gid,
        extra_groups=[] if account is not None else None,
        start_new_session=True,
        preexec_fn=_dies_with(os.getpid(), death_signal),
    )


def stop(child: subprocess.Popen[bytes], grace_s: float = 3.0) -> int:
    """End ``child`` by its own pid, softly first. Returns its exit status; safe to repeat."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        try:
            return child.wait(grace_s)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()
