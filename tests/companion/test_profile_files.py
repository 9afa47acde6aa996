"""Profiles as files: what is in one, what is wrong with one, and whose wins."""

import dataclasses
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from companion.backends import profile
from companion.backends.profile import PLAIN, ProfileError, Quirks, Shelf, load, names, parse
from companion.config import ConfigError

ROOT = Path(__file__).resolve().parents[2]

MINIMAL = """
title = "Some"
kind = "openai"
url = "https://api.some.example/v1"
checked = 2026-11-21

[[model]]
id = "small"
tier = "commodity"
"""


def test_the_shipped_ones_are_those_of_the_design() -> None:
    assert set(names()) == {
        *("anthropic", "bitnet", "cerebras", "deepseek", "google", "groq", "llamacpp"),
        *("lmstudio", "mistral", "nvidia", "ollama", "openai", "openrouter", "vllm"),
    }


@pytest.mark.parametrize("name", names())
def test_each_fact_of_a_shipped_one_has_a_source_or_is_marked(name: str) -> None:
    found = load(name)
    assert "url" in found.sources
    for key in ("keeps_prompts", "region", "free"):
        said = getattr(found, key) not in (None, "", False)
        assert not said or key in found.sources or key in found.unconfirmed
    if found.models[0].quirks != PLAIN:
        assert "quirks" in found.sources or "quirks" in found.unconfirmed
    for model in found.models:
        assert model.source or model.unconfirmed, model.id
        assert all(dated.source for dated in model.dated)
        assert 0 < model.quality < 100 and model.typical_ms > 0
        assert not model.output_limit_tokens or model.output_tokens <= model.output_limit_tokens


@pytest.mark.parametrize("name", names())
def test_what_is_local_stays_on_this_machine_and_wants_no_key(name: str) -> None:
    found = load(name)
    assert found.local == found.url.startswith("http://127.0.0.1:")
    assert found.local or found.key_env
    assert not found.local or (found.keeps_prompts is False and not found.key_env)


def test_the_example_in_the_docs_is_a_profile_with_every_key() -> None:
    text = (ROOT / "docs/backends.md").read_text()
    example = text.split("A provider of your own", 1)[1].split("```toml\n", 1)[1].split("```")[0]
    found = parse(example, "some", "docs/backends.md")
    (model,) = found.models
    assert found.sources and model.dated and found.unconfirmed == ("region",)
    said = tomllib.loads(example)
    entry = said["model"][0]
    assert said.keys() == profile._File.model_fields.keys()
    assert entry.keys() == profile._Model.model_fields.keys()
    assert said["quirks"].keys() == {field.name for field in dataclasses.fields(Quirks)}
    names_of = {f.alias or name for name, f in profile._Price.model_fields.items()}
    assert entry["price"][0].keys() == names_of


@pytest.mark.parametrize("name", names())
def test_the_docs_name_it_with_its_key(name: str) -> None:
    text = (ROOT / "docs/backends.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("|") and f"`{name}`" in line)
    assert load(name).key_env in row


def test_a_price_ceiling_is_the_price(tmp_path: Path) -> None:
    for model in load("openrouter").models:
        ceiling = model.quirks.extra["provider"]["max_price"]
        prices = model.dated[-1].prices
        assert prices.input == ceiling["prompt"] * 1_000_000
        assert prices.output == ceiling["completion"] * 1_000_000


def test_what_is_not_said_keeps_its_default() -> None:
    found = parse(MINIMAL, "some", "some.toml")
    (model,) = found.models
    assert (model.output_tokens, model.quality, model.tools, model.context_tokens) == (
        *(1024, 50, True),
        0,
    )
    assert found.keeps_prompts is None and not found.local and model.quirks == PLAIN


def test_a_model_s_quirks_stand_over_its_provider_s() -> None:
    found = parse(
        MINIMAL
        + """
        quirks = { stream_usage = "never", cached_at = ["hits"] }
        [quirks]
        max_tokens = "max_completion_tokens"
        forbidden = ["logprobs"]
        stream_usage = "always"
        """,
        "some",
        "some.toml",
    )
    quirks = found.models[0].quirks
    assert quirks.max_tokens == "max_completion_tokens" and quirks.forbidden == {"logprobs"}
    assert quirks.stream_usage == "never" and quirks.cached_at == ("hits",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = ", "not valid TOML"),
        (MINIMAL.replace("title", "tittle"), "tittle: there is no such key"),
        (MINIMAL.replace('url = "https://api.some.example/v1"', ""), "url: it is missing"),
        (MINIMAL.replace("https:", "ftp:"), "url: "),
        (MINIMAL.replace("commodity", "cheap"), "model 1.tier: "),
        (MINIMAL.replace("2026-11-21", '"2026-11-21"'), "checked: "),
        (MINIMAL + 'tools = "yes"', "model 1.tools: "),
        (MINIMAL + "context_tokens = 0", "model 1.context_tokens: "),
        (MINIMAL + "[[model]]\nid = 'small'\ntier = 'edge'", "'small' is there twice"),
        (MINIMAL + "[[model.price]]\nsource = 'https://some.example'", "model 1.price 1.from: "),
        (
            MINIMAL + "[[model.price]]\nfrom = 2026-01-01\nsource = 'https://some.example'\n"
            "input_usd_per_mtok = -1\noutput_usd_per_mtok = 1",
            "model 1.price 1.input_usd_per_mtok",
        ),
        (MINIMAL + "quirks = { max_tokens = 'tokens' }", "model 1.quirks.max_tokens: "),
        (MINIMAL[: MINIMAL.index("[[model]]")], "model: it is missing"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(text: str, words: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse(text, "some", "/somewhere/some.toml")
    assert str(caught.value).startswith("/somewhere/some.toml: ") and words in str(caught.value)


def test_a_file_of_the_user_s_replaces_one_and_another_adds_one(tmp_path: Path) -> None:
    (tmp_path / "groq.toml").write_text(MINIMAL)
    (tmp_path / "mine.toml").write_text(MINIMAL)
    assert load("groq", tmp_path).title == "Some" and load("groq").title == "Groq"
    assert load("mine", tmp_path).name == "mine"
    assert set(names(tmp_path)) == {*names(), "mine"}
    assert load("ollama", tmp_path / "not-there").local


@pytest.mark.parametrize("name", ["none", "../ollama", "", "Groq"])
def test_an_unknown_name_is_an_error_that_helps(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"there are anthropic, bitnet|names no profile"):
        load(name, tmp_path)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileError, match=r"mine\.toml: it cannot be read: it is no text"):
        load("mine", tmp_path)


def test_a_shelf_reads_what_is_looked_up_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("= broken")
    (tmp_path / "mine.toml").write_text(MINIMAL)
    shelf = Shelf(tmp_path)
    assert "broken" in shelf and len(shelf) == len(names()) + 2 and "none" not in shelf
    assert shelf["mine"].title == "Some" and shelf["mine"] is shelf["mine"]
    assert shelf.get("none") is None
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        shelf["broken"]


def test_the_entry_for_any_model_comes_last() -> None:
    found = load("bitnet")
    assert found.model("bitnet-b1.58-2B-4T") == found.models[0]
    other = found.model("other")
    assert other is not None and other.id == profile.ANY and other.joules_per_token is None
    assert load("groq").model("other") is None


def test_one_file_is_read_and_no_price_table_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("= broken")
    code = (
        "import sys; from pathlib import Path; from companion.backends.profile import load;"
        f"load('ollama', Path({str(tmp_path)!r}));"
        "print(sorted({'genai_prices', 'openai', 'anthropic', 'httpx2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
