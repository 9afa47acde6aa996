"""`ganglion update` as a user types it, with a companion, its broker and a virtual board."""

import asyncio
import shutil
from pathlib import Path

import pytest

from companion.update import UpdateError, read_package
from tests.tools.system import Serving, ganglion, row_of, wait_for
from tools.accounts import Accounts, update_key
from tools.build import build_firmware
from tools.package import MANIFEST, number, package
from tools.paths import FIRMWARE
from tools.vboard import BoardConfig, VirtualBoard


async def test_ganglion_update(serving: Serving, tmp_path: Path) -> None:
    secret = serving.client.register("porch")["secret"]
    config = BoardConfig(secret, serving.running.broker.host, serving.running.broker.port)
    newer = tmp_path / "newer"
    shutil.copytree(FIRMWARE, newer)
    (newer / "ganglion" / "__init__.py").write_text('VERSION = "7.0.0"\n')

    async def update(*args: str) -> tuple[int, str]:
        done = await asyncio.to_thread(ganglion, "update", *args, home=serving.home)
        return done.returncode, done.stdout + done.stderr

    async with VirtualBoard(tmp_path, "porch", config):
        await asyncio.to_thread(wait_for, lambda: row_of(serving, "porch").get("clock"), 20)
        code, told = await update("porch", "--firmware", str(newer))
        assert code == 0 and "porch: it runs 7.0.0 (" in told, told
        assert row_of(serving, "porch")["fw"] == "7.0.0"
        code, told = await update("porch")
        assert code == 1 and "I have 7.0.0" in told and "--older" in told, told
        code, told = await update("porch", "--older")
        assert code == 0 and row_of(serving, "porch")["fw"] == number_text(), told
        code, told = await update("porch")
        assert code == 0 and "already" in told, told
    await asyncio.to_thread(wait_for, lambda: not row_of(serving, "porch")["online"], 60)
    code, told = await update("porch")
    assert code == 1 and "not online" in told, told
    code, told = await update("nobody-heard-of-it")
    assert code == 1 and "'nobody-heard-of-it' has not been heard of" in told, told
    assert "no key" not in told
    code, told = await update("porch", "--firmware", str(tmp_path))
    assert code == 2 and "holds no firmware" in told, told


def number_text() -> str:
    return build_firmware().version


def test_versions_are_numbers_that_grow() -> None:
    versions = ["0.0.9", "0.1.0", "0.1.1", "0.2", "0.10.0", "1.0.0rc1", "1.0.1", "12.0"]
    numbers = [number(v) for v in versions]
    assert numbers == sorted(set(numbers)) and number("none") == 0


def test_a_package_is_what_its_manifest_says() -> None:
    packed = package(build_firmware())
    files = {path: packed.content(path) for path in packed.files}
    made = read_package(packed.manifest, files)
    assert (made.fw, made.v) == (packed.build.version, packed.version)
    assert "main.py" not in made.files and "g/agent.mpy" in made.files
    assert made.total == len(packed.manifest) + sum(map(len, files.values()))
    # A line a file, for who reads it in the memory of one.
    rows = [line for line in packed.manifest.decode().splitlines() if line.startswith("[")]
    assert len(rows) == len(files)
    first = made.chunk(MANIFEST, 0)
    assert first and len(first) == 1024 and made.chunk("g/none.mpy", 0) is None
    for wrong in (
        {**files, "g/agent.mpy": b"another"},
        {p: c for p, c in files.items() if p != "g/agent.mpy"},
    ):
        with pytest.raises(UpdateError, match=r"g/agent\.mpy"):
            read_package(packed.manifest, wrong)
    with pytest.raises(UpdateError, match="manifest"):
        read_package(b"{}", files)


def test_update_keys_are_kept_for_devices_alone_and_go_with_them(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    secret = accounts.set("kitchen")
    accounts.set("_service")
    accounts.write()
    kept = tmp_path / "update-keys"
    assert kept.stat().st_mode & 0o077 == 0
    assert secret not in kept.read_text() and "_service" not in kept.read_text()
    again = Accounts(tmp_path)
    assert again.update_key("kitchen") == update_key(secret)
    assert again.update_key("_service") is None
    renewed = again.set("kitchen")
    assert again.update_key("kitchen") == update_key(renewed) != update_key(secret)
    again.drop("kitchen")
    again.write()
    assert Accounts(tmp_path).update_key("kitchen") is None and kept.read_text() == ""
