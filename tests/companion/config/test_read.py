"""ganglion.toml: what it may say, and what is told to who misspelt it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from companion.backends.profile import parse as parse_profile
from companion.config import (
    BackendConfig,
    BrokerConfig,
    ConfigError,
    ConfigErrors,
    LimitsConfig,
    StoreConfig,
    load,
    parse,
    read,
)
from companion.config.model import EnergyConfig, LogConfig, Rule
from companion.config.read import interpret
from companion.meter import Prices
from companion.meter.purse import Cap

WHOLE = """\
timezone = "Europe/Berlin"

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
name = "local"
url = "http://127.0.0.1:8080/v1"
model = "any"
tier = "edge"
hour_usd = 0.02
watts = 45

[[backend]]
name = "tiny"
kind = "llama"
path = "models/tiny.gguf"
threads = 2
output_tokens = 256

[[backend]]
profile = "deepseek"
key_keyring = "ganglion/deepseek"
stream = true
quality = 60

[router]
policy = "auto"
target_ms = 3000
min_quality = 20
hedge = false

[[router.rule]]
groups = ["bedrooms"]
from = "22:00"
to = "06:30"
policy = "private"

[[router.rule]]
devices = ["kitchen"]
allow = ["edge", "cheap"]
deny = ["commands"]

[groups]
bedrooms = ["bed-1", "bed-2"]

[[budget]]
scope = "house"
per = "month"
usd = 5

[[budget]]
scope = "device"
name = "kitchen"
per = "day"
usd = 0.10
tokens = 50000

[limits]
concurrent_asks = 8

[store]
url = "sqlite:///house.db"
keep_days = 7

[log]
level = "debug"
format = "json"

[energy]
idle_watts = 4.5

