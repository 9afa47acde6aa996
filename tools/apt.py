"""Packages of the distribution, downloaded and unpacked into a folder: no root, nothing installed.

Through apt's own settings of this machine, so its mirror, its proxy and its keys hold; with lists
and caches of our own.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Nobody calls these here, and they are large.
_UNUSED = re.compile(r"gcc-\d+-base|libc-gconv-modules-extra")


class AptError(RuntimeError):
    """What apt cannot do here; the text says why."""


def say(text: str) -> None:
    """A step that may take seconds, on stderr."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def _indexes(*options: str) -> list[list[str]]:
    fields = ("REPO_URI", "RELEASE", "CODENAME", "ORIGIN", "LABEL", "COMPONENT")
    form = "|".join(f"$({f})" for f in fields)
    try:
        lines = _run("apt-get", *options, "indextargets", "--format", form, "Created-By: Packages")
    except FileNotFoundError:
        raise AptError("there is no apt on this machine") from None
    except subprocess.CalledProcessError as error:
        raise AptError(f"apt failed: {error.stderr.strip()}") from error
    return [line.split("|") for line in lines.splitlines()]


@functools.cache
def _targets() -> tuple[tuple[str, ...], ...]:
    """apt's own index targets (URI, release, codename, origin, label, component)."""
    found = _indexes()
    if not found:
        # apt names only what it has seen once; a fresh container has seen nothing.
        with tempfile.TemporaryDirectory() as empty:
            (Path(empty) / "partial").mkdir()
            options = (f"-oDir::State::Lists={empty}", *_NO_ROOT)
            with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
                _run("apt-get", *options, "update")
            found = _indexes(*options)
    return tuple(tuple(target) for target in found)


def debian_archive() -> str:
    """The address of the Debian main archive in this machine's apt settings. Raises AptError."""
    for uri, _release, codename, origin, label, component in _targets():
        if (origin, label, component) == ("Debian", "Debian", "main") and "-" not in codename:
            return uri
    raise AptError("this machine's apt settings name no Debian archive")


def host_archives() -> list[tuple[str, str]]:
    """(address, suite) of the distribution's own archives, newest updates included. Raises
    AptError."""
    own = ("Debian", "Debian-Security", "Ubuntu", "Raspbian")
    found = {(t[0], t[1]): None for t in _targets() if t[3] in own or t[4] in own}
    if not found:
        raise AptError("this machine's apt settings name no archive we know")
    return list(found)


# The sandbox user cannot write below our folder, and apt warns about it at length.
_NO_ROOT = (
    "-oAcquire::Languages=none",
    "-oDebug::NoLocking=1",
    "-oAPT::Sandbox::User=root",
    "-oAPT::Get::AllowUnauthenticated=false",
)


class Apt:
    """apt over private folders below ``aside``. ``arch`` given: as if nothing were installed;
    ``lacking``: as if the packages whose whole names that matches were not."""

    def __init__(
        self,
        aside: Path,
        archives: Sequence[tuple[str, str]],
        arch: str | None = None,
        lacking: str | None = None,
    ) -> None:
        self._aside = aside
        self._where = Path(tempfile.mkdtemp(prefix="apt-", dir=aside))
        for name in ("lists/partial", "cache/archives/partial"):
            (self._where / name).mkdir(parents=True)
        sources = self._where / "sources.list"
        components = "main universe" if Path("/etc/lsb-release").exists() else "main"
        sources.write_text(
            "".join(f"deb {_keyring()}{uri} {suite} {components}\n" for uri, suite in archives)
        )
        self._suites = ", ".join(suite for _, suite in archives)
        self._options = [
            f"-oDir::State::Lists={self._where / 'lists'}",
            f"-oDir::Etc::sourcelist={sources}",
            "-oDir::Etc::sourceparts=-",
            f"-oDir::Cache={self._where / 'cache'}",
            *_NO_ROOT,
        ]
        if arch:
            self._options += [
                f"-oAPT::Architecture={arch}",
                f"-oAPT::Architectures={arch}",
                "-oDir::State::status=/dev/null",
            ]
        if lacking:
            status = self._where / "status"
            installed = Path("/var/lib/dpkg/status").read_text(errors="replace").split("\n\n")
            package = re.compile(rf"Package: ({lacking})$", re.MULTILINE)
            status.write_text("\n\n".join(p for p in installed if not package.match(p)))
            self._options.append(f"-oDir::State::status={status}")

    def update(self) -> bool:
        """Read the lists; False, said on stderr, where that fails."""
        say(f"reading the package lists of {self._suites}")
        try:
            _run("apt-get", *self._options, "update")
        except subprocess.CalledProcessError as error:
            say(f"apt-get update ({self._suites}): {error.stderr.strip()}")
            return False
        return True

    def version(self, package: str) -> tuple[int, ...]:
        """Upstream (major, minor) of the newest; () when there is none."""
        try:
            shown = _run("apt-cache", *self._options, "show", "--no-all-versions", package)
        except subprocess.CalledProcessError:
            return ()
        match = re.search(r"^Version: (?:\d+:)?(\d+)[.+](\d+)", shown, re.MULTILINE)
        return tuple(map(int, match.groups())) if match else ()

    def unpack(self, package: str, unused: re.Pattern[str] = _UNUSED, share: str = "") -> None:
        """Download ``package`` and all it needs that is not installed, but for what ``unused``
        names; unpack into ``root/``. Of ``usr/share`` only the folder ``share`` is kept. Raises
        AptError.

        A simulated installation names exactly those: it resolves alternatives and what the host
        has, which a walk over `apt-cache depends` does not.
        """
        try:
            plan = _run(
                "apt-get", *self._options, "-s", "install", "--no-install-recommends", package
            )
            names = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
            names = [n for n in names if not unused.fullmatch(n.partition(":")[0])]
            debs = self._where / "debs"
            debs.mkdir()
            _run("apt-get", *self._options, "download", *names, cwd=debs)
            for deb in sorted(debs.glob("*.deb")):
                _run("dpkg", "-x", str(deb), str(self._aside / "root"))
        except subprocess.CalledProcessError as error:
            raise AptError(f"apt cannot provide {package}: {error.stderr.strip()}") from error
        for folder in self._aside.glob("apt-*"):
            shutil.rmtree(folder)
        for folder in self._aside.glob("root/usr/share/*"):
            if folder.name != share:
                shutil.rmtree(folder, ignore_errors=True)


def _keyring() -> str:
    """Newer Debians trust no key for an archive that does not name its keyring."""
    for name in ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg"):
        keyring = Path("/usr/share/keyrings", name)
        if keyring.exists() and not Path("/etc/lsb-release").exists():
            return f"[signed-by={keyring}] "
    return ""


def _run(*command: str, cwd: Path | None = None) -> str:
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=cwd, env=env
    ).stdout
