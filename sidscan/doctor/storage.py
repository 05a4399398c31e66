"""Folders that are written: models, kept results, temporary files; and shared memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sidscan.doctor import CheckResult, check
from sidscan.doctor.probes import Probes
from sidscan.errors import NoModelsFolder
from sidscan.journal.kept import kept_results_folder
from sidscan.util.files import can_lock
from sidscan.util.terminal import byte_size

_TRIAL = 1 << 20  # bytes; a full disk may take a few
_SPACE_FOR_ENCODER = 450_000_000  # bytes: the wheel and the encoder that is made of it
_LITTLE_SPACE = 100_000_000  # bytes
_SHARED = Path("/dev/shm")  # noqa: S108  (it is looked at)


@check("models folder")
def models_folder(probes: Probes) -> Iterator[CheckResult]:
    """Where `sidscan models pull` installs: writable, lockable, and with room."""
    try:
        folder = probes.store.root
    except NoModelsFolder as error:
        yield CheckResult("models folder", "problem", error.message, error.remedy, facts={"folder": None})
        return
    moved = "SIDSCAN_MODELS names another folder for models."
    for result in _folder("models folder", folder, _SPACE_FOR_ENCODER, moved):
        if result.level == "ok" and os.environ.get("SIDSCAN_MODELS") and not result.facts["exists"]:
            text = f"SIDSCAN_MODELS names {result.text}"
            remedy = (
                "If models are elsewhere, mend SIDSCAN_MODELS; else `sidscan models pull` makes the folder."
            )
            result = replace(result, level="note", text=text, remedy=remedy)
        yield result


@check("kept results")
def kept_results(_: Probes) -> Iterator[CheckResult]:
    """Where scans without --out keep their results."""
    folder = kept_results_folder()
    if folder is None:
        text = "there is no cache folder, since this user has no home folder"
        remedy = "Scans without --out FILE start over after an interruption; `--journal FILE` keeps results."
        yield CheckResult("kept results", "note", text, remedy, facts={"folder": None})
        return
    yield from _folder(
        "kept results", folder, _LITTLE_SPACE, "`sidscan scan --journal FILE` keeps them there."
    )


@check("temporary files")
def temporary_files(_: Probes) -> Iterator[CheckResult]:
    """TMPDIR, or what stands for it: HTML reports and comparisons use it."""
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        remedy = "Free space, or set TMPDIR to a folder that you may write."
        text = f"no folder can be used: {error.strerror or error}"
        yield CheckResult("temporary files", "problem", text, remedy, facts={"folder": None})
        return
    remedy = "Set TMPDIR to a folder with more room. HTML reports and `sidscan diff` need it."
    named = os.environ.get("TMPDIR")
    if named and Path(named) != folder:  # Python takes another one without a word
        text = f"TMPDIR names {named}, which can't be written; {folder} is used instead"
        yield CheckResult("temporary files", "problem", text, remedy, facts={"folder": str(folder)})
        return
    yield from _folder("temporary files", folder, _LITTLE_SPACE, remedy)


@check("shared memory")
def shared_memory(_: Probes) -> Iterator[CheckResult]:
    """Programs with several processes often need it; workers of sidscan use pipes."""
    if not _SHARED.is_dir():
        yield CheckResult("shared memory", "ok", f"this system has no {_SHARED}; sidscan needs none")
        return
    size = shutil.disk_usage(_SHARED).total
    facts = {"folder": str(_SHARED), "size": size, "reason": _why_not_writable(_SHARED)}
    text = f"{_SHARED}: {byte_size(size)}"
    if facts["reason"]:
        text += f", can't be written: {facts['reason']}"
    yield CheckResult("shared memory", "ok", f"{text}; sidscan needs none", facts=facts)


def _folder(name: str, folder: Path, needed: int, remedy: str) -> Iterator[CheckResult]:
    """Whether files can be made, filled and locked in a folder, or in the nearest that is there."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    reason = _why_not_writable(there) or _why_no_folder(folder, there)
    free = shutil.disk_usage(there).free
    facts = {"folder": str(folder), "exists": there == folder, "writable": not reason, "free": free}
    if reason:
        yield CheckResult(name, "problem", f"{folder} can't be written: {reason}", remedy, facts=facts)
        return
    text = f"{folder}: {'writable' if there == folder else 'not made yet, and can be made'}"
    text += f", {byte_size(free)} free"
    if not can_lock(there):
        text = f"{folder} can't lock files, as some network shares can't"
        yield CheckResult(name, "problem", text, remedy, facts=facts)
    elif free < needed:
        yield CheckResult(name, "note", f"{text}, which is little", remedy, facts=facts)
    else:
        yield CheckResult(name, "ok", text, facts=facts)


def _why_not_writable(folder: Path) -> str:
    """Why no file of a megabyte can be written there; empty where it can."""
    try:
        with tempfile.TemporaryFile(prefix=".sidscan-", dir=folder) as file:
            file.write(bytes(_TRIAL))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _why_no_folder(folder: Path, there: Path) -> str:
    """Why ``folder`` can't be made in the folder that is there: something else has its name."""
    between = folder
    while between.parent != there and between != there:
        between = between.parent
    return f"{between} is not a folder" if between != there and os.path.lexists(between) else ""
