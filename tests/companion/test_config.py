"""ganglion.toml: what it may say, and what is told to who misspelt it."""

import re
from pathlib import Path

import pytest

from companion.config import (
    BackendConfig,
    BrokerConfig,
    ConfigError,
    load,
    parse,
    read_key,
)
from companion.meter import Prices

WHOLE = """\
[broker]
url = "mqtts://me:secret@broker.lan"
ca = "ca.pem"

[http]
port = 8080

[[backend]]
kind = "openai"
name = "cheap"
url = "https://api.example/v1"
model = "small"
key_env = "CHEAP_KEY"
input_usd_per_mtok = 0.14
output_usd_per_mtok = 0.28
cached_usd_per_mtok = 0.0028
timeout_s = 10
[backend.extra]
max_tokens = 300

[[backend]]
kind = "openai"
name = "local"
url = "http://127.0.0.1:8080/v1"
model = "any"
tier = "edge"

[router]
order = ["commands", "local", "cheap"]

[limits]
concurrent_asks = 8
"""


def test_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "ganglion.toml"
    path.write_text(WHOLE)
    config = load(path)
    assert config.broker == BrokerConfig("mqtts://me:secret@broker.lan", tmp_path / "ca.pem")
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8080)
    assert config.router.order == ("commands", "local", "cheap")
    assert config.limits.concurrent_asks == 8
    cheap, local = config.backends
    assert cheap == BackendConfig(
        name="cheap",
        url="https://api.example/v1",
        model="small",
        key_env="CHEAP_KEY",
        tier="commodity",
        prices=Prices.per_million("0.14", "0.28", "0.0028"),
        timeout_s=10.0,
        extra={"max_tokens": 300},
    )
    assert (local.tier, local.prices, local.key_env) == ("edge", None, None)
    assert "secret" not in repr(config)


def test_an_empty_file_is_commands_alone() -> None:
    config = parse("")
    assert config.backends == ()
    assert config.router.order == ("commands",)


def test_without_an_order_it_is_that_of_the_file() -> None:
    backend = '[[backend]]\nkind="openai"\nname="m"\nurl="http://h"\nmodel="x"\n'
    assert parse(backend).router.order == ("commands", "m")


BACKEND = '[[backend]]\nkind = "openai"\nname = "m"\nurl = "http://h/v1"\nmodel = "x"\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[broker\n", None, "not valid TOML"),
        ('[broker]\nurl = "http://x"\n', 2, "mqtt:// or mqtts://"),
        ('[broker]\nulr = "mqtt://x"\n', 2, "broker.ulr: it is not known here; known are: ca"),
        ("[http]\nport = 99999\n", 2, "http.port: from 0 to 65535"),
        ('[http]\nport = "80"\n', 2, "http.port: a whole number is needed"),
        ("[http]\nport = true\n", 2, "http.port: a whole number is needed"),
        ("[htpp]\nport = 80\n", 1, "htpp: it is not known here"),
        ("port = 80\n", 1, "port: it is not known here"),
        ('[[backend]]\nname = "m"\n', 1, "kind: it is missing"),
        ('[[backend]]\nkind = "gpt"\n', 2, "one of openai is allowed"),
        (BACKEND.replace('model = "x"\n', ""), 1, "backend[1].model: it is missing"),
        (BACKEND + 'tier = "best"\n', 6, "one of edge, commodity, premium"),
        (BACKEND + 'key = "sk-123456"\n', 6, "backend[1].key: it is not known here"),
        (BACKEND + 'key_env = "A"\nkey_file = "b"\n', 7, "not both"),
        (BACKEND + "input_usd_per_mtok = 1.0\n", 1, "output_usd_per_mtok: it is missing"),
        (BACKEND + "input_usd_per_mtok = -1\noutput_usd_per_mtok = 1\n", 6, "from 0 to 10000"),
        (BACKEND + BACKEND, None, "two backends are called 'm'"),
        (BACKEND + BACKEND.replace('"m"', '"n"') + "timeout_s = 0\n", 11, "backend[2].timeout_s"),
        (BACKEND.replace('"m"', '"commands"'), None, "two backends are called 'commands'"),
        (BACKEND.replace('"m"', '"My Model"'), 3, "1 to 32 of a-z"),
        (BACKEND.replace("http://h/v1", "h/v1"), 4, "http:// or https://"),
        ('[router]\norder = ["m"]\n', 2, "'m' is no backend; there are: commands"),
        ('[router]\norder = ["commands", "commands"]\n', 2, "there twice"),
        ("[router]\norder = []\n", 2, "at least one"),
        ("[limits]\nconcurrent_asks = 0\n", 2, "from 1 to 10000"),
    ],
)
def test_an_error_names_the_line_the_key_and_what_is_allowed(
    text: str, line: int | None, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "my.toml")
    message = str(caught.value)
    assert message.startswith("my.toml")
    assert words in message
    if line is not None:
        assert f"line {line}:" in message, message
    # A key put where it does not belong is not repeated.
    assert "sk-123456" not in message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file"):
        load(tmp_path / "none.toml")


def backend(**fields: object) -> BackendConfig:
    return BackendConfig("m", url="http://h", model="x", **fields)  # type: ignore[arg-type]


def test_keys_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-from-file\n")
    assert read_key(backend(key_env="K"), {"K": "sk-from-env"}) == "sk-from-env"
    assert read_key(backend(key_file=file)) == "sk-from-file"
    assert read_key(backend()) is None


def test_a_key_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="K is not set"):
        read_key(backend(key_env="K"), {})
    with pytest.raises(ConfigError, match="No such file"):
        read_key(backend(key_file=tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        read_key(backend(key_file=tmp_path / "empty"))


def test_the_example_in_the_documentation_is_valid() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backends.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", page, re.S)
    assert examples
    for example in examples:
        parse(example)
