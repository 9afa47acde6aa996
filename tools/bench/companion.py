"""The companion under simulated devices, beside a bare echo on the same link and broker."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import uvloop

from tools.bench import load
from tools.bench.report import Figures, percentile
from tools.broker import EmbeddedBroker
from tools.paths import FIRMWARE, ROOT
from tools.problem import Problem
from tools.specs import messages, read

DEVICES = (1, 100, 1000)
SECONDS = 5.0


@contextmanager
def worker(
    command: list[str],
    ready: Callable[[], object],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    start_s: float = 30.0,
) -> Iterator[psutil.Process]:
    """A process under load, from when `ready()` says so; ended after. Its output goes to `log`."""
    with log.open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT, env=env)
    try:
        until = time.monotonic() + start_s
        while not ready():
            if child.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[1:4]} did not start:\n{log.read_text()}")
            time.sleep(0.02)
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _one(
    broker: EmbeddedBroker,
    process: psutil.Process,
    credentials: list[tuple[str, str]],
    tools: list[bytes],
    seconds: float,
) -> load.Tally:
    def cpu_seconds() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    return uvloop.run(load.run("127.0.0.1", broker.port, credentials, tools, seconds, cpu_seconds))


def run(seconds: float = SECONDS, devices: tuple[int, ...] = DEVICES) -> Figures:
    """Requests/s, CPU ms a request, RSS and latency at each number of devices."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    figures: Figures = {}
    tools = messages(read(FIRMWARE))
    with tempfile.TemporaryDirectory(prefix="gn-bench-") as name:
        folder = Path(name)
        with EmbeddedBroker(folder / "broker") as broker:
            credentials = [(f"sim{n}", broker.add(f"sim{n}")) for n in range(max(devices))]

            def measure(prefix: str, process: psutil.Process) -> None:
                for n in devices:
                    tally = _one(broker, process, credentials[:n], tools, seconds)
                    count = len(tally.latencies)
                    if tally.refused:
                        raise Problem(f"{prefix}: {tally.refused} of {count} answers were errors")
                    rate = count / tally.took_s
                    figures[f"{prefix}_requests_per_s_at_{n}"] = rate
                    figures[f"{prefix}_cpu_ms_per_request_at_{n}"] = (
                        1000 * tally.cpu_s / max(count, 1)
                    )
                    figures[f"{prefix}_rss_mb_at_{n}"] = process.memory_info().rss / 1e6
                    figures[f"{prefix}_p50_ms_at_{n}"] = 1000 * percentile(tally.latencies, 0.5)
                    figures[f"{prefix}_p99_ms_at_{n}"] = 1000 * percentile(tally.latencies, 0.99)
                    print(f"  {prefix}: {n} devices, {rate:,.0f} requests/s", file=sys.stderr)

            def url(who: str) -> str:
                user, secret = broker.add_service(who)
                return f"mqtt://{user}:{secret}@127.0.0.1:{broker.port}"

            log = folder / "echo.log"
            command = [sys.executable, "-m", "tools.bench.echo", url("echo")]
            with worker(command, lambda: b"ready" in log.read_bytes(), log) as process:
                measure("echo", process)
            home = folder / "home"
            command = [sys.executable, "-m", "tools.cli", "serve", "--broker", url("companion")]
            command += ["--home", str(home)]
            run_file = home / "run.json"
            with worker(command, run_file.exists, folder / "companion.log") as process:
                idle = process.memory_info().rss / 1e6
                measure("companion", process)
                figures["companion_rss_mb"] = process.memory_info().rss / 1e6
                figures["companion_rss_idle_mb"] = idle
                assert json.loads(run_file.read_text())["pid"] == process.pid
    for n in devices:
        figures[f"companion_to_echo_at_{n}"] = (
            figures[f"companion_requests_per_s_at_{n}"] / figures[f"echo_requests_per_s_at_{n}"]
        )
    most = 100 if 100 in devices else devices[-1]
    figures["echo_requests_per_s"] = figures[f"echo_requests_per_s_at_{most}"]
    figures["companion_requests_per_s"] = figures[f"companion_requests_per_s_at_{most}"]
    figures["companion_cpu_ms_per_request"] = figures[f"companion_cpu_ms_per_request_at_{most}"]
    return figures
