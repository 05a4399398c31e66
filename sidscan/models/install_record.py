"""``record.json`` beside an installed model: what was verified when it came."""

from __future__ import annotations

import json
from pathlib import Path

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry
from sidscan.models.digests import hash_file
from sidscan.models.installed import BY_USER, FIRST_INSTALLED, Installed, published_word

RECORD = "record.json"


def write_record(
    entry: CatalogEntry, path: Path, verified_by: str, origin: str, source_sha256: str = ""
) -> Installed:
    """Write down, beside a model's file, what was verified of it.

    Args:
        verified_by, origin, source_sha256: as `Installed` has them.
    """
    sha256 = hash_file(path, "sha256")["sha256"]
    size = path.stat().st_size
    installed = Installed(entry, path, size, sha256, verified_by, origin, source_sha256)
    facts = {
        "name": entry.name,
        "file": path.name,
        "bytes": installed.size,
        "sha256": installed.sha256,
        "verified_by": verified_by,
        "origin": origin,
    }
    if source_sha256:
        facts["source_sha256"] = source_sha256
    if entry.terms:
        facts["terms_accepted"] = entry.terms
    draft = path.with_name("record.json.draft")
    draft.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    draft.replace(path.with_name(RECORD))
    return installed


def read_record(entry: CatalogEntry, record: Path) -> Installed:
    """What `write_record` wrote down of a model.

    Raises:
        ModelError: the file can't be read, or is not a record of this model.
    """
    try:
        facts = json.loads(record.read_text(encoding="utf-8"))
        texts = [facts[key] for key in ("file", "sha256", "verified_by", "origin")]
        file, sha256, verified_by, origin = (str(text) for text in texts)
        vouched = (BY_USER, published_word(entry)) if entry.is_pinned else (FIRST_INSTALLED,)
        known = verified_by in vouched and Path(file).name == file
        source_sha256 = "" if entry.is_pinned else str(facts["source_sha256"])
        size = int(facts["bytes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{record} can't be read: {error}", f"`sidscan models pull {entry.name}`") from error
    if not known:
        raise ModelError(f"{record} is not a record of {entry.name}", f"`sidscan models pull {entry.name}`")
    path = record.with_name(file)
    return Installed(entry, path, size, sha256, verified_by, origin, source_sha256)
