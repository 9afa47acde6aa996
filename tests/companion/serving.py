"""A companion as a house runs it: ``ganglion serve`` in a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

START_S = 30.0


class Serving:
    """The process. ``folder`` holds its state, its ``companion.db`` and its log."""

    def __init__(
        self,
        folder: Path,
        broker_url: str,
        config: str,
        launcher: Sequence[str] = ("-m", "tools.cli"),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """``launcher``: what runs the command line, after the interpreter's name."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._log = folder / "log.txt"
        file = folder / "ganglion.toml"
        file.write_text(config)
        command = [sys.executable, *launcher, "serve", "--home", str(folder)]
        command += ["--broker", broker_url, "--config", str(file)]
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, env={**os.environ, **(env or {})}
            )

    def ready(self) -> None:
        """Returns when it listens at the broker."""
        until = time.monotonic() + START_S
        while not self._listens():
            alive = self.process.poll() is None
            assert alive and time.monotonic() < until, f"it did not start:\n{self.log()}"
            time.sleep(0.05)

    def _listens(self) -> bool:
        try:
            url = json.loads((self.folder / "run.json").read_text())["url"]
            with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError, KeyError, urllib.error.HTTPError):
            return False

    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """As a crash or a power cut would end it."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """In order."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"it did not stop:\n{self.log()}") from None


@contextlib.contextmanager
def serving(
    folder: Path,
    broker_url: str,
    config: str,
    launcher: Sequence[str] = ("-m", "tools.cli"),
    env: Mapping[str, str] | None = None,
) -> Iterator[Serving]:
    """One that is ready; ended after."""
    companion = Serving(folder, broker_url, config, launcher, env)
    try:
        companion.ready()
        yield companion
    finally:
        companion.stop()
