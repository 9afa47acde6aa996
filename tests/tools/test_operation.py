"""What an operator does: checks and changes the configuration, gives tokens to others."""

from __future__ import annotations

import json
import os
import signal
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.system import GANGLION, Serving, alive, environment, ganglion, wait_for
from tests.tools.terminal import Terminal
from tools.state import Home

CONFIG = """\
[[backend]]
profile = "ollama"
model = "tiny"
[[backend]]
name = "cheap"
url = "https://api.example/v1"
model = "small"
key_env = "CHEAP_KEY"
input_usd_per_mtok = 0.14
output_usd_per_mtok = 0.28
[backend.extra]
api_token = "made-up-secret"
[router]
policy = "cheapest"
[[router.rule]]
groups = ["bedrooms"]
from = "22:00"
to = "06:00"
policy = "private"
[groups]
bedrooms = ["bed-1"]
[[budget]]
scope = "house"
per = "month"
usd = 5
"""


# -- config --------------------------------------------------------------------------------


def test_check_prints_what_would_run(tmp_path: Path) -> None:
    file = tmp_path / "ganglion.toml"
    file.write_text(CONFIG)
    done = ganglion("config", "check", home=tmp_path, CHEAP_KEY="sk-made-up-key")
    assert done.returncode == 0, done.stderr
    for words in (
        "it can be used",
        "tiny",
        "http://127.0.0.1:11434/v1 (in the house)",
        "https://api.example/v1",
        "$CHEAP_KEY: found",
        "policy   cheapest",
        "rule     group bedrooms from 22:00 to 06:00: policy private",
        "budget   5 USD per month for the house",
    ):
        assert words in done.stdout, words
    assert "sk-made-up-key" not in done.stdout + done.stderr
    without = ganglion("config", "check", str(file), home=tmp_path)
    assert without.returncode == 0 and "$CHEAP_KEY: MISSING" in without.stdout
    said = "serve will not start: backend cheap: the environment variable CHEAP_KEY is not set"
    assert said in without.stdout and "export CHEAP_KEY=" in without.stdout
    assert "will not start" not in done.stdout
    # serve says the same, and does not start.
    refused = ganglion("serve", home=tmp_path)
    assert refused.returncode == 2 and "export CHEAP_KEY=" in refused.stderr, refused.stderr
    assert "key_file" in refused.stderr and "Traceback" not in refused.stderr


TIGHT = """\
[[backend]]
name = "dear"
url = "http://127.0.0.1:9/v1"
house = false
model = "large"
input_usd_per_mtok = 3
output_usd_per_mtok = 15
[[backend]]
name = "cheap"
url = "http://127.0.0.1:9/v1"
house = false
model = "small"
input_usd_per_mtok = 0.3
output_usd_per_mtok = 1.2
"""


def test_check_warns_of_a_budget_that_lets_nobody_answer(tmp_path: Path) -> None:
    def warnings(budget: str) -> list[str]:
        file = tmp_path / "ganglion.toml"
        file.write_text(f"{TIGHT}[[budget]]\nscope = 'device'\nper = 'day'\n{budget}\n")
        done = ganglion("config", "check", home=tmp_path)
        assert done.returncode == 0, done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith("warning: ")]

    (line,) = warnings("usd = 0.05")
    assert "0.05 USD per day for each device never lets dear answer" in line
    assert "21,000 bytes" in line and line.endswith("usd = 0.08")
    assert warnings("usd = 0.08") == []  # what it says is enough
    (line,) = warnings("tokens = 1000")
    assert "dear, cheap" in line and line.endswith("tokens = 23000")
    assert warnings("tokens = 23000") == warnings("usd = 0") == []  # nothing at all may be meant


def test_check_says_when_a_model_file_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('[[backend]]\nkind = "llama"\nname = "mine"\npath = "mine.gguf"\n')
    without = ganglion("config", "check", str(file), home=tmp_path)
    assert without.returncode == 0 and "mine.gguf: MISSING, and serve will not" in without.stdout
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    assert "MISSING" not in ganglion("config", "check", str(file), home=tmp_path).stdout


def test_check_tells_every_error_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[limits]\nconcurrent_asks = 0\n[[backend]]\nprofile = 'depseek'\n")
    done = ganglion("config", "check", str(file), home=tmp_path, GANGLION_HTTP__PRT="80")
    assert done.returncode == 1 and done.stdout == ""
    errors = done.stderr.splitlines()
    assert "line 2: limits.concurrent_asks: from 1 to 10000" in errors[0]
    assert (
        "line 4: backend[1].profile: there is no such profile; did you mean 'deepseek'?"
        in (errors[1])
    )
    assert "GANGLION_HTTP__PRT: http.prt: it is not known here; did you mean 'port'" in errors[2]


def test_what_a_profile_and_a_backend_do_not_say_together_has_a_line(tmp_path: Path) -> None:
    (tmp_path / "ganglion.toml").write_text(
        '[http]\n[[backend]]\nname = "m"\nurl = "https://api.example/v1"\nmodel = "x"\n'
    )
    done = ganglion("config", "check", home=tmp_path)
    assert done.returncode == 1
    assert "ganglion.toml, line 2: backend m: what x costs is not known" in done.stderr


