"""The LiteLLM proxy in a venv of its own, as its users run it: one worker and no database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tools.bench.companion import worker
from tools.paths import CACHE
from tools.ports import free_port
from tools.problem import Problem

VERSION = "1.106.0"
MODEL = "bench-model"
_INSTALL_S = 900


def install() -> Path:
    """The folder of a venv that has it; made where it is not there. Raises Problem with the
    reason where pip cannot bring it."""
    venv = CACHE / "litellm"
    stamp = venv / f"has-{VERSION}"
    if stamp.exists():
        return venv
    print(f"  litellm: pip installs litellm[proxy]=={VERSION} into {venv.name}/", file=sys.stderr)
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    try:
        for command in (
            [sys.executable, "-m", "venv", str(venv)],
            [*pip, f"litellm[proxy]=={VERSION}"],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_S)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Problem(f"it cannot be installed: {last:.200}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Problem(f"it cannot be installed: {error}") from None
    stamp.touch()
    return venv


@contextmanager
def running(
    venv: Path, upstream: str, folder: Path, key: str
) -> Iterator[tuple[psutil.Process, int]]:
    """The proxy before that upstream: its process and its port. ``key``: what its clients bear."""
    port = free_port()
    model = {"model": f"openai/{MODEL}", "api_base": upstream, "api_key": "none"}
    config = folder / "litellm.json"  # JSON is YAML
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": MODEL, "litellm_params": model}],
                "litellm_settings": {"telemetry": False, "num_retries": 0},
            }
        )
    )
    # What its documentation advises for production, and nothing fetched from the network.
    settings = {
        "LITELLM_MASTER_KEY": key,
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
    }
    command = [str(venv / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]

    def ready() -> bool:
        url = f"http://127.0.0.1:{port}/health/liveliness"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    env = os.environ | settings
    with worker(command, ready, folder / "litellm.log", env=env, start_s=120) as process:
        yield process, port
