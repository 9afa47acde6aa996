"""Building the firmware, and the programs it runs on."""

import json
import subprocess
import sys
import threading

import pytest

from tools import runtime
from tools.apt import AptError
from tools.build import BuildError, build_firmware
from tools.paths import ROOT
from tools.vboard.rom import romfs


@pytest.fixture
def source(tmp_path):
    source = tmp_path / "source"
    (source / "lib").mkdir(parents=True)
    (source / "main.py").write_text("import lib.a\n")
    (source / "lib/a.py").write_text("assert False\nx = 1\nx.nothing\n")
    (source / "table.json").write_text("{}")
    return source


def test_what_is_built(source, tmp_path):
    build = build_firmware(source, tmp_path / "out")
    assert set(build.files) == {"main.py", "lib/a.mpy", "table.json"}
    listed = json.loads((build.root / "manifest.json").read_text())["files"]
    for name, entry in listed.items():
        assert (build.root / name).stat().st_size == entry["size"]
    assert (build.root / "main.py").read_text() == "import lib.a\n"


def test_a_trace_names_module_and_function_and_asserts_are_gone(source, tmp_path):
    (source / "lib/a.py").write_text("assert False\ndef _wrong():\n    x.nothing\n_wrong()\n")
    build = build_firmware(source, tmp_path / "out")
    command = [*runtime.micropython().command, "-c", "import main"]
    done = subprocess.run(command, cwd=build.root, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert 'File "a"' in said and "in _a\n" in said and "NameError" in said


def test_the_package_has_a_short_name_on_a_chip(source, tmp_path):
    (source / "ganglion").mkdir()
    (source / "ganglion/__init__.py").write_text("")
    (source / "ganglion/a.py").write_text('from . import b\nsaid = "ganglion: " + b.where\n')
    (source / "ganglion/b.py").write_text('where = __import__("ganglion.c").c.path\n')
    (source / "ganglion/c.py").write_text('path = "/ganglion/c"\n')
    (source / "main.py").write_text("from ganglion import a\nprint(a.said)\n")
    build = build_firmware(source, tmp_path / "out")
    assert "g/a.mpy" in build.files and "ganglion/a.mpy" not in build.files
    command = [*runtime.micropython().command, "-c", "import main"]
    done = subprocess.run(command, cwd=build.root, capture_output=True, text=True)
    assert done.stdout.strip() == "ganglion: /g/c", done.stderr


def test_what_a_short_name_of_a_trace_is():
    command = [sys.executable, "-m", "tools.build", "agent"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "_run_calls" in [line.split()[1] for line in done.stdout.splitlines()]
    done = subprocess.run([*command[:-1], "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "nothing.py" in done.stderr


def test_only_what_changed_is_built_again(source, tmp_path):
    root = tmp_path / "out"
    build_firmware(source, root)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    build_firmware(source, root)
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    (source / "main.py").write_text("import lib.b\n")
    (source / "lib/a.py").rename(source / "lib/b.py")
    build = build_firmware(source, root)
    assert set(build.files) == {"main.py", "lib/b.mpy", "table.json"}
    assert not (root / "lib/a.mpy").exists()
    (root / "table.json").write_text("spoilt")
    build_firmware(source, root)
    assert (root / "table.json").read_text() == "{}"


def test_a_source_that_does_not_compile(source, tmp_path):
    (source / "lib/a.py").write_text("def\n")
    with pytest.raises(BuildError, match=r"lib/a\.py"):
        build_firmware(source, tmp_path / "out")


def test_builds_at_once(source, tmp_path):
    threads = [
        threading.Thread(target=build_firmware, args=(source, tmp_path / "out")) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(build_firmware(source, tmp_path / "out").files) == 3


def test_romfs_images():
    """From the format's description: magic, length, and a file of name and verbatim data."""
    assert romfs({"a": b"xy"}) == b"\xd2\xcd\x31\x08" + b"\x05\x06\x01a" + b"\x02\x02xy"
    assert romfs({"a": bytes(200)})[3:5] == b"\x81\x50"  # 208 in two bytes


def test_the_runtime_says_what_it_is():
    command = [sys.executable, "-m", "tools.runtime"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    # On stderr: what a target prints for a program to read must not begin with this.
    assert "MicroPython 1." in done.stderr and "mosquitto" in done.stderr and not done.stdout
    done = subprocess.run([*command, "--quiet"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_runtime_that_does_not_run(monkeypatch):
    assert runtime.probe(["/bin/false"], "") is None
    assert runtime.probe(["/nowhere/micropython"], "") is None
    monkeypatch.setenv("GANGLION_MICROPYTHON", "/bin/false")
    runtime.micropython.cache_clear()
    with pytest.raises(runtime.RuntimeMissing, match="GANGLION_MICROPYTHON"):
        runtime.micropython()
    monkeypatch.undo()
    runtime.micropython.cache_clear()


def test_what_apt_cannot_do_is_told_with_what_to_do(tmp_path):
    def fetch(aside):
        raise AptError("there is no apt on this machine")

    with pytest.raises(runtime.RuntimeMissing, match=r"no apt on this machine\. Install them"):
        runtime.unpack(tmp_path / "mosquitto", fetch)
    assert [path.name for path in tmp_path.iterdir()] == ["mosquitto.lock"]


def test_unpacking_is_whole_or_not_at_all_and_done_once(tmp_path, monkeypatch):
    folder = tmp_path / "mosquitto"
    fetched = []

    def fetch(aside):
        fetched.append(aside)
        (aside / "unpacked.json").write_text("{}")
        if len(fetched) == 1:
            raise RuntimeError("the network went away")

    monkeypatch.setattr(runtime, "_still_runs", lambda _: True)
    with pytest.raises(RuntimeError):
        runtime.unpack(folder, fetch)
    assert not folder.exists() and not fetched[0].exists()
    threads = [threading.Thread(target=runtime.unpack, args=(folder, fetch)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 2 and (folder / "unpacked.json").exists()