[telemetry]
otlp_url = "http://127.0.0.1:4318"
"""


def test_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "ganglion.toml"
    path.write_text(WHOLE)
    config = load(path)
    assert config.broker == BrokerConfig("mqtts://me:secret@broker.lan", tmp_path / "ca.pem")
    assert (config.http.host, config.http.port) == ("127.0.0.1", 8080)
    cheap, local, tiny, deepseek = config.backends
    assert cheap == BackendConfig(
        name="cheap",
        url="https://api.example/v1",
        model="small",
        key_env="CHEAP_KEY",
        prices=Prices.per_million("0.14", "0.28", "0.0028", version="configuration"),
        timeout_s=10.0,
        extra={"max_tokens": 300},
    )
    assert local.prices == Prices.per_million(0, 0, hour_usd="0.02", version="configuration")
    assert (local.tier, local.key_env, local.watts) == ("edge", None, 45.0)
    assert (tiny.kind, tiny.path, tiny.threads) == ("llama", tmp_path / "models/tiny.gguf", 2)
    assert (deepseek.name, deepseek.profile, deepseek.stream) == ("deepseek", "deepseek", True)
    assert (deepseek.key_keyring, deepseek.quality) == ("ganglion/deepseek", 60)
    assert (config.router.policy, config.router.target_ms, config.router.hedge) == (
        "auto",
        3000,
        False,
    )
    assert config.router.rules == (
        Rule(groups=("bedrooms",), begins=22 * 60, ends=6 * 60 + 30, policy="private"),
        Rule(devices=("kitchen",), allow=("edge", "cheap"), deny=("commands",)),
    )
    assert config.groups == {"bedrooms": ("bed-1", "bed-2")}
    assert config.caps == (
        Cap("house", "month", nano=5_000_000_000),
        Cap("device", "day", "kitchen", nano=100_000_000, tokens=50_000),
    )
    assert config.timezone == "Europe/Berlin"
    assert config.limits == LimitsConfig(concurrent_asks=8)
    assert config.store == StoreConfig(f"sqlite:///{tmp_path}/house.db", keep_days=7)
    assert config.log == LogConfig("debug", "json")
    assert config.energy == EnergyConfig(idle_watts=4.5)
    assert config.otlp_url == "http://127.0.0.1:4318"
    assert "secret" not in repr(config)


def test_an_empty_file_is_commands_alone() -> None:
    config = parse("")
    assert (config.backends, config.router.policy, config.store) == ((), "auto", None)


BACKEND = '[[backend]]\nkind = "openai"\nname = "m"\nurl = "http://h/v1"\nmodel = "x"\n'


def test_an_order_alone_is_the_policy_order() -> None:
    config = parse(BACKEND + '[router]\norder = ["m", "commands"]\n')
    assert (config.router.policy, config.router.order) == ("order", ("m", "commands"))
    config = parse(BACKEND + '[router]\norder = ["m"]\npolicy = "auto"\n')
    assert (config.router.policy, config.router.order) == ("auto", ("m",))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[broker\n", 1, "not valid TOML"),
        ("a = 1\nb = \n", 2, "not valid TOML"),
        ('[broker]\nurl = "http://x"\n', 2, "mqtt:// or mqtts://"),
        (
            '[broker]\nulr = "mqtt://x"\n',
            2,
            "broker.ulr: it is not known here; did you mean 'url'? known are: ca, client_id, ",
        ),
        ("[http]\nport = 99999\n", 2, "http.port: from 0 to 65535"),
        ('[http]\nport = "80"\n', 2, "http.port: a whole number is needed, not a string"),
        ("[http]\nport = true\n", 2, "http.port: a whole number is needed"),
        ("http = {port = 70000}\n", 1, "http.port: from 0 to 65535"),
        ("http.port = 70000\n", 1, "http.port: from 0 to 65535"),
        ('[http]\n"port" = 70000\n', 2, "http.port: from 0 to 65535"),
        ("[htpp]\nport = 80\n", 1, "htpp: it is not known here; did you mean 'http'?"),
        ("port = 80\n", 1, "port: it is not known here"),
        ('[[backend]]\nurl = "http://h"\nmodel = "x"\n', 1, "backend[1].name: it is missing"),
        ('[backend]\nname = "x"\n', 1, "write it as [[backend]]"),
        ('[[backend]]\nkind = "gpt"\n', 2, "one of openai, anthropic, llama is allowed"),
        (BACKEND.replace('model = "x"\n', ""), 1, "backend[1].model: it is missing"),
        (BACKEND + 'tier = "best"\n', 6, "one of edge, commodity, premium"),
        (BACKEND + 'key = "sk-123456"\n', 6, "backend[1].key: it is not known here"),
        (BACKEND + 'key_env = "sk-123456"\n', 6, "the name of an environment variable"),
        (BACKEND + 'key_env = "A"\nkey_file = "b"\n', 7, "one of key_env, key_file"),
        (BACKEND + 'key_keyring = "deepseek"\n', 6, "service/user is needed"),
        (BACKEND.replace("http://h", "http://u:p@h"), 4, "no user and password here"),
        (BACKEND + "input_usd_per_mtok = 1.0\n", 1, "output_usd_per_mtok: it is missing"),
        (BACKEND + "input_usd_per_mtok = -1\noutput_usd_per_mtok = 1\n", 6, "from 0 to 10000"),
        (BACKEND + BACKEND, 8, "two backends are called 'm'"),
        (BACKEND + BACKEND.replace('"m"', '"n"') + "timeout_s = 0\n", 11, "backend[2].timeout_s"),
        (BACKEND + "path = 'x'\n", 6, "only a llama backend has one"),
        (BACKEND + "extra = {since = 2026-11-21}\n", 6, "it goes into JSON, which has no dates"),
        (BACKEND.replace("http://h/v1", "http://[::1/v1"), 4, "http:// or https://"),
        (BACKEND.replace("http://h/v1", "http://h:99999/v1"), 4, "http:// or https://"),
        (BACKEND.replace("http://h/v1", "http://h/v 1"), 4, "http:// or https://"),
        ('[store]\nurl = "postgresql://[x/d"\n', 2, "postgresql://USER@HOST"),
        (BACKEND + "free = true\nhour_usd = 1\n", 6, "prices are given, so it is not free"),
        (BACKEND + "quality = 101\n", 6, "from 0 to 100"),
        ('[[backend]]\nkind = "llama"\nname = "l"\n', 1, "the path of a GGUF file is needed"),
        (BACKEND.replace('"m"', '"commands"'), 3, "two backends are called 'commands'"),
        (BACKEND.replace('"m"', '"My Model"'), 3, "1 to 32 of a-z"),
        (BACKEND.replace("http://h/v1", "h/v1"), 4, "http:// or https://"),
        (BACKEND + '[router]\norder = ["x"]\n', 7, "'x' is no backend; there are: commands, m"),
        ('[router]\norder = [\n "commands",\n "commands"]\n', 4, "there twice"),
        ("[router]\norder = []\n", 2, "at least one"),
        ('[router]\npolicy = "order"\n', 2, "'order' needs [router] order"),
        ('[router]\npolicy = "cheap"\n', 2, "did you mean 'cheapest'?"),
        ('[[router.rule]]\npolicy = "best"\nfrom = "22:00"\n', 3, "from and to go together"),
        ('[[router.rule]]\npolicy = "best"\nfrom = "7"\nto = "08:00"\n', 3, '"00:00" to "23:59"'),
        ('[[router.rule]]\ndevices = ["kitchen"]\n', 1, "this rule says nothing"),
        ('[[router.rule]]\ndevices = ["K"]\npolicy = "best"\n', 2, "a device id has"),
        ('[[router.rule]]\nallow = ["edge",\n"egde"]\n', 3, "'egde' is no backend or tier"),
        ('[[router.rule]]\npolicy = "best"\ngroups = ["g"]\n', 3, "'g' is no group"),
        ('[[router.rule]]\npolicy = "order"\n', 2, "'order' needs [router] order"),
        ('[groups]\ng = ["Bad Name"]\n', 2, "a device id has"),
        ('[groups]\n"a b" = []\n', 2, "the name of a group has"),
        ('[[budget]]\nscope = "house"\nper = "week"\nusd = 1\n', 3, "one of hour, day, month"),
        ('[[budget]]\nscope = "house"\nper = "day"\n', 1, "this budget limits nothing"),
        ('[[budget]]\nper = "day"\nusd = 1\n', 1, "scope: it is missing"),
        (
            '[[budget]]\nscope = "group"\nname = "g"\nper = "day"\nusd = 1\n',
            3,
            "budget[1].name: 'g' is no group",
        ),
        ('[[budget]]\nscope = "house"\nname = "g"\nper = "day"\nusd = 1\n', 3, "has no name"),
        ('[[budget]]\nscope = "device"\nname = "K 1"\nper = "day"\nusd = 1\n', 3, "device id"),
        ('[[budget]]\nscope="house"\nper="day"\nusd=1\n' * 2, 5, "is there twice"),
        ('timezone = "Berlin"\n', 1, "a name is as Europe/Berlin; near: Europe/Berlin"),
        ('[store]\nurl = "mysql://h/d"\n', 2, "sqlite:///FILE or postgresql://"),
        ('[store]\nurl = "postgresql://u:geheim@h/d"\n', 2, "give it by password_env"),
        ("[store]\nkeep_days = 0\n", 2, "from 1 to 36500"),
        ('[log]\nlevel = "loud"\n', 2, "one of debug, info, warning, error"),
        ('[telemetry]\notlp_url = "h:4318"\n', 2, "http:// or https://"),
        ("[limits]\nconcurrent_asks = 0\n", 2, "from 1 to 10000"),
        ('[broker]\nurl = """\nx"""\n[limits]\nrequest_bytes = 1\n', 5, "from 1024"),
    ],
)
def test_an_error_names_the_line_the_key_and_what_is_allowed(
    text: str, line: int, words: str
) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse(text, "my.toml")
    (found,) = [f for f in caught.value.findings if words in str(f)]
    assert (found.origin, found.line) == ("my.toml", line)
    assert f"my.toml, line {line}: " in str(caught.value)
    # A key put where it does not belong is not repeated.
    assert "sk-123456" not in str(caught.value) and "geheim" not in str(caught.value)


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    text = "[limits]\nconcurrent_asks = 0\n[http]\nprot = 1\n" + BACKEND + "timeout_s = 0\n"
    with pytest.raises(ConfigErrors) as caught:
        parse(text + '[log]\nformat = "xml"\n')
    assert [f.line for f in caught.value.findings] == [2, 4, 10, 12]
    assert len(str(caught.value).splitlines()) == 4


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bytes\.toml: it cannot be read \(it is not UTF-8"):
        load(tmp_path / "bytes.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


@dataclass(frozen=True)
class Profile:
    """What ``backends.profile.Profile`` has of what the reader wants."""

    kind: Any
    local: bool = False
    url: str = ""
    key_env: str = ""


PROFILES = {
    "deepseek": Profile("openai"),
    "claude": Profile("anthropic"),
    "house": Profile("openai", True, "http://127.0.0.1:8080/v1"),
}


def test_a_profile_says_what_its_backend_leaves_out() -> None:
    text = '[[backend]]\nprofile = "claude"\n[[backend]]\nprofile = "deepseek"\nname = "d"\n'
    claude, d = interpret(text, profiles=PROFILES).config.backends
    assert (claude.name, claude.kind) == ("claude", "anthropic")
    assert (d.name, d.kind) == ("d", "openai")
    with pytest.raises(ConfigErrors, match=r"line 2: .*no such profile; did you mean 'deepseek'"):
        interpret('[[backend]]\nprofile = "depseek"\n', profiles=PROFILES)
    with pytest.raises(ConfigErrors, match=r"line 3: .*claude is anthropic; leave kind out"):
        interpret('[[backend]]\nprofile = "claude"\nkind = "openai"\n', profiles=PROFILES)


@pytest.mark.parametrize(
    ("backend", "warned"),
    [
        ("", True),
        ('profile = "deepseek"', True),
        ('url = "https://api.example/v1"\nmodel = "m"\nname = "m"', True),
        ('url = "https://api.example/v1"\nmodel = "m"\nname = "m"\nhouse = true', False),
        ('url = "http://192.168.1.9:8000/v1"\nmodel = "m"\nname = "m"', False),
        ('url = "http://192.168.1.9:8000/v1"\nmodel = "m"\nname = "m"\nhouse = false', True),
        ('url = "http://gpu.local/v1"\nmodel = "m"\nname = "m"', True),
        ('url = "http://[::1]:8000/v1"\nmodel = "m"\nname = "m"', False),
        ('url = "http://127.0.0.1/v1"\nprofile = "deepseek"', True),
        ('profile = "house"', False),
        ('kind = "llama"\nname = "m"\npath = "m.gguf"', False),
    ],
)
def test_private_without_a_model_in_the_house_is_doubtful(backend: str, warned: bool) -> None:
    text = '[router]\npolicy = "private"\n' + (f"[[backend]]\n{backend}\n" if backend else "")
    warnings = interpret(text, "f.toml", profiles=PROFILES).warnings
    told = [str(w) for w in warnings]
    expected = "f.toml, line 2: router.policy: no model is in the house"
    assert [t.startswith(expected) for t in told] == ([True] if warned else [])


def test_the_examples_in_the_documentation_are_valid() -> None:
    docs = Path(__file__).parents[3] / "docs"
    examples = [
        (page.name, example)
        for page in docs.glob("*.md")
        for example in re.findall(r"```toml\n(.*?)```", page.read_text(), re.S)
    ]
    assert {name for name, _ in examples} >= {"backends.md"}
    for name, example in examples:
        if example.startswith("title"):
            parse_profile(example, "example", name)
        else:
            parse(example, name)


def test_no_file_is_the_defaults() -> None:
    assert read(None).config == parse("")