def test_show_is_the_file_with_defaults_and_variables_and_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "ganglion.toml").write_text(
        '[broker]\nurl = "mqtts://me:geheim@broker.lan"\n' + CONFIG
    )
    env = {"GANGLION_BACKEND__CHEAP__MODEL": "large", "GANGLION_LIMITS__CONCURRENT_ASKS": "7"}
    done = ganglion("config", "show", home=tmp_path, **env)
    assert "geheim" not in done.stdout and "made-up-secret" not in done.stdout
    settings = tomllib.loads(done.stdout)
    assert settings["broker"]["url"] == "mqtts://me:***@broker.lan"
    assert settings["limits"] == {"concurrent_asks": 7, "request_bytes": 16384}
    cheap = settings["backend"][1]
    assert (cheap["model"], cheap["input_usd_per_mtok"], cheap["timeout_s"]) == ("large", 0.14, 60)
    assert settings["router"]["rule"] == [
        {"groups": ["bedrooms"], "policy": "private", "from": "22:00", "to": "06:00"}
    ]
    assert settings["budget"] == [{"scope": "house", "per": "month", "usd": 5.0}]
    as_json = ganglion("config", "show", "--json", home=tmp_path, **env)
    assert json.loads(as_json.stdout) == settings
    # What it prints can be used as a file, but for the password.
    shown = tmp_path / "shown.toml"
    shown.write_text(done.stdout)
    again = ganglion("config", "show", "--config", str(shown), home=tmp_path)
    assert tomllib.loads(again.stdout) == settings


def test_without_a_file_the_defaults_are_shown(tmp_path: Path) -> None:
    assert "no file" in ganglion("config", "check", home=tmp_path).stdout
    assert tomllib.loads(ganglion("config", "show", home=tmp_path).stdout)["http"]["port"] == 0


# -- a running companion -------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Serving]:
    """A companion of the test's own, with a file."""
    (tmp_path / "ganglion.toml").write_text("[limits]\nrequest_bytes = 2000\n")
    serving = Serving(tmp_path)
    yield serving
    if serving.process.poll() is None:
        assert serving.stop() == 0


def status_of(serving: Serving, path: str, token: str, body: bytes | None = None) -> int:
    request = urllib.request.Request(
        serving.running.url + path,
        data=body,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_running_companion_takes_a_new_file_and_refuses_a_wrong_one(own: Serving) -> None:
    file = own.home / "ganglion.toml"
    token = own.running.token
    body = json.dumps({"text": "x" * 900, "from": "y" * 1500}).encode()
    assert status_of(own, "/devices/k/say", token, body) == 413
    # By the file's own change.
    file.write_text("[limits]\nrequest_bytes = 5000\n")
    wait_for(lambda: "was read again; in force" in own.output)
    assert status_of(own, "/devices/k/say", token, body) == 422
    # A wrong one changes nothing and is told to whoever looks.
    file.write_text("[limits]\nrequest_bytes = 1\n")
    wait_for(lambda: own.client.health().get("problems"))
    (problem,) = own.client.health()["problems"]
    assert "not in force" in problem and "line 2: limits.request_bytes" in problem
    assert "line 2: limits.request_bytes" in own.output
    assert status_of(own, "/devices/k/say", token, body) == 422
    # By SIGHUP, at once; what cannot change is said.
    file.write_text("[log]\nformat = 'json'\n[broker]\nurl = 'mqtt://elsewhere'\n")
    own.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "[broker] needs a restart" in own.output)
    wait_for(lambda: "problems" not in own.client.health())
    last = json.loads(own.output.splitlines()[-1])
    assert last["logger"] == "companion.config.reload" and last["level"] == "info"
    assert own.process.poll() is None and token not in own.output


def test_each_line_of_a_log_of_json_is_json(tmp_path: Path) -> None:
    file = tmp_path / "ganglion.toml"
    file.write_text("[router]\npolicy = 'private'\n[log]\nformat = 'json'\nlevel = 'debug'\n")
    serving = Serving(tmp_path)
    assert serving.stop() == 0
    # What `serve` itself prints for people is no log.
    lines = [n for n in serving.output.splitlines() if n and not n.startswith("ganglion: ")]
    records = [json.loads(line) for line in lines]
    assert any("backends and limits from" in record["message"] for record in records)
    assert any("no model is in the house" in record["message"] for record in records)


def test_serve_ends_when_its_terminal_goes_away(tmp_path: Path) -> None:
    terminal = Terminal([*GANGLION, "serve"], environment(tmp_path))
    terminal.shows("Ctrl-C ends this")
    running = Home(tmp_path).running()
    # The terminal is there: this is somebody who wants the file read again.
    os.kill(running.pid, signal.SIGHUP)
    terminal.shows("was read again")
    assert alive(running.pid)
    terminal.hang_up()
    assert os.waitpid(terminal.pid, 0)[0] == running.pid
    assert not (tmp_path / "run.json").exists()


# -- tokens --------------------------------------------------------------------------------


def test_a_token_is_made_listed_used_and_removed(serving: Serving) -> None:
    home = serving.home
    made = ganglion("token", "add", "wall-panel", "--scope", "act", home=home)
    assert made.returncode == 0, made.stderr
    token = made.stdout.splitlines()[-1]
    assert "wall-panel, good for act. It is not shown again" in made.stdout
    assert token not in ganglion("token", "list", home=home).stdout
    assert status_of(serving, "/devices", token) == 200
    assert status_of(serving, "/devices", token, b'{"device": "x"}') == 403
    (row,) = json.loads(ganglion("token", "list", "--json", home=home).stdout)
    assert (row["name"], row["scope"]) == ("wall-panel", "act")
    assert abs(row["created"] - time.time()) < 600
    again = ganglion("token", "add", "wall-panel", home=home)
    assert again.returncode == 1 and "there is a token 'wall-panel'" in again.stderr
    assert ganglion("token", "remove", "wall-panel", home=home).returncode == 0
    assert status_of(serving, "/devices", token) == 401
    gone = ganglion("token", "remove", "wall-panel", home=home)
    assert gone.returncode == 1 and "no token" in gone.stderr
    assert ganglion("token", "add", "x", "--scope", "all", home=home).returncode == 2
    assert token not in serving.output
