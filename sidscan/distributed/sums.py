"""The file ``SHA256SUMS`` of a complete run, by which anybody can tell later whether it was changed.

A folder has one, which is written again when the plan changes. A bucket replaces nothing: it has one for each
plan, ``SHA256SUMS-000001``, and another one each time that something was scanned again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from sidscan.distributed.ledger import Ledger
from sidscan.distributed.run_folder import Plan, RunFolder
from sidscan.distributed.store import get_text, put_text
from sidscan.errors import OutputError, UsageError
from sidscan.util.files import atomic_write, content_sha256, open_file, sha256_of

SUMS = "SHA256SUMS"
_LATER = re.compile(r"-(\d{1,9})\.journal$")  # results that came after others of the same slice
_RESULTS = re.compile(r"shards/([0-9a-f]+-[0-9a-f]+)(?:-\d{1,9})?\.journal$")
_LINE = re.compile(r"([0-9a-f]{64})  ([\w./-]+)")


def sums_name(run: RunFolder, plan: Plan) -> str:
    """The file with the hashes of a run's latest plan."""
    return _name(run, plan, run.files(plan))


def _name(run: RunFolder, plan: Plan, files: Collection[str]) -> str:
    if isinstance(run.place, Path):
        return SUMS
    again = sum(int(match[1]) - 1 for match in map(_LATER.search, files) if match)
    return f"{SUMS}-{plan.number:06d}{f'-{again}' if again else ''}"


def write_sums(run: RunFolder, plan: Plan, ledger: Ledger) -> bool:
    """Write the hashes of the run's plan and results, if all results are there; returns whether it did.

    A file that somebody else wrote or changed is left alone.

    Raises:
        OutputError: it can't be written.
    """
    if ledger.missing():
        return False
    journals = {each.journal: each.sha256 for each in ledger.accepted()}
    files = run.files(plan, journals)
    lines = [f"{journals.get(name) or _sha256(run, name)}  {name}\n" for name in files]
    content = "".join(lines)
    if isinstance(run.place, Path):
        return _write_file(run.place / SUMS, content.encode("ascii"), ledger)
    name = _name(run, plan, files)
    return put_text(run.store, name, content) or get_text(run.store, name) == content


def _write_file(path: Path, content: bytes, ledger: Ledger) -> bool:
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        there = content_sha256(path)
        if there not in (None, sha256, *ledger.output_digests(path)):
            return False
        with atomic_write(path) as partial:
            partial.write_bytes(content)
            ledger.expect_output(path, sha256)
    except OSError as error:
        raise OutputError(
            f"can't write {path}: {error.strerror}", "Nothing is lost: collect again."
        ) from error
    ledger.confirm_output(path, sha256)
    return True


def changed_files(run: RunFolder) -> Iterator[str]:
    """The files of a run that are not what its ``SHA256SUMS`` says, each with what is wrong.

    Raises:
        UsageError: it has none, a damaged one, or one that is older than its latest plan or results.
    """
    plan = run.current_plan()
    name = sums_name(run, plan)
    try:
        lines = get_text(run.store, name).splitlines()
    except OutputError as error:
        if _older_sums(run, plan, name):
            raise _results_are_newer(run) from error
        raise UsageError(
            f"{run.location} has no {name} that can be read",
            "A run gets one when all shards have results and are collected: sidscan collect RUN.",
        ) from error
    matches = [_LINE.fullmatch(line) for line in lines]
    named = {match[2]: match[1] for match in matches if match}
    if None in matches:
        raise UsageError(f"{run.location}/{name} is damaged", "Copy it back from a backup.")
    if plan.file not in named:
        changed = [*_changed(run, _still_there(run, named))]
        if not changed:
            raise _plan_is_newer(run)
        yield from changed
        return
    files = set(run.files(plan))
    before = {_slice_of(file): file for file in named.keys() - files if _slice_of(file)}
    newer = {file for file in files - named.keys() if _LATER.search(file) and _slice_of(file) in before}
    replaced = {before[_slice_of(file)] for file in newer}  # `--purge` may have emptied them
    changed = [*_changed(run, {file: named[file] for file in named if file not in replaced})]
    changed += [
        f"not recorded: {file}" for file in run.files(plan) if file not in named and file not in newer
    ]
    if newer and not changed:
        raise _results_are_newer(run)
    yield from changed


def _still_there(run: RunFolder, named: Mapping[str, str]) -> Mapping[str, str]:
    """The files of an earlier plan but for those that `--purge` may have removed."""
    return {file: sha256 for file, sha256 in named.items() if run.store.head(file) is not None}


def _changed(run: RunFolder, named: Mapping[str, str]) -> Iterator[str]:
    for name, sha256 in named.items():
        if run.store.head(name) is None:
            yield f"missing: {name}"
        elif _sha256(run, name) != sha256:
            yield f"changed: {name}"


def _slice_of(name: str) -> str:
    """The slice whose results a file holds, and what computes them; empty for other files."""
    match = _RESULTS.match(name)
    return match[1] if match else ""


def _older_sums(run: RunFolder, plan: Plan, name: str) -> bool:
    """Whether a bucket has hashes of a plan, of before something was scanned again."""
    first = f"{SUMS}-{plan.number:06d}"
    return name != first and any(each != name for each in run.store.list(first))


def _results_are_newer(run: RunFolder) -> UsageError:
    return UsageError(
        f"the results in {run.location} are newer than its {SUMS}",
        f"Collect first: sidscan collect {run.location}",
    )


def _plan_is_newer(run: RunFolder) -> UsageError:
    return UsageError(
        f"the plan of {run.location} is newer than its {SUMS}",
        f"Scan what it has left, and verify then: sidscan scan --run {run.location}",
    )


def _sha256(run: RunFolder, name: str) -> str:
    with (
        TemporaryDirectory(prefix="sidscan-sums-") as scratch,
        open_file(run.store.get(name, Path(scratch))) as file,
    ):
        return sha256_of(file)
