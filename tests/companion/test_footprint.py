"""What a companion without models must not pay for."""

import subprocess
import sys

CODE = """
import sys
from companion.app import Companion
from companion.config import Config
import companion.web.app, uvicorn, uvloop
Companion(Config())
heavy = {"aiohttp", "openai", "sqlalchemy", "httpx2", "jsonschema", "numpy", "keyring",
    "prometheus_client", "opentelemetry.sdk"} & set(sys.modules)
status = open("/proc/self/status").read() if sys.platform == "linux" else "VmRSS: 0"
print(sorted(heavy), int(status.split("VmRSS:")[1].split()[0]) // 1024)
"""


def test_without_models_no_sdk_is_loaded_and_memory_stays_small() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    heavy, rss_mb = done.stdout.rsplit(" ", 1)
    assert heavy == "[]"
    assert int(rss_mb) < 80
