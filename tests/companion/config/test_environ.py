"""Environment variables over the file."""

import pytest

from companion.config import Config, ConfigErrors
from companion.config.read import interpret

FILE = """\
[router]
policy = "auto"
[[backend]]
name = "cheap"
url = "https://api.example/v1"
model = "small"
[[backend]]
name = "my-house.v2"
url = "http://127.0.0.1:8080/v1"
model = "any"
[[backend]]
profile = "deepseek"
[groups]
bench-tops = ["bench-1"]
[[budget]]
scope = "house"
per = "day"
usd = 1
"""


def told(**environ: str) -> Config:
    return interpret(FILE, "f.toml", environ=environ).config


def test_a_variable_is_the_path_of_its_setting() -> None:
    config = told(
        GANGLION_ROUTER__POLICY="cheapest",
        GANGLION_ROUTER__TARGET_MS="900",
        GANGLION_ROUTER__HEDGE="false",
        GANGLION_HTTP__PORT="8080",
        GANGLION_STORE__URL="postgresql://ganglion@db/ganglion",
        GANGLION_TIMEZONE="Europe/Berlin",
        GANGLION_GROUPS__BENCH_TOPS='["bench-2", "bench-3"]',
        GANGLION_GROUPS__NEW='["lamp"]',
    )
    assert (config.router.policy, config.router.target_ms, config.router.hedge) == (
        "cheapest",
        900,
        False,
    )
    assert config.http.port == 8080
    assert config.store is not None and config.store.url == "postgresql://ganglion@db/ganglion"
    assert config.timezone == "Europe/Berlin"
    assert config.groups == {"bench-tops": ("bench-2", "bench-3"), "new": ("lamp",)}


def test_a_backend_is_addressed_by_its_name() -> None:
    cheap, house, deepseek = told(
        GANGLION_BACKEND__CHEAP__MODEL="4",  # A model's name, though it looks like a number.
        GANGLION_BACKEND__CHEAP__KEY_ENV="CHEAP_KEY",
        GANGLION_BACKEND__CHEAP__EXTRA__TEMPERATURE="0.5",
        GANGLION_BACKEND__CHEAP__EXTRA__STOP='["x"]',
        GANGLION_BACKEND__MY_HOUSE_V2__TIMEOUT_S="7",
        GANGLION_BACKEND__DEEPSEEK__MODEL='"deepseek-chat"',
    ).backends
    assert (cheap.model, cheap.key_env) == ("4", "CHEAP_KEY")
    assert cheap.extra == {"temperature": 0.5, "stop": ["x"]}
    assert house.timeout_s == 7.0
    assert deepseek.model == "deepseek-chat"


def test_the_variables_of_the_program_itself_override_nothing() -> None:
    own = ("HOME", "CONFIG", "DEBUG", "FULL", "BROKER", "SECRET", "MICROPYTHON")
    assert told(**{f"GANGLION_{name}": "x" for name in own}) == told()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ROUTER__POLICY", "cheap", "router.policy: one of auto,"),
        ("ROUTER__POLICI", "auto", "it is not known here; did you mean 'policy'?"),
        ("ROUTR__POLICY", "auto", "routr: it is not known here; did you mean 'router'?"),
        ("HTTP__PORT", "80x", "http.port: a whole number is needed, not a string"),
        ("HTTP__PORT", "80\nhost = 1", "http.port: a whole number is needed, not a string"),
        ("HTTP__PORT__X", "80", "http.port: a whole number is needed, not a table"),
        ("BACKEND__CHEEP__MODEL", "m", "no backend CHEEP; those of the file are: CHEAP, MY_HOUSE"),
        ("BACKEND__CHEAP", "m", "name and setting follow"),
        ("BACKEND__CHEAP__KEY", "sk-123456", "backend[1].key: it is not known here"),
        ("BACKEND__CHEAP__KEY_ENV", "sk-123456", "the name of an environment variable"),
        ("BUDGET__HOUSE__USD", "3", "no names of their own; change them in the file"),
        ("ROUTER__RULE__X__POLICY", "best", "no names of their own"),
        ("ROUTER___POLICY", "auto", "_policy: it is not known here"),
        ("ROUTER__", "auto", "exactly two underscores"),
        ("TIMEZONE", "Berlin", "near: Europe/Berlin"),
    ],
)
def test_what_is_wrong_names_the_variable(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        told(**{f"GANGLION_{name}": value})
    (found,) = caught.value.findings
    assert words in str(found)
    assert (found.origin, found.line) == (f"GANGLION_{name}", 0)
    assert "sk-123456" not in str(found)


def test_what_is_wrong_in_the_file_keeps_its_line_beside_an_override() -> None:
    with pytest.raises(ConfigErrors) as caught:
        interpret(
            "[router]\ntarget_ms = 1\n", "f.toml", environ={"GANGLION_ROUTER__POLICY": "best"}
        )
    assert str(caught.value).startswith("f.toml, line 2: router.target_ms: from 50")
