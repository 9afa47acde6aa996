"""``ganglion backends`` as a user meets it: real processes, and what they print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.companion.scripted_upstream import ScriptedUpstream
from tests.companion.test_check import FINE, KEY, PROFILE
from tests.tools.system import ganglion


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, upstream: ScriptedUpstream) -> Path:
    folder = tmp_path / "profiles"
    folder.mkdir()
    text = PROFILE.replace("https://api.mine.example/v1", upstream.url)
    (folder / "mine.toml").write_text(text)
    return tmp_path


def test_list_shows_each_model_with_price_and_policy(home: Path) -> None:
    done = ganglion("backends", "list", home=home)
    assert done.returncode == 0, done
    head, *rows = done.stdout.splitlines()
    assert head.split() == [
        *("profile", "model", "tier", "in", "out", "context", "tools", "data", "checked")
    ]
    mine = next(row for row in rows if row.startswith("mine "))
    assert mine.split() == ["mine", "small", "commodity", "1", "2", "-", "yes", "-", "2026-11-21"]
    ollama = next(row for row in rows if row.startswith("ollama "))
    assert ollama.split()[1:5] == ["any", "edge", "free", "free"]
    assert "stays in the house" in ollama


def test_list_as_json_has_the_sources(home: Path) -> None:
    rows = json.loads(ganglion("backends", "list", "--json", home=home).stdout)
    flash = next(row for row in rows if row["model"] == "deepseek-flash")
    assert flash["in"] == 0.3 and flash["out"] == 1.2 and flash["keeps_prompts"] is True
    assert flash["prices"] == "deepseek 2026-09-10"
    assert "https://api-docs.deepseek.com/quick_start/pricing" in flash["sources"]
    unsure = next(row for row in rows if row["profile"] == "nvidia")
    assert "free" in unsure["unconfirmed"]


def test_check_of_a_profile_takes_the_key_from_its_variable(
    home: Path, upstream: ScriptedUpstream
) -> None:
    upstream.script(FINE)
    done = ganglion("backends", "check", "mine", home=home, MINE_API_KEY=KEY, NO_PROXY="*")
    assert done.returncode == 0, done
    assert "tool call: valid" in done.stdout and "cost: 0.000330 USD" in done.stdout
    assert KEY not in done.stdout + done.stderr
    assert upstream.headers[-1]["authorization"] == f"Bearer {KEY}"
    assert upstream.requests[-1]["model"] == "small"


def test_check_takes_another_model(home: Path, upstream: ScriptedUpstream) -> None:
    upstream.script([{"status": 404}])
    text = 'title = "Own"\nkind = "openai"\nurl = "URL"\nchecked = 2026-11-21\nlocal = true\n'
    text += '[[model]]\nid = "*"\ntier = "edge"\n'
    (home / "profiles" / "own.toml").write_text(text.replace("URL", upstream.url))
    done = ganglion("backends", "check", "own", "--model", "tiny", home=home)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "it knows no such model or path (404)" in done.stdout
    assert "Does it have a model 'tiny'" in done.stdout
    assert upstream.requests[-1]["model"] == "tiny"


def test_check_of_a_configured_backend(home: Path, upstream: ScriptedUpstream) -> None:
    (home / "ganglion.toml").write_text(
        f'[[backend]]\nkind = "openai"\nname = "house"\nurl = "{upstream.url}"\nmodel = "m"\n'
    )
    upstream.script(FINE)
    done = ganglion("backends", "check", "house", home=home)
    assert done.returncode == 0, done
    assert "key: none wanted" in done.stdout and "cost: free" in done.stdout


def test_check_of_a_backend_that_a_profile_fills(home: Path, upstream: ScriptedUpstream) -> None:
    (home / "ganglion.toml").write_text('[[backend]]\nprofile = "mine"\nname = "cheap"\n')
    (home / "profiles" / "broken.toml").write_text("= nobody names it")
    upstream.script(FINE)
    done = ganglion("backends", "check", "cheap", home=home, MINE_API_KEY=KEY, NO_PROXY="*")
    assert done.returncode == 0, done
    assert "mine 2026-11-01" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody",), ["there is no 'nobody'", "profiles: anthropic, bitnet"]),
        (("mine",), ["MINE_API_KEY"]),
        (("ollama",), ["model is missing"]),
    ],
)
def test_what_is_missing_is_said_without_a_traceback(
    arguments: tuple[str, ...], words: list[str], home: Path
) -> None:
    done = ganglion("backends", "check", *arguments, home=home)
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_broken_profile_is_named(home: Path) -> None:
    (home / "profiles" / "bad.toml").write_text("title = 3\n")
    done = ganglion("backends", "list", home=home)
    assert done.returncode == 1 and "bad.toml: " in done.stderr and done.stdout == ""
