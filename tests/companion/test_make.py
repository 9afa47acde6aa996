"""A configuration and a profile → what the backend is made of."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from companion.backends.make import complete, make, plan
from companion.backends.openai import OpenAIBackend
from companion.config import BackendConfig, ConfigError
from companion.config.house import is_house_url
from companion.meter import Prices

DAY = date(2026, 11, 21)
PRICES = Prices.per_million("1", "2")
PUBLIC = "https://api.some.example/v1"
PRIVATE = "http://192.168.1.5:8080/v1"


@pytest.mark.parametrize(
    ("url", "house"),
    [
        ("http://localhost:8080/v1", True),
        ("http://LOCALHOST/v1", True),
        ("http://127.0.0.1:11434/v1", True),
        ("http://127.8.9.1/v1", True),
        ("http://[::1]:8080/v1", True),
        ("http://10.1.2.3/v1", True),
        ("http://172.16.0.1/v1", True),
        ("http://172.32.0.1/v1", False),
        ("https://192.168.1.5/v1", True),
        ("http://169.254.3.4/v1", True),
        ("http://[fd12:3456::1]/v1", True),
        ("http://[fe80::1%25eth0]:8080/v1", True),
        ("http://[::ffff:192.168.1.5]/v1", True),
        ("http://[::ffff:8.8.8.8]/v1", False),
        ("http://[2001:db8::1]/v1", False),
        ("http://100.64.0.1/v1", False),
        ("http://8.8.8.8/v1", False),
        ("http://0.0.0.0:8080/v1", False),
        # Names may come to mean another place.
        ("http://box.local:8080/v1", False),
        ("http://localhost.evil.example/v1", False),
        ("http://127.0.0.1.nip.example/v1", False),
        ("http://127.0.0.1@evil.example/v1", False),
        ("http://2130706433/v1", False),
        ("http://127.1/v1", False),
        ("https://api.openai.com/v1", False),
        ("no url", False),
        ("http://[::1/v1", False),
    ],
)
def test_a_server_is_in_the_house_by_its_address(url: str, house: bool) -> None:
    assert is_house_url(url) is house


@pytest.mark.parametrize(
    ("config", "local"),
    [
        (BackendConfig("b", profile="ollama", model="m"), True),
        (BackendConfig("b", profile="ollama", model="m", url=PRIVATE), True),
        # A profile that is local does not make a public host so.
        (BackendConfig("b", profile="ollama", model="m", url=PUBLIC, free=True), False),
        (BackendConfig("b", profile="ollama", model="m", url=PUBLIC, house=True), True),
        (BackendConfig("b", profile="ollama", model="m", house=False, free=True), False),
        (BackendConfig("b", profile="groq"), False),
        # A cloud's profile at a private address is a proxy: what it is told goes on.
        (BackendConfig("b", profile="groq", url=PRIVATE), False),
        (BackendConfig("b", profile="groq", url=PRIVATE, house=True), True),
        (BackendConfig("b", url=PRIVATE, model="m"), True),
        (BackendConfig("b", url=PUBLIC, model="m", prices=PRICES), False),
        (BackendConfig("b", kind="llama", path=Path("m.gguf")), True),
    ],
)
def test_local_is_what_is_said_or_where_it_stands(config: BackendConfig, local: bool) -> None:
    card = plan(config, today=DAY).card
    assert card.local is local
    assert (card.prices is None) == (local or config.free)


@pytest.mark.parametrize(
    ("config", "here"),
    [
        (BackendConfig("b", profile="ollama", model="m"), True),
        (BackendConfig("b", profile="ollama", model="m", url=PRIVATE), False),
        (BackendConfig("b", url="http://localhost:1/v1", model="m", watts=65.0), True),
        (BackendConfig("b", kind="llama", path=Path("m.gguf")), True),
    ],
)
def test_here_is_what_computes_on_this_machine(config: BackendConfig, here: bool) -> None:
    card = plan(config, today=DAY).card
    assert card.here is here and card.watts == config.watts


def test_the_profile_fills_the_card() -> None:
    parts = plan(BackendConfig("cheap", profile="deepseek"), today=DAY)
    card = parts.card
    assert (card.name, card.model, card.tier) == ("cheap", "deepseek-flash", "commodity")
    assert card.context_tokens == 1_000_000 and card.output_tokens == 1024 and card.tools
    assert card.keeps_prompts is True and card.region == "CN"
    assert card.prices is not None and card.prices.version == "deepseek 2026-09-10"
    assert parts.url == "https://api.deepseek.com"
    assert parts.quirks.cached_at[0] == "prompt_cache_hit_tokens"


def test_the_configuration_wins() -> None:
    config = BackendConfig(
        "b",
        profile="deepseek",
        model="deepseek-v4-pro",
        tier="commodity",
        prices=PRICES,
        quality=1,
        typical_ms=2,
        context_tokens=3000,
        output_tokens=4,
    )
    card = plan(config, today=DAY).card
    assert (card.model, card.tier, card.prices) == ("deepseek-v4-pro", "commodity", PRICES)
    assert (card.quality, card.typical_ms, card.context_tokens, card.output_tokens) == (
        *(1, 2, 3000),
        4,
    )


def test_prices_are_those_of_the_day() -> None:
    config = BackendConfig("b", profile="google")
    now, then = (plan(config, today=day).card.prices for day in (DAY, date(2027, 1, 1)))
    assert now is not None and then is not None and then.input == 2 * now.input


def test_a_model_that_no_profile_lists_is_priced_by_the_package() -> None:
    config = BackendConfig("b", profile="openai", model="gpt-4.1-mini")
    parts = plan(config, today=DAY)
    assert parts.card.prices is not None and parts.card.prices.version.startswith("genai-prices")
    assert parts.quirks.max_tokens == "max_completion_tokens"


@pytest.mark.parametrize(
    "config",
    [
        BackendConfig("b", profile="openai", model="gpt-99"),
        BackendConfig("b", url=PUBLIC, model="m"),
        # It may well be in the house, but only its owner can say so.
        BackendConfig("b", profile="ollama", model="m", url="http://box.lan:11434/v1"),
        BackendConfig("b", profile="nvidia", url=PUBLIC),
    ],
)
def test_what_costs_something_unknown_is_refused_unless_it_is_said(config: BackendConfig) -> None:
    with pytest.raises(ConfigError, match=r"backend b: what .* costs is not known") as caught:
        plan(config, today=DAY)
    for cure in ("input_usd_per_mtok", "free = true", "house = true"):
        assert cure in str(caught.value)
    assert plan(replace(config, free=True), today=DAY).card.prices is None
    assert plan(replace(config, prices=PRICES), today=DAY).card.prices == PRICES


def test_what_asks_no_money_has_no_price() -> None:
    assert plan(BackendConfig("b", profile="nvidia"), today=DAY).card.prices is None


def test_another_host_does_not_inherit_what_the_provider_promises() -> None:
    config = BackendConfig("b", profile="groq", url=PUBLIC)
    assert plan(replace(config, url=None), today=DAY).card.keeps_prompts is False
    assert plan(config, today=DAY).card.keeps_prompts is None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (BackendConfig("b", model="m"), "url is missing"),
        (BackendConfig("b", url=PRIVATE), "model is missing"),
        (BackendConfig("b", profile="ollama"), "model is missing: Ollama runs any"),
        (BackendConfig("b", profile="nope"), "there is no profile 'nope'; there are anthropic"),
        (BackendConfig("b", profile="openai", output_tokens=200_000), "gives 128000 at most"),
        (BackendConfig("b", kind="llama"), "path is missing"),
        (BackendConfig("b", kind="anthropic"), "it wants a key"),
    ],
)
def test_what_is_missing_is_named(config: BackendConfig, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(config, None, today=DAY)
    assert str(caught.value).startswith("backend b: ") and words in str(caught.value)


def test_the_profile_says_where_the_key_is_unless_the_configuration_does() -> None:
    assert complete(BackendConfig("b", profile="groq"), None).key_env == "GROQ_API_KEY"
    assert complete(BackendConfig("b", profile="groq", key_env="MINE"), None).key_env == "MINE"
    assert complete(BackendConfig("b", profile="groq", key_file=Path("k")), None).key_env is None
    assert complete(BackendConfig("b", profile="ollama"), None).key_env is None
    assert complete(BackendConfig("b", kind="anthropic"), None).key_env == "ANTHROPIC_API_KEY"
    assert complete(BackendConfig("b", url=PUBLIC), None).key_env is None


async def test_the_user_s_folder_is_looked_in(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nkind = "openai"\nurl = "http://127.0.0.1:9/v1"\nlocal = true\n'
        'checked = 2026-11-21\n[[model]]\nid = "own"\ntier = "edge"\n'
    )
    backend = make(BackendConfig("b", profile="mine"), None, folder=tmp_path, today=DAY)
    assert isinstance(backend, OpenAIBackend) and backend.card.model == "own"
    await backend.aclose()
