"""The way of an ask to a model, beside other gateways: one machine, one upstream, one run.

The companion takes asks over MQTT as simulated devices send them, with the tools of a real
board, and asks its upstream over HTTP. What it sent there is what LiteLLM's proxy and a bare
pass-through are then given over HTTP to send on. `companion_metered` is the same with a price on
each answer and two budgets to count it on. `*_p50_ms` and `*_p99_ms` are those of one
device or client alone, all else of 50 at once.
"""

from __future__ import annotations

import itertools
import json
import resource
import secrets
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

from tools.bench import http_load, litellm, load
from tools.bench.companion import worker
from tools.bench.report import Figures, percentile
from tools.broker import EmbeddedBroker
from tools.paths import FIRMWARE, ROOT
from tools.problem import Problem
from tools.specs import messages, read

SECONDS = 4.0
WARM_S = 1.0
AT_ONCE = 50

# Nothing that `commands` would answer.
_FORMS = (
    "it is rather dark in the {}, {} lux, do something about it",
    "make the {} cosy for film {}",
    "we leave for {1} hours, what of the {0} should be off?",
    "I am cold here in the {}, {} times I said it",
)
_ROOMS = ("kitchen", "hall", "cellar", "attic", "nursery", "study", "bath", "porch", "shed")
_SAID = 20_000
_PROMPTS = 100
_runs = itertools.count(1)

STATE = json.dumps(
    {
        "v": 1,
        "points": {
            name: {"pin": pin, "dir": "out", "level": 0}
            for name, pin in (("lamp", 5), ("heater", 18), ("fan", 19), ("pump", 21))
        }
        | {"door": {"pin": 4, "dir": "in", "level": 1}},
    }
).encode()

_CONFIG = """\
[[backend]]
kind = "openai"
name = "bench"
url = "{url}"
model = "bench-model"
tier = "commodity"
"""
_METERED = (
    _CONFIG
    + """\
house = false
input_usd_per_mtok = 0.28
output_usd_per_mtok = 0.42
cached_usd_per_mtok = 0.028

[[budget]]
scope = "house"
per = "month"
usd = 100000

[[budget]]
scope = "device"
per = "day"
usd = 10000
"""
)


@dataclass(frozen=True)
class Measured:
    """One server's figures."""

    cpu_ms: float
    rss_mb: float
    requests_per_s: float
    p50_ms: float
    p99_ms: float


Drive = Callable[[int, float, Callable[[], float]], load.Tally]
"""(how many at once, seconds, the server's CPU seconds so far) → what came of it."""


def measure(name: str, process: psutil.Process, drive: Drive, seconds: float) -> Measured:
    """Warm up, then one alone, then many at once. Raises Problem when answers were errors."""

    def cpu_seconds() -> float:
        all_times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
        return float(sum(times.user + times.system for times in all_times))

    drive(AT_ONCE, WARM_S, cpu_seconds)
    alone = drive(1, seconds, cpu_seconds)
    many = drive(AT_ONCE, seconds, cpu_seconds)
    for tally in (alone, many):
        if tally.refused or not tally.latencies:
            count = len(tally.latencies)
            raise Problem(f"{name}: {tally.refused} of {count} answers were errors: {tally.why}")
    rss = sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))
    rate = len(many.latencies) / many.took_s
    print(f"  {name}: {rate:,.0f} requests/s", file=sys.stderr)
    return Measured(
        cpu_ms=1000 * many.cpu_s / len(many.latencies),
        rss_mb=rss / 1e6,
        requests_per_s=rate,
        p50_ms=1000 * percentile(alone.latencies, 0.5),
        p99_ms=1000 * percentile(alone.latencies, 0.99),
    )


def sentences() -> list[str]:
    """So many that nobody says one twice, in this run or another: no cache answers them."""
    first = next(_runs) * _SAID
    return [
        _FORMS[n % len(_FORMS)].format(_ROOMS[n % len(_ROOMS)], n)
        for n in range(first, first + _SAID)
    ]


@contextmanager
def _printing_port(module: str, *args: str) -> Iterator[tuple[psutil.Process, int]]:
    """A server of ours that prints its port, as a process."""
    command = [sys.executable, "-m", module, *args]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise Problem(f"{module} did not start")
        yield psutil.Process(child.pid), int(line)
    finally:
        child.terminate()
        child.wait()


