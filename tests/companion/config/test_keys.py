"""Where keys come from, and what is said when they do not."""

import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from companion.config import BackendConfig, ConfigError, keys, read_key
from companion.config.keys import Secrets, exposed


def backend(**fields: object) -> BackendConfig:
    return BackendConfig("m", url="http://h", model="x", **fields)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("sk-from-file\n")
    path.chmod(0o600)
    return path


class Ring(ModuleType):
    """A stand-in for the package ``keyring``: the real one needs a desktop."""

    def __init__(self, answer: object) -> None:
        super().__init__("keyring")
        self.answer = answer

    def get_password(self, service: str, user: str) -> object:
        assert (service, user) == ("ganglion", "deep/seek")
        if isinstance(self.answer, threading.Event):
            self.answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_keys_come_from_the_environment_a_file_or_the_keyring(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", Ring("sk-from-ring"))
    assert read_key(backend(key_env="K"), {"K": "sk-from-env "}) == "sk-from-env"
    assert read_key(backend(key_file=file)) == "sk-from-file"
    assert read_key(backend(key_keyring="ganglion/deep/seek")) == "sk-from-ring"
    assert read_key(backend()) is None
    # All of them are kept out of the log from now on.
    masked = keys.secrets.masked("sk-from-env sk-from-file sk-from-ring")
    assert masked == "*** *** ***"


def test_a_key_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    unset = "backend m: the environment variable K is not set; .*`export K=…`.* key_file .*key_keyr"
    with pytest.raises(ConfigError, match=unset):
        read_key(backend(key_env="K"), {})
    with pytest.raises(ConfigError, match="No such file"):
        read_key(backend(key_file=tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        read_key(backend(key_file=tmp_path / "empty"))


@pytest.mark.parametrize("text", ["sk-one\nsk-two", "sk with blanks", "sk-é-accent"])
def test_what_cannot_be_a_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="K: this is no key") as caught:
        read_key(backend(key_env="K"), {"K": text})
    assert "sk" not in str(caught.value)


def test_the_package_keyring_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError, match=r"pip install 'ganglion\[keyring\]'"):
        read_key(backend(key_keyring="ganglion/deep/seek"))


def test_a_machine_without_a_keyring_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring
    from keyring.backends.fail import Keyring as NoKeyring

    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())
    try:
        with pytest.raises(ConfigError, match=r"NoKeyringError.*use key_env or key_file"):
            read_key(backend(key_keyring="ganglion/deepseek"))
    finally:
        keyring.set_keyring(before)


def test_a_keyring_that_has_no_such_entry_or_never_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", Ring(None))
    with pytest.raises(ConfigError, match="`keyring set ganglion deep/seek`"):
        read_key(backend(key_keyring="ganglion/deep/seek"))
    locked = threading.Event()
    monkeypatch.setitem(sys.modules, "keyring", Ring(locked))
    monkeypatch.setattr(keys, "KEYRING_S", 0.05)
    with pytest.raises(ConfigError, match="the keyring gave no answer"):
        read_key(backend(key_keyring="ganglion/deep/seek"))
    locked.set()


def test_a_file_that_others_can_read_is_warned_of(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read_key(backend(key_file=file))
    assert caplog.messages == []
    file.chmod(0o644)
    read_key(backend(key_file=file))
    read_key(backend(key_file=file))
    (message,) = caplog.messages
    assert "mode 644" in message and "chmod 600" in message and "sk-" not in message
    assert exposed(file.with_name("none")) == ""


def test_a_secret_is_masked_also_as_it_stands_in_a_url_and_before_its_own_beginning() -> None:
    secrets = Secrets()
    for secret in ("sk/a+b=c&d", "abcdef", "abcdef-ghi", "x1"):
        secrets.add(secret)
    text = "sk/a+b=c&d sk%2Fa%2Bb%3Dc%26d abcdef-ghi abcdef x1"
    assert secrets.masked(text) == "*** *** *** *** x1"