def _get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return bytes(answer.read())


def _companion(upstream: int, folder: Path, config: str, name: str, seconds: float) -> Measured:
    """This companion, with the broker of its own that it would also have without the bench."""
    tools = messages(read(FIRMWARE))
    file = folder / f"{name}.toml"
    file.write_text(config)
    with EmbeddedBroker(folder / f"{name}-broker") as broker:
        credentials = [(f"sim{n}", broker.add(f"sim{n}")) for n in range(AT_ONCE)]
        user, secret = broker.add_service("companion")
        home = folder / name
        command = [sys.executable, "-m", "tools.cli", "serve", "--home", str(home)]
        command += ["--broker", f"mqtt://{user}:{secret}@127.0.0.1:{broker.port}"]
        command += ["--config", str(file)]

        def drive(devices: int, for_s: float, cpu_seconds: Callable[[], float]) -> load.Tally:
            before = int(_get(upstream, "/count"))
            run = load.run(
                "127.0.0.1",
                broker.port,
                credentials[:devices],
                tools,
                for_s,
                cpu_seconds,
                sentences(),
                STATE,
            )
            tally = uvloop.run(run)
            asked = int(_get(upstream, "/count")) - before
            if asked < len(tally.latencies):
                raise Problem(
                    f"{name}: {len(tally.latencies)} answers, but the model was asked {asked} times"
                )
            return tally

        log = folder / f"{name}.log"
        with worker(command, (home / "run.json").exists, log) as process:
            return measure(name, process, drive, seconds)


def _over_http(
    name: str,
    process: psutil.Process,
    port: int,
    prompts: list[bytes],
    seconds: float,
    key: str = "",
) -> Measured:
    requests = [http_load.request(port, prompt, key) for prompt in prompts]

    def drive(clients: int, for_s: float, cpu_seconds: Callable[[], float]) -> load.Tally:
        return uvloop.run(http_load.run(port, requests, clients, for_s, cpu_seconds))

    return measure(name, process, drive, seconds)


def _prompts(last: bytes) -> list[bytes]:
    """What the companion sent the upstream, once for each sentence."""
    text = last.decode()
    said = json.loads(last)["messages"][-1]["content"].splitlines()[0]
    if text.count(said) != 1:
        raise Problem("the companion's prompt holds no sentence of the bench, or twice")
    return [text.replace(said, sentence).encode() for sentence in sentences()[:_PROMPTS]]


def run(seconds: float = SECONDS) -> Figures:
    """CPU ms and memory a request, requests/s and latency of each, side by side."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        venv: Path | None = litellm.install()
    except Problem as problem:
        print(f"  litellm is left out: {problem}", file=sys.stderr)
        venv = None
    measured: dict[str, Measured] = {}
    with (
        tempfile.TemporaryDirectory(prefix="gn-bench-") as temporary,
        _printing_port("tools.bench.upstream") as (_, upstream),
    ):
        folder = Path(temporary)
        url = f"http://127.0.0.1:{upstream}/v1"
        for name, config in (("companion", _CONFIG), ("companion_metered", _METERED)):
            settings = config.format(url=url)
            measured[name] = _companion(upstream, folder, settings, name, seconds)
        prompts = _prompts(_get(upstream, "/last"))
        with _printing_port("tools.bench.passthrough", url) as (process, port):
            measured["passthrough"] = _over_http("passthrough", process, port, prompts, seconds)
        if venv is not None:
            key = f"sk-{secrets.token_hex(16)}"
            with litellm.running(venv, url, folder, key) as (process, port):
                measured["litellm"] = _over_http("litellm", process, port, prompts, seconds, key)
    figures: Figures = {}
    for of in ("cpu_ms", "rss_mb", "requests_per_s", "p50_ms", "p99_ms"):
        figures |= {f"{who}_{of}": getattr(m, of) for who, m in measured.items()}
    if "litellm" in measured:
        figures["litellm_to_companion_cpu"] = (
            measured["litellm"].cpu_ms / measured["companion"].cpu_ms
        )
    figures["prompt_bytes"] = len(prompts[0])
    return figures
